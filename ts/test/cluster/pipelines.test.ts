// Two pipelines of two eras in one namespace, and a second namespace whose name begins like the first one's: started, trained,
// scheduled, killed and stopped, and nobody touched by what is done to the other. On the way the engines themselves are asked
// what runs: nothing in those tests asks Millrace whether its jobs do.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { backfill } from "../../cli/data/backfill.ts";
import { train } from "../../cli/models/train.ts";
import { mlflowOf } from "../../engines/mlflow.ts";
import { runnersOf } from "../../engines/runners.ts";
import { until } from "../../ground/until.ts";
import type { JobName } from "../../jobs/index.ts";
import { TRAIN } from "../../jobs/train.ts";
import { namesOf, pipelineOf, subjectsOf } from "../../pipelines/index.ts";
import { publishChampion } from "../../rehearse/line/champion.ts";
import { closeLine, type Line, openLine } from "../../rehearse/line/line.ts";
import { type Namespace, openNamespace, removeNamespace } from "../../rehearse/line/namespace.ts";
import { freePorts } from "../../rehearse/line/ports.ts";
import { kill, victimOf } from "../../rehearse/prove/victims.ts";
import { type Settings, stateDir } from "../../settings/settings.ts";
import { currentRecords, startSupervisor, supervisorOf } from "../../supervise/run.ts";
import { stopNamespace } from "../../supervise/stop.ts";
import { readSubmission } from "../../supervise/submission.ts";
import { submitJobs, untilEnded, untilRunning, withdrawJobs } from "../../supervise/submit.ts";
import { supervisedJobs } from "../../supervise/views.ts";

const engines = inject("engines");
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** A Spark start alone took 396 s on a machine that others used too. */
const DEADLINE_MS = 600_000;
const CUT_MS = Date.UTC(2000, 0, 1);
const signal = new AbortController().signal;

let line: Line;
/** The pipelines of one namespace, and the weather of another. */
let weather: Settings;
let meters: Settings;
let beside: Settings;
let close: () => Promise<void> = async () => {};

const of = (settings: Settings) => namesOf(pipelineOf(settings.pipeline).pipeline, settings.namespace);

