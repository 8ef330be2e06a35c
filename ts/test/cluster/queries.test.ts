// Two pipelines in a folder outside the checkout, one stream in JSON, one in protobuf, and queries of both into every sink, on the
// real engines: registered, sent, decoded and refused in their formats, and each row in each sink once, over a driver killed in
// mid-stream.

import { randomBytes } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, it, vi } from "vitest";
import { printRecords } from "../../cli/data/tail.ts";
import { generate } from "../../codegen/generate.ts";
import { definitionOf } from "../../contract/index.ts";
import { driverOf } from "../../engines/application.ts";
import { until } from "../../ground/until.ts";
import { tables } from "../../jobs/plan/tables.ts";
import { connectKafka } from "../../kafka/client.ts";
import { connectRegistry } from "../../kafka/registry.ts";
import { addPipelines, namesOf, pipelineOf, streamSchema, topicOf } from "../../pipelines/index.ts";
import { kill, sparkDriver } from "../../rehearse/prove/victims.ts";
import type { Settings } from "../../settings/settings.ts";
import { rawRecords, targetOf } from "../../source/send/target.ts";
import { apply } from "../../supervise/apply.ts";
import { readRecords } from "../../supervise/run.ts";
import { stopNamespace } from "../../supervise/stop.ts";
import { submitJobs, untilEnded, untilRunning, withdrawJobs } from "../../supervise/submit.ts";

const engines = inject("engines");
const DEADLINE_MS = 600_000;
vi.setConfig({ testTimeout: 3 * DEADLINE_MS, hookTimeout: DEADLINE_MS });

const folder = mkdtempSync(join(tmpdir(), "queries-"));
const namespace = `q-${randomBytes(3).toString("hex")}`;
const at = (pipeline: string): Settings => ({ ...engines, namespace, pipeline, pipelines: folder });
const kafka = connectKafka(engines.kafka);
const registry = connectRegistry(engines.registryUrl);

const query = (name: string, functionName: string, rest: object) => ({
  name,
  summary: name,
  function: functionName,
  reads: "raw",
  ...rest,
});

/** The pipeline of road works, under another name, in another format, with queries. */
function write(name: string, format: string, queries: readonly object[]): void {
  const works = join(engines.root, "ts", "test", "pipelines", "works");
  mkdirSync(join(folder, name));
  cpSync(join(works, "works_notice.avsc"), join(folder, name, "works_notice.avsc"));
  const text = readFileSync(join(works, "pipeline.ts"), "utf8")
    .replace("export const works", `export const ${name}`)
    .replace('name: "works"', `name: "${name}"`)
    .replace("duplicates:", `format: "${format}", duplicates:`)
    .replace("archive: { trigger_ms: 60_000 },", `queries: ${JSON.stringify(queries)},`)
    .replace(/^import .*$/m, "")
    .replace(" as const satisfies Pipeline", "");
  writeFileSync(join(folder, name, "pipeline.ts"), text);
  const python = join(folder, name, "pyspark", "spark_jobs", "queries");
  mkdirSync(python, { recursive: true });
  writeFileSync(
    join(python, `${name}.py`),
    [
      "from pyspark.sql import DataFrame",
      "from pyspark.sql import functions as F",
      "",
      "",
      "def notices(observations: DataFrame) -> DataFrame:",
      '    return observations.select("site_id", "state", "until", "raw_partition", "raw_offset")',
      "",
      "",
      "def states(observations: DataFrame) -> DataFrame:",
      '    return observations.groupBy("state").agg(F.count(F.lit(1)).alias("notices")).orderBy("state")',
      "",
    ].join("\n"),
  );
}

const HOUR_MS = 3_600_000;
const span_ms = 2 * HOUR_MS;

beforeAll(async () => {
  write("works", "json", [
    query("listed", "works.notices", { sink: { kind: "json_lines" }, trigger_ms: 500 }),
    query("sent", "works.notices", { sink: { kind: "kafka", partitions: 2 }, trigger_ms: 500 }),
    query("states", "works.states", {
      sink: { kind: "json_lines" },
      schedule: "0 0 1 1 *",
      span_ms,
      step_ms: 1,
    }),
  ]);
  write("digs", "protobuf", [query("kept", "digs.notices", { sink: { kind: "delta" }, trigger_ms: 500 })]);
  generate({ root: engines.root, check: false, pipelines: folder });
  addPipelines(folder);
  for (const pipeline of ["works", "digs"]) await apply({ settings: at(pipeline), kafka, registry });
});
afterAll(async () => {
  await stopNamespace(at("works"));
  await kafka.close();
  addPipelines(null);
  rmSync(folder, { recursive: true, force: true });
});

const sent = { works: 0, digs: 0 };

