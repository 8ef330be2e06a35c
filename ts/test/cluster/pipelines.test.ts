// Two pipelines of two eras in one namespace, and two namespaces one of whose names begins like the other's: started, trained,
// killed and stopped, and nobody touched by what is done to the other.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, inject, it } from "vitest";
import { backfill } from "../../cli/backfill.ts";
import { train } from "../../cli/train.ts";
import { freePorts } from "../../engines/local/index.ts";
import { mlflowOf } from "../../engines/mlflow.ts";
import { type Settings, stateDir } from "../../engines/settings.ts";
import { until } from "../../ground/until.ts";
import type { JobName } from "../../jobs/index.ts";
import { TRAIN } from "../../jobs/train.ts";
import { namesOf, pipelineOf, TOPICS } from "../../pipelines/index.ts";
import { closeLine, type Line, openLine, publishChampion } from "../../prove/line.ts";
import { kill, victimOf } from "../../prove/victims.ts";
import { apply } from "../../supervise/apply.ts";
import { currentRecords, startSupervisor, supervisorOf } from "../../supervise/run.ts";
import { stopNamespace } from "../../supervise/stop.ts";
import { submitJobs, untilEnded, untilRunning, withdrawJobs } from "../../supervise/submit.ts";

const engines = inject("engines");
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** A Spark start alone took 396 s on a machine that others used too. */
const DEADLINE_MS = 600_000;
const CUT_MS = Date.UTC(2000, 0, 1);

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

/** A backfill of which nothing is said. */
const ALL = {
  data: null,
  units: {},
  from_ms: null,
  to_ms: null,
  starting_offsets: null,
  ending_offsets: null,
};

async function submit(settings: Settings, { kafka, signal }: Line, jobs: JobName[], words: string[] = []) {
  const desired = await submitJobs(settings, kafka, jobs, { words });
  await untilRunning(settings, desired, { deadline_ms: DEADLINE_MS, signal });
}

const submissions = (settings: Settings) =>
  Object.fromEntries(
    Object.entries(currentRecords(settings) ?? {}).map(([job, { submission, status }]) => [
      job,
      status?.state === "running" ? (submission?.submission ?? null) : null,
    ]),
  );

/** The first prediction of a pipeline's API whose text fits. */
async function predicted(port: number, station: string, fits: RegExp): Promise<Record<string, unknown>> {
  const url = `http://127.0.0.1:${port}/predictions/${station}`;
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

it("two pipelines in one namespace, and a namespace named like the start of another, leave each other alone", {
  timeout: 3_600_000,
}, async () => {
  const signal = new AbortController().signal;
  const line = await openLine(engines, { what: "two", signal, log: (text) => console.log(text) });
  const weather = line.settings;
  const meters: Settings = {
    ...weather,
    pipeline: "meters",
    ports: { ...weather.ports, api: (await freePorts()).api },
  };
  const beside: Settings = {
    ...weather,
    namespace: `${weather.namespace}-weather`,
    ports: { ...weather.ports, api: (await freePorts()).api },
  };
  const { kafka, registry } = line;
  const of = (settings: Settings) => namesOf(pipelineOf(settings.pipeline).pipeline, settings.namespace);
  try {
    for (const settings of [meters, beside]) await apply({ settings, kafka, registry, signal });
    mkdirSync(join(stateDir(weather), "files"), { recursive: true });
    const file = (name: string, text: string) => {
      const path = join(stateDir(weather), "files", name);
      writeFileSync(path, text);
      return path;
    };

    // The weather of 2016 streams and is served; the meters of 2000 stream beside it, without a model yet.
    await publishChampion(line, join(engines.home, "proof-champion"));
    const sample = join(engines.root, "samples", "singapore-1min-3days.csv.gz");
    const now = file("now.csv", readings(CUT_MS, CUT_MS + 20 * 24 * HOUR_MS, MINUTE_MS));
    await Promise.all([
      submit(weather, line, ["features", "infer", "serve"]),
      submit(meters, line, ["features", "serve"]),
      submit(beside, line, ["serve"]),
    ]);
    await submit(weather, line, ["replay"], [sample, "--speed", "120"]);
    await submit(meters, line, ["replay"], [now, "--speed", "300"]);
    const first = await predicted(weather.ports.api, "sg-s06", /"temperature_6h":-?\d/);
    expect(first["stale"]).toBe(false);

    // Training one leaves the other's champion and jobs as they are.
    const champion = await mlflowOf(weather).byAlias(of(weather).model, "champion");
    const running = submissions(weather);
    const before = file("before.csv", readings(CUT_MS - 240 * 24 * HOUR_MS, CUT_MS, HOUR_MS));
    const quiet = { signal, warn: (text: string) => console.log(text) };
    await backfill(meters, { ...ALL, file: before }, quiet);
    const trained = await train(
      meters,
      { ...TRAIN, cut_ms: CUT_MS, trees: 5, leaves: 7, sample_every: 2, allow_uncertified: true },
      { signal },
    );
    expect(trained).toMatchObject({ champion: "1", promoted: true });
    expect(await mlflowOf(weather).byAlias(of(weather).model, "champion")).toEqual(champion);
    expect(submissions(weather)).toMatchObject(running);
    await submit(meters, line, ["infer"]);

    // Each has its own time line: what is fresh in 2000 and what is fresh in 2016.
    const second = await predicted(meters.ports.api, "m-1", /"power_1h":-?\d/);
    expect(second["timestamp"]).toMatch(/^2000-/);
    expect(second["stale"]).toBe(false);
    expect(first["timestamp"]).not.toMatch(/^2000-/);

    // The supervisor dies together with a job of each; all others are adopted as they are.
    const alive = submissions(weather);
    for (const settings of [weather, meters]) {
      const kind = settings === weather ? "actor" : "spark";
      const victim = await victimOf(settings, of(settings), kind, 0);
      if (!victim) throw new Error(`no ${kind} of ${settings.pipeline} was found`);
      await kill(victim);
    }
    process.kill(supervisorOf(weather)!.pid, "SIGKILL");
    startSupervisor(weather);
    const names = Object.keys(alive);
    const look = await until(
      () => {
        const seen = submissions(weather);
        const back = names.every((job) => seen[job]) && seen["meters-features"] !== alive["meters-features"];
        return { done: back, seen };
      },
      { deadline_ms: DEADLINE_MS, interval_ms: 250 },
    );
    expect(look).toMatchObject({ done: true });
    const { "meters-features": _, ...others } = alive;
    expect(look.seen).toMatchObject(others);
    const later = await predicted(meters.ports.api, "m-1", new RegExp(`^(?!.*${second["timestamp"]})`));
    expect(later["timestamp"]).toMatch(/^2000-/);

    // Stopped by its pipeline: the other one goes on.
    const ours = names.filter((name) => name.startsWith("meters-"));
    await withdrawJobs(meters, ours);
    await untilEnded(meters, ours, { deadline_ms: DEADLINE_MS });
    for (const [job, submission] of Object.entries(submissions(weather)))
      if (job.startsWith("weather-")) expect(submission).toBe(look.seen[job]);

    // And the whole namespace, whose name begins like the other's.
    const neighbour = submissions(beside);
    expect(neighbour["weather-serve"]).toMatch(`${beside.namespace}-weather-serve-`);
    await stopNamespace(weather);
    expect(submissions(beside)).toEqual(neighbour);
  } finally {
    await stopNamespace(beside);
    for (const settings of [meters, beside]) {
      const topics = TOPICS.map((what) => of(settings).topics[what]);
      await kafka.admin.remove(topics.map(({ topic }) => topic));
    }
    await closeLine(line);
  }
});
