// A pipeline of another shape beside the running weather: its folder is copied to an empty place outside the checkout, generated,
// applied, fed on both of its streams, killed, restarted and stopped there, and nothing of it is known once the folder is gone.
// 100,000 sites come and go meanwhile.

import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { runnersOf } from "../../engines/runners.ts";
import { until } from "../../ground/until.ts";
import { tables } from "../../jobs/plan/tables.ts";
import { type OutRecord, readAll } from "../../kafka/kafka.ts";
import {
  addPipelines,
  inStream,
  type Names,
  namesOf,
  pipelineNames,
  pipelineOf,
  topicOf,
  topicsOf,
} from "../../pipelines/index.ts";
import { closeLine, type Line, openLine, startJobs } from "../../rehearse/line/line.ts";
import { kill, sparkDriver } from "../../rehearse/prove/victims.ts";
import { type Settings, stateDir } from "../../settings/settings.ts";
import { contractOf, readRejects, rejectId } from "../../source/rejects.ts";
import { rawRecords, targetOf } from "../../source/send/target.ts";
import { readDesired } from "../../supervise/desired.ts";
import { readRecords, startSupervisor, supervisorOf } from "../../supervise/run.ts";
import { submitJobs } from "../../supervise/submit.ts";
import { supervisedJobs } from "../../supervise/views.ts";

const engines = inject("engines");
const DEADLINE_MS = 600_000;
const DAY_MS = 86_400_000;
const SITES = 100_000;
/** Of the sites, how many each transaction brings. */
const CHUNK = 10_000;
/** Sites that come while the pipeline is stopped. */
const LATER = 100;
const signal = new AbortController().signal;
const folder = mkdtempSync(join(tmpdir(), "shape-"));

let line: Line;
let close: () => Promise<void> = async () => {};
/** The same namespace for the pipeline that lies elsewhere. */
let roads: Settings;
let names: Names;
/** What the commands are told: settings as a file. */
let given: string;
let weather: { features: string; replay: string };

async function millrace(...words: string[]): Promise<string> {
  const done = await execa(join(engines.root, "bin", "millrace"), [...words, "--settings", given], {
    reject: false,
  });
  expect(done.exitCode, `millrace ${words.join(" ")}: ${done.stderr}`).toBe(0);
  return done.stdout;
}

const submissionOf = (job: string) => readRecords(line.settings)[job]?.submission?.submission ?? "none";

/** Sites that nobody has seen before and nobody sees again: [from, to) of them, one notice each. */
async function sendSites(from: number, to: number): Promise<void> {
  const contract = inStream(pipelineOf("roads").contract, "notices");
  const target = await targetOf({ ...line, names, contract, source: "sites" });
  const producer = await line.kafka.producer({ transactional_id: target.transactional_id });
  const now = Date.now();
  for (let first = from; first < to; first += CHUNK) {
    const numbers = Array.from({ length: Math.min(CHUNK, to - first) }, (_, i) => first + i);
    const observations = numbers.map((n) => {
      const state = ["planned", "open", "closed"][n % 3]!;
      const record = {
        site_id: `s-${n}`,
        reported_at: now,
        state,
        blocked: n % 2 === 0,
        until: 19_782,
        note: "ä",
      };
      return { key: record.site_id, record, clock_ms: now };
    });
    const transaction = await producer.begin();
    await transaction.send(rawRecords(target, observations));
    await transaction.commit();
  }
  await producer.close();
}

async function sendRaw(records: readonly OutRecord[]): Promise<void> {
  const producer = await line.kafka.producer({ transactional_id: names.transactionalId("foreign", 0) });
  const transaction = await producer.begin();
  await transaction.send(records);
  await transaction.commit();
  await producer.close();
}

interface Kept {
  readonly rows: number;
  readonly sites: number;
  readonly places: number;
}

const table = () => tables(roads).results({ name: "kept", sink: { kind: "delta" } });

/** Rows that were committed to the table so far, by Delta's own log: a look costs nothing beside the jobs that are watched. */
function committed(): number {
  const log = join(table(), "_delta_log");
  const commits = existsSync(log) ? readdirSync(log).filter((name) => /^\d{20}\.json$/.test(name)) : [];
  const actions = commits.flatMap((name) => readFileSync(join(log, name), "utf8").trim().split("\n"));
  return actions.reduce((sum, text) => {
    const { add } = JSON.parse(text) as { add?: { stats: string } };
    return sum + (add ? (JSON.parse(add.stats) as { numRecords: number }).numRecords : 0);
  }, 0);
}

/** What the table holds, by a reader that is not Spark: rows, different sites, different places in the topic. */
async function kept(): Promise<Kept> {
  const code = [
    "import deltalake, json, sys",
    "import pyarrow.compute as pc",
    "t = deltalake.DeltaTable(sys.argv[1]).to_pyarrow_table()",
    'places = t.group_by(["raw_partition", "raw_offset"]).aggregate([]).num_rows',
    'print(json.dumps({"rows": t.num_rows, "sites": pc.count_distinct(t["site_id"]).as_py(), "places": places}))',
  ].join("\n");
  const { stdout } = await execa(engines.pythonPath, ["-c", code, table()]);
  return JSON.parse(stdout) as Kept;
}