/** Notices of now, numbered on, through the source's own encoder. */
async function send(pipeline: "works" | "digs", count: number): Promise<void> {
  const { contract, pipeline: definition } = pipelineOf(pipeline);
  const names = namesOf(definition, namespace);
  const target = await targetOf({ kafka, registry, names, contract, source: "test" });
  const now = Date.now();
  const observations = Array.from({ length: count }, (_, i) => {
    const site_id = `site-${sent[pipeline] + i}`;
    const record = {
      site_id,
      reported_at: now,
      state: "open",
      blocked: i % 2 === 0,
      lanes: i % 12,
      until: 19_000 + i,
      note: i % 3 === 0 ? null : "ä",
    };
    return { key: site_id, record, clock_ms: now };
  });
  await raw(pipeline, rawRecords(target, observations));
  sent[pipeline] += count;
}

async function raw(pipeline: string, records: readonly object[]): Promise<void> {
  const producer = await kafka.producer({
    transactional_id: `${namespace}-${pipeline}-${randomBytes(4).toString("hex")}`,
  });
  const transaction = await producer.begin();
  await transaction.send(records as Parameters<typeof transaction.send>[0]);
  await transaction.commit();
  await producer.close();
}

const sites = (count: number) => Array.from({ length: count }, (_, i) => `site-${i}`).sort();