function file(name: string, text: string): string {
  const folder = join(stateDir(weather), "files");
  mkdirSync(folder, { recursive: true });
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

/** Readings of three meters that draw by the hour of the day, oldest first, in the form of a file. */
function readings(from_ms: number, to_ms: number, every_ms: number): string {
  const lines = ["meter,read_at,phase,power,voltage,energy"];
  for (let time = from_ms; time < to_ms; time += every_ms)
    for (const [k, meter] of ["m-1", "m-2", "m-3"].entries()) {
      const day = Math.sin((2 * Math.PI * (time % (24 * HOUR_MS))) / (24 * HOUR_MS));
      const power = 5 + k + 3 * day + ((time / every_ms) % 7) / 10;
      lines.push(`${meter},${new Date(time).toISOString()},30,${power.toFixed(3)},230,0.1`);
    }
  return `${lines.join("\n")}\n`;
}

async function submit(settings: Settings, jobs: JobName[], choice: Parameters<typeof submitJobs>[3] = {}) {
  const desired = await submitJobs(settings, line.kafka, jobs, choice);
  await untilRunning(settings, desired, { deadline_ms: DEADLINE_MS, signal });
}

/** Each job that runs now, with its submission. */
const running = (settings: Settings): Record<string, string> =>
  Object.fromEntries(
    Object.entries(currentRecords(settings) ?? {}).flatMap(([job, { submission, status }]) =>
      submission && status?.state === "running" ? [[job, submission.submission]] : [],
    ),
  );

/** The first answer of the namespace's API whose text fits. */
async function predicted(path: string, fits: RegExp): Promise<Record<string, unknown>> {
  const url = `http://127.0.0.1:${weather.ports.api}${path}`;
  const { done, seen } = await until(
    async () => {
      const text = await fetch(url).then(
        (answer) => answer.text(),
        (error: unknown) => String(error),
      );
      return { done: fits.test(text), seen: text };
    },
    { deadline_ms: DEADLINE_MS, interval_ms: 250 },
  );
  if (!done) throw new Error(`No fitting answer from ${url}: ${seen.slice(0, 500)}`);
  return JSON.parse(seen) as Record<string, unknown>;
}

const json = async <T>(url: string): Promise<T> => (await (await fetch(url)).json()) as T;

describe("two pipelines of a namespace beside another one", { timeout: 3_600_000 }, () => {
  let of_2016: Record<string, unknown>;
  let of_2000: Record<string, unknown>;

  beforeAll(async () => {
    line = await openLine(engines, { what: "two", signal, log: (text) => console.log(text) });
    weather = line.settings;
    const opened: Namespace[] = [];
    close = async () => {
      // The folder of the shared namespace goes with the line.
      for (const one of opened)
        await removeNamespace(one, { keep: one.settings.namespace === weather.namespace });
      await closeLine(line);
    };
    const open = async (pipeline: string, namespace: string) => {
      // A namespace has one API, and two of them need a port each: one that is free, other engines' lie beside.
      const ports =
        namespace === weather.namespace ? weather.ports : { ...weather.ports, api: (await freePorts()).api };
      const one = await openNamespace({ ...weather, pipeline, ports }, namespace, { signal });
      opened.push(one);
      return one.settings;
    };
    meters = await open("meters", weather.namespace);
    beside = await open("weather", `${weather.namespace}-weather`);
    await publishChampion(line, join(engines.home, "proof-champion"));
  }, DEADLINE_MS);
  afterAll(() => close(), DEADLINE_MS);

  it("the weather of 2016 is forecast, in two namespaces", async () => {
    const sample = join(engines.root, "samples", "us-cities-hourly.csv.gz");
    await submit(weather, ["serve", "features", "infer"]);
    await submit(beside, ["serve"]);
    await submit(weather, ["replay"], {
      words: [sample, "--from", "2016-06-01T00:00:00Z", "--speed", "1800"],
    });
    of_2016 = await predicted("/predictions/new-york", /"temperature_6h":-?\d/);
    expect(of_2016).toMatchObject({ stale: false, timestamp: expect.stringMatching(/^2016-/) });
  });

  it("training another pipeline leaves this one's champion and jobs as they are", async () => {
    const champion = await mlflowOf(weather).byAlias(of(weather).model, "champion");
    const before = running(weather);
    const past = file("before.csv", readings(CUT_MS - 240 * 24 * HOUR_MS, CUT_MS, HOUR_MS));
    const all = { data: null, units: {}, from_ms: null, to_ms: null };
    await backfill(
      meters,
      { ...all, starting_offsets: null, ending_offsets: null, file: past },
      { signal, warn: (text: string) => console.log(text) },
    );
    const trained = await train(
      meters,
      { ...TRAIN, cut_ms: CUT_MS, trees: 5, leaves: 7, sample_every: 2, allow_uncertified: true },
      { signal },
    );
    expect(trained).toMatchObject({ champion: "1", promoted: true });
    expect(await mlflowOf(weather).byAlias(of(weather).model, "champion")).toEqual(champion);
    expect(running(weather)).toMatchObject(before);
  });

  it("the meters of 2000 are forecast beside it by the same server: each has its own time line and its own paths", async () => {
    const now = file("now.csv", readings(CUT_MS, CUT_MS + 20 * 24 * HOUR_MS, MINUTE_MS));
    const server = running(weather)["serve"];
    await submit(meters, ["serve", "features", "infer"]);
    // Asked for by a second pipeline it is left alone, and has found that one by itself.
    expect(running(weather)["serve"]).toBe(server);
    await submit(meters, ["replay"], { words: [now, "--speed", "300"] });
    of_2000 = await predicted("/meters/predictions/m-1", /"power_1h":-?\d/);
    // What is fresh in 2000 and what is fresh in 2016.
    expect(of_2000).toMatchObject({ stale: false, timestamp: expect.stringMatching(/^2000-/) });
    const later = await predicted(
      "/weather/predictions/new-york",
      new RegExp(`^(?!.*${of_2016["timestamp"]})`),
    );
    expect(later).toMatchObject({ stale: false, timestamp: expect.stringMatching(/^2016-/) });
  });

  it("the Spark master lists the application of both with cores: they run on the cluster, not in their drivers", async () => {
    const { activeapps } = await json<{ activeapps: { name: string; cores: number; state: string }[] }>(
      `${engines.sparkUiUrl}/json/`,
    );
    for (const streams of ["weather-streams", "meters-streams"]) {
      const apps = activeapps.filter(({ name }) => name.startsWith(`${weather.namespace}-${streams}-`));
      expect(apps, streams).toMatchObject([{ state: "RUNNING" }]);
      expect(apps[0]!.cores, streams).toBeGreaterThan(0);
    }
  });

  it("the Ray Jobs API lists the inference job RUNNING, with an actor that lives", async () => {
    // A job runs before its driver has made itself known to Ray: until then it has no id that actors could name.
    const { done, seen } = await until(
      async () => {
        const jobs = await json<{ submission_id: string | null; status: string; job_id: string | null }[]>(
          `${engines.rayUrl}/api/jobs/`,
        );
        const job = jobs.find(({ submission_id }) =>
          submission_id?.startsWith(`${weather.namespace}-weather-infer`),
        );
        const { data } = await json<{ data: { result: { result: { job_id: string; state: string }[] } } }>(
          `${engines.rayUrl}/api/v0/actors`,
        );
        const ours = data.result.result.filter(({ job_id }) => job_id === job?.job_id);
        return {
          done: job?.status === "RUNNING" && ours.some(({ state }) => state === "ALIVE"),
          seen: { job, ours },
        };
      },
      { deadline_ms: 120_000 },
    );
    expect(done, JSON.stringify(seen)).toBe(true);
  });

  it("the registry lists every subject of both, and MLflow the one model under its alias", async () => {
    const wanted = [weather, meters].flatMap((settings) =>
      subjectsOf(of(settings), pipelineOf(settings.pipeline).contract).map(({ subject }) => subject),
    );
    expect(await json<string[]>(`${engines.registryUrl}/subjects`)).toEqual(expect.arrayContaining(wanted));
    const query = new URLSearchParams({ name: of(weather).model, alias: "champion" });
    const { model_version } = await json<{ model_version: { name: string } }>(
      `${engines.mlflowUrl}/api/2.0/mlflow/registered-models/alias?${query}`,
    );
    expect(model_version.name).toBe(of(weather).model);
  });

  it("supervisor and a job of each are killed: all others are adopted, and a schedule runs each due time once", async () => {
    await submitJobs(meters, line.kafka, ["compact"], { schedule: "* * * * *" });
    const compact = "meters-compact";
    const ranAfter = async (after_ms: number) => {
      const { done, seen } = await until(
        () => {
          const record = currentRecords(weather)?.[compact];
          return { done: (record?.ran_ms ?? 0) > after_ms, seen: record };
        },
        { deadline_ms: DEADLINE_MS, interval_ms: 250 },
      );
      expect(done, JSON.stringify(seen)).toBe(true);
      return seen!;
    };
    const first = await ranAfter(0);
    expect(first).toMatchObject({ last: { reason: "done" } });

    const alive = running(weather);
    const lost = ["weather-infer", "meters-features"];
    for (const [settings, kind] of [
      [weather, "driver"],
      [meters, "spark"],
    ] as const) {
      const victim = await victimOf(settings, of(settings), kind, 0);
      if (!victim) throw new Error(`no ${kind} of ${settings.pipeline} was found`);
      await kill(victim);
    }
    process.kill(supervisorOf(weather)!.pid, "SIGKILL");
    const killed_ms = Date.now();
    // A due time passes while nobody is there.
    const next = Math.ceil(killed_ms / MINUTE_MS) * MINUTE_MS;
    await until(() => ({ done: Date.now() > next, seen: null }), { deadline_ms: 2 * MINUTE_MS });
    startSupervisor(weather);
    const look = await until(
      () => {
        const seen = running(weather);
        const back = Object.keys(alive).every((job) => seen[job] || job === compact);
        return { done: back && lost.every((job) => seen[job] !== alive[job]), seen };
      },
      { deadline_ms: DEADLINE_MS, interval_ms: 250 },
    );
    expect(look).toMatchObject({ done: true });
    const same = Object.entries(alive).filter(([job]) => !lost.includes(job) && job !== compact);
    expect(look.seen).toMatchObject(Object.fromEntries(same));
    const later = await predicted("/meters/predictions/m-1", new RegExp(`^(?!.*${of_2000["timestamp"]})`));
    expect(later["timestamp"]).toMatch(/^2000-/);

    // Made up for by one run, and no due time has had two: a run's name says what it was due for by its hash.
    const second = await ranAfter(killed_ms);
    expect(second.ran_ms! % MINUTE_MS).toBe(0);
    const row = supervisedJobs(weather).find(({ name }) => name === compact)!;
    expect(row).toMatchObject({ schedule: "* * * * *", desired: true });
    expect(row.due_ms! - Date.now()).toBeLessThanOrEqual(MINUTE_MS);
    const hashes = (await runnersOf(weather).ray.list()).flatMap(({ handle }) => {
      const name = readSubmission(of(meters).prefix, handle.submission);
      return name?.job === compact ? [name.hash] : [];
    });
    expect(new Set(hashes).size).toBe(hashes.length);
  });

  it("one pipeline is stopped and the other goes on", async () => {
    const rest = () =>
      Object.fromEntries(Object.entries(running(weather)).filter(([name]) => !name.startsWith("meters-")));
    const before = rest();
    expect(Object.keys(before)).toHaveLength(4);
    const ours = Object.keys(currentRecords(weather)!).filter((name) => name.startsWith("meters-"));
    await withdrawJobs(meters, ours);
    await untilEnded(meters, ours, { deadline_ms: DEADLINE_MS });
    expect(rest()).toEqual(before);
  });

  it("the namespace is stopped and the one whose name begins like it goes on", async () => {
    const neighbour = running(beside);
    expect(neighbour["serve"]).toMatch(`${beside.namespace}-serve-`);
    await stopNamespace(weather);
    expect(running(weather)).toEqual({});
    expect(running(beside)).toEqual(neighbour);
  });
});