async function eventually<T>(
  what: string,
  look: () => Promise<T> | T,
  holds: (seen: T) => boolean,
): Promise<T> {
  const { done, seen } = await until(
    async () => {
      const seen = await look();
      return { done: holds(seen), seen };
    },
    { deadline_ms: DEADLINE_MS, interval_ms: 500 },
  );
  expect(done, `${what}: ${JSON.stringify(seen)}`).toBe(true);
  return seen;
}

/** Keys of a compacted topic: what it keeps for good. */
async function keysOf(topic: string): Promise<string[]> {
  return [...new Set((await readAll(line.kafka, topic)).map(({ key }) => String(key)))].sort();
}

const ends = async (topic: string) =>
  (await line.kafka.admin.offsets(topic)).reduce((sum, { stable }) => sum + stable, 0);

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

describe("a pipeline of another shape beside the weather", { timeout: 2 * DEADLINE_MS }, () => {
  beforeAll(async () => {
    line = await openLine(engines, { what: "shape", signal, log: (text) => console.log(text) });
    close = () => closeLine(line);
    roads = { ...line.settings, pipeline: "roads", pipelines: folder };
    given = join(line.folder, "roads.json");
    writeFileSync(given, JSON.stringify(roads));
    const sample = join(engines.root, "samples", "us-cities-hourly.csv.gz");
    await startJobs(
      line,
      ["features", "replay"],
      [sample, "--from", "2016-06-01T00:00:00Z", "--speed", "600"],
    );
    weather = { features: submissionOf("weather-features"), replay: submissionOf("weather-replay") };
    cpSync(join(engines.root, "ts", "test", "pipelines", "roads"), join(folder, "roads"), {
      recursive: true,
    });
  }, DEADLINE_MS);
  afterAll(async () => {
    addPipelines(null);
    await close();
    rmSync(folder, { recursive: true, force: true });
  }, DEADLINE_MS);

  it("is generated and applied from an empty place outside the checkout, and its jobs start", async () => {
    await millrace("generate", "--pipelines", folder);
    await millrace("apply");
    addPipelines(folder);
    names = namesOf(pipelineOf("roads").pipeline, line.settings.namespace);
    const topics = await line.kafka.admin.topics();
    expect(topics).toEqual(expect.arrayContaining(topicsOf(names).map(({ topic }) => topic)));
    await millrace("submit", "--pipeline", "roads", "--wait", String(DEADLINE_MS / 1000));
    expect(
      Object.keys(readDesired(line.settings))
        .filter((job) => job.startsWith("roads-"))
        .sort(),
    ).toEqual(["roads-kept", "roads-refuse", "roads-totals"]);
  });

  it("takes what is sent to each stream, and asks which one where none is named", async () => {
    const refused = await execa(
      join(engines.root, "bin", "millrace"),
      ["replay", join(folder, "roads", "samples", "notices.csv"), "--settings", given],
      { reject: false },
    );
    expect(refused).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining("expected one of notices, counts"),
    });
    const notices = join(folder, "roads", "samples", "notices.csv");
    await millrace("replay", "--stream", "notices", notices, "--speed", "max");
    // The same on the day before and now, so that it does not matter when midnight comes.
    const times = [Math.floor(Date.now() / DAY_MS) * DAY_MS - DAY_MS / 2, Date.now()];
    const rows = times.flatMap((ms) => {
      const time = new Date(ms).toISOString();
      return [`c-1,${time},car,181,true`, `c-2,${time},car,9,false`, `c-3,${time},truck,,true`];
    });
    const counts = file("counts.csv", `counter_id,counted_at,kind,vehicles,wet\n${rows.join("\n")}\n`);
    await millrace("replay", "--stream", "counts", counts, "--speed", "max");
    const printed = await millrace("tail", "counts", "--json", "--from-beginning");
    expect(printed.trim().split("\n")).toHaveLength(6);
  });

  it("says what is refused of either stream, in one topic", async () => {
    const notices = topicOf(names, "notices").topic;
    const counts = topicOf(names, "counts").topic;
    const lost = { site_id: "p-9", reported_at: Date.now(), state: "lost" };
    await sendRaw([
      { topic: notices, partition: 0, key: "p-9", value: Buffer.from(JSON.stringify(lost)) },
      { topic: counts, partition: 0, key: "c-9", value: Buffer.from(JSON.stringify(lost)) },
    ]);
    const { contract } = pipelineOf("roads");
    const rejects = await eventually(
      "rejects",
      () => readRejects({ ...line, names, contract }),
      (seen) => seen.length >= 2,
    );
    expect(rejects.map((one) => [contractOf(one, { names, contract })?.stream, one.reason]).sort()).toEqual([
      ["counts", "bad_framing"],
      ["notices", "out_of_range"],
    ]);
    const listed = await millrace("rejects", "list", "--stream", "counts", "--json");
    expect(listed).toContain(rejectId(rejects.find(({ topic }) => topic === counts)!));
    expect(listed).not.toContain(notices);
  });

  it("keeps each of 100,000 sites once, over a killed supervisor and a killed driver, and nothing that grows with them", async () => {
    // Both queries run beside each other, and one of them is asked for before everything falls.
    await submitJobs(roads, line.kafka, ["totals"], { now: true });
    await sendSites(0, SITES / 2);
    await eventually("some of the sites", committed, (rows) => rows > 6);
    const cursors = await keysOf(names.topics.cursors.topic);
    const victim = await eventually(
      "the driver",
      () => sparkDriver(line.settings, "roads-kept", 0.2),
      (seen) => seen !== null,
    );
    const supervisor = supervisorOf(line.settings)!;
    await kill({ what: "supervisor", processes: [supervisor] });
    await kill(victim!);
    await sendSites(SITES / 2, SITES);
    startSupervisor({ ...line.settings, pipelines: folder });
    await eventually("all sites", committed, (rows) => rows >= SITES + 6);
    // Four of the six notices of the sample are of different sites.
    expect(await kept()).toEqual({ rows: SITES + 6, sites: SITES + 4, places: SITES + 6 });
    expect(await keysOf(names.topics.cursors.topic)).toEqual(cursors);
    const jobs = Object.keys(readDesired(line.settings));
    expect((await keysOf(names.topics.progress.topic)).filter((key) => !jobs.includes(key))).toEqual([]);
  });

  it("has run its scheduled query over the day before, once", async () => {
    const place = tables(roads).results({ name: "totals", sink: { kind: "json_lines" } });
    const files = await eventually(
      "a run's file",
      () => (existsSync(place) ? readdirSync(place).filter((name) => name.endsWith(".jsonl")) : []),
      (seen) => seen.length > 0,
    );
    const lines = files.flatMap((name) => readFileSync(join(place, name), "utf8").trim().split("\n"));
    expect(lines.map((text) => JSON.parse(text) as unknown)).toEqual([
      { kind: "car", counts: 2, vehicles: 190, wet_counters: 1 },
      { kind: "truck", counts: 1, vehicles: null, wet_counters: 1 },
    ]);
  });

  it("is stopped, goes on where it had stopped once started again, and the weather has gone on all the time", async () => {
    const features = topicOf(line.names, "features").topic;
    const before = await ends(features);
    await millrace("stop", "--pipeline", "roads");
    // While nobody reads.
    await sendSites(SITES, SITES + LATER);
    await millrace("submit", "roads-kept", "--pipeline", "roads", "--wait", String(DEADLINE_MS / 1000));
    await eventually("the sites that came meanwhile", committed, (rows) => rows >= SITES + LATER + 6);
    expect(await kept()).toEqual({
      rows: SITES + LATER + 6,
      sites: SITES + LATER + 4,
      places: SITES + LATER + 6,
    });
    await millrace("stop", "--pipeline", "roads");
    const left = supervisedJobs(line.settings).filter(
      ({ name, submission }) => name.startsWith("roads-") && submission !== null,
    );
    expect(left).toEqual([]);
    await eventually(
      "windows of the weather",
      () => ends(features),
      (now) => now > before,
    );
    expect({
      features: submissionOf("weather-features"),
      replay: submissionOf("weather-replay"),
    }).toEqual(weather);
  });

  it("is known to nobody once its folder is deleted and it is removed", async () => {
    rmSync(folder, { recursive: true, force: true });
    addPipelines(folder, { required: false });
    expect(await millrace("remove", "roads", "--dry-run")).toContain(topicOf(names, "notices").topic);
    await millrace("remove", "roads", "--yes");
    expect(pipelineNames()).toEqual(["city", "meters", "weather"]);
    expect(() => pipelineOf("roads")).toThrow("expected one of city, meters, weather");
    expect(Object.keys(readDesired(line.settings)).sort()).toEqual(["weather-features", "weather-replay"]);
    const prefix = `${line.settings.namespace}-roads-`;
    // Its application has lost its last member and its folder, and ends by itself.
    await eventually(
      "nothing of it at Spark",
      async () => {
        const spark = await runnersOf(line.settings).spark.list();
        return spark.filter(
          ({ handle, status }) => handle.submission.startsWith(prefix) && status.state === "running",
        );
      },
      (seen) => seen.length === 0,
    );
    const topics = await line.kafka.admin.topics();
    expect(topics.filter((topic) => topic.includes("-roads-"))).toEqual([]);
    expect((await line.registry.subjects()).filter((subject) => subject.includes("-roads-"))).toEqual([]);
    expect(existsSync(table())).toBe(false);
    // Commands and a new supervisor go on without it.
    const supervisor = supervisorOf(line.settings)!;
    await kill({ what: "supervisor", processes: [supervisor] });
    startSupervisor(line.settings);
    await eventually(
      "the new supervisor has the weather",
      () => ({ again: supervisorOf(line.settings) !== null, features: submissionOf("weather-features") }),
      ({ again, features }) => again && features === weather.features,
    );
    writeFileSync(given, JSON.stringify({ ...line.settings, pipelines: folder }));
    expect(await millrace("jobs")).toContain("weather-features");
    expect(existsSync(join(stateDir(line.settings), "settings.json"))).toBe(true);
  });
});