function lines(name: string): Record<string, unknown>[] {
  const place = tables(at("works")).results({ name, sink: { kind: "json_lines" } });
  if (!existsSync(place)) return [];
  return readdirSync(place)
    .filter((file) => file.endsWith(".jsonl"))
    .flatMap((file) => readFileSync(join(place, file), "utf8").trimEnd().split("\n"))
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

async function printed(topic: string, pipeline: string, unframed: "any_json" | "raw" = "any_json") {
  const found: Record<string, unknown>[] = [];
  const applied = definitionOf(streamSchema(pipelineOf(pipeline).contract));
  await printRecords(
    { kafka, registry },
    {
      topic,
      unframed: unframed === "raw" ? applied : unframed,
      json: true,
      from_beginning: true,
      follow: false,
      limit: 1_000,
    },
    {
      print: (line) => found.push((JSON.parse(line) as { value: Record<string, unknown> }).value),
      signal: new AbortController().signal,
    },
  );
  return found;
}

const ids = (rows: readonly Record<string, unknown>[]) => rows.map((row) => String(row["site_id"])).sort();

async function settles(what: string, look: () => Promise<string[]> | string[], wanted: readonly string[]) {
  const { done, seen } = await until(
    async () => {
      const seen = await look();
      return { done: seen.length >= wanted.length, seen };
    },
    { deadline_ms: DEADLINE_MS, interval_ms: 1_000 },
  );
  expect(done, `${what}: ${seen.length} of ${wanted.length}`).toBe(true);
  expect(seen).toEqual(wanted);
}

describe("streams in JSON and protobuf", () => {
  it("are registered in their formats, and again is the same", async () => {
    for (const [pipeline, type] of [
      ["works", "JSON"],
      ["digs", "PROTOBUF"],
    ] as const) {
      const subject = topicOf(namesOf(pipelineOf(pipeline).pipeline, namespace), "raw").subject;
      const response = await fetch(`${engines.registryUrl}/subjects/${subject}/versions/latest`);
      expect(await response.json()).toMatchObject({ schemaType: type });
      const again = await apply({ settings: at(pipeline), kafka, registry });
      expect(again.subjects.map(({ change }) => change)).not.toContain("evolved");
      expect(again.subjects.map(({ change }) => change)).not.toContain("new");
    }
  });

  it("are decoded by tail, with those of writers that know no registry", async () => {
    await send("works", 20);
    await send("digs", 20);
    const { topic } = topicOf(namesOf(pipelineOf("works").pipeline, namespace), "raw");
    const foreign = { site_id: "site-20", reported_at: Date.now(), state: "open", until: "2024-02-29" };
    await raw("works", [
      { topic, key: "site-20", value: Buffer.from(JSON.stringify(foreign)) },
      { topic, key: "site-21", value: Buffer.from('{"site_id":"site-21"') },
      {
        topic,
        key: "site-22",
        value: Buffer.from(JSON.stringify({ ...foreign, site_id: "site-22", state: "lost" })),
      },
    ]);
    sent.works = 21;
    const found = await printed(topic, "works", "raw");
    expect(found).toHaveLength(23);
    expect(found.filter((value) => "refused" in value)).toMatchObject([{ refused: "undecodable" }]);
    expect(found.find((value) => value["site_id"] === "site-20")).toMatchObject({
      until: 19_782,
      lanes: null,
    });
    const packed = topicOf(namesOf(pipelineOf("digs").pipeline, namespace), "raw").topic;
    expect(ids(await printed(packed, "digs", "raw"))).toEqual(sites(20));
  });
});

describe("queries", () => {
  it("hand each accepted row to each sink once, over a killed driver", async () => {
    const works = await submitJobs(at("works"), kafka, ["listed", "sent"]);
    const digs = await submitJobs(at("digs"), kafka, ["kept"]);
    await untilRunning(at("works"), { ...works, ...digs }, { deadline_ms: DEADLINE_MS });
    // Those of one pipeline share a driver, and no other's.
    const [shared, also, other] = ["works-listed", "works-sent", "digs-kept"].map(driver);
    expect(also).toBe(shared);
    expect(other).not.toBe(shared);
    await settles("listed", () => ids(lines("listed")), sites(21));
    await settles("sent", async () => ids(await inTopic()), sites(21));
    for (const job of ["works-listed", "works-sent", "digs-kept"]) {
      const victim = sparkDriver(at("works"), job, 0.2);
      if (victim) await kill(victim);
    }
    await send("works", 30);
    await send("digs", 30);
    await settles("listed", () => ids(lines("listed")), sites(51));
    await settles("sent", async () => ids(await inTopic()), sites(51));
    const delta = tables(at("digs")).results({ name: "kept", sink: { kind: "delta" } });
    await settles("kept", () => deltaIds(delta), sites(50));
  });

  it("are taken out and added one by one while the others go on, and Spark shows them by name", async () => {
    const desired = await submitJobs(at("works"), kafka, ["listed", "sent"]);
    await untilRunning(at("works"), desired, { deadline_ms: DEADLINE_MS });
    expect(await shownBySpark("works")).toEqual(["works-listed", "works-sent"]);
    const [before, sent_before] = ["works-listed", "works-sent"].map(submission);
    await withdrawJobs(at("works"), ["works-sent"]);
    await untilEnded(at("works"), ["works-sent"], { deadline_ms: DEADLINE_MS });
    await send("works", 10);
    await settles("listed", () => ids(lines("listed")), sites(61));
    expect(ids(await inTopic())).toEqual(sites(51));
    const shared = driver("works-listed");
    const again = await submitJobs(at("works"), kafka, ["sent"]);
    await untilRunning(at("works"), again, { deadline_ms: DEADLINE_MS });
    await settles("sent", async () => ids(await inTopic()), sites(61));
    expect(submission("works-listed")).toBe(before);
    expect(submission("works-sent")).not.toBe(sent_before);
    expect(["works-listed", "works-sent"].map(driver)).toEqual([shared, shared]);
  });

  it("run when asked, over a range up to then, and replace their own results", async () => {
    const desired = await submitJobs(at("works"), kafka, ["states"], { now: true });
    await untilRunning(at("works"), desired, { deadline_ms: DEADLINE_MS });
    const { done } = await until(() => ({ done: lines("states").length > 0, seen: null }), {
      deadline_ms: DEADLINE_MS,
    });
    expect(done).toBe(true);
    expect(lines("states")).toEqual([{ state: "open", notices: 61 }]);
  });
});

const inTopic = () =>
  printed(namesOf(pipelineOf("works").pipeline, namespace).results["sent"]!.topic, "works");

const handleOf = (job: string) => readRecords(at("works"))[job]?.submission?.handle;
const submission = (job: string) => handleOf(job)?.submission;
function driver(job: string): string {
  const handle = handleOf(job);
  if (!handle) throw new Error(`${job} has no submission`);
  return driverOf(handle).id;
}

/** Names of the queries on the page of a pipeline's application. */
async function shownBySpark(pipeline: string): Promise<string[]> {
  const page = async (url: string) => (await fetch(url)).text();
  const { activeapps } = JSON.parse(await page(`${engines.sparkUiUrl}/json/`)) as {
    activeapps: { id: string; name: string }[];
  };
  const app = activeapps.find(({ name }) => name.startsWith(`${namespace}-${pipeline}-streams-`))!;
  const about = await page(`${engines.sparkUiUrl}/app/?appId=${app.id}`);
  const own = /href="([^"]+)">Application Detail UI/.exec(about)![1]!;
  const queries = await page(`${own}/StreamingQuery/`);
  const names = [...queries.matchAll(new RegExp(`>\\s*(${pipeline}-[a-z]+)\\s*<`, "g"))].map(
    ([, name]) => name!,
  );
  return [...new Set(names)].sort();
}

/** By the reader that is not Spark. */
async function deltaIds(path: string): Promise<string[]> {
  const { execa } = await import("execa");
  const code = `import deltalake,json;print(json.dumps(sorted(deltalake.DeltaTable(${JSON.stringify(path)}).to_pyarrow_table()["site_id"].to_pylist())))`;
  const { stdout, exitCode } = await execa(engines.pythonPath, ["-c", code], { reject: false });
  return exitCode === 0 ? (JSON.parse(stdout) as string[]) : [];
}
