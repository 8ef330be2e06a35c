// A pipeline of another shape, two streams of unlike records in unlike formats and queries of each, in a folder outside the
// checkout: generated, applied, planned, fed by its samples, read and sent again, without an engine.

import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { list } from "../cli/data/rejects.ts";
import { printRecords, topicNamed } from "../cli/data/tail.ts";
import { generate } from "../codegen/generate.ts";
import { Decoder, definitionOf, encoder } from "../contract/index.ts";
import { jumpingClock } from "../ground/clock.ts";
import { writeJson } from "../ground/json.ts";
import { jobsOf, jobTypeOf, standardOf } from "../jobs/index.ts";
import { readAll, sendOnce } from "../kafka/kafka.ts";
import { addPipelines, inStream, namesOf, pipelineOf, streamSchema, topicOf } from "../pipelines/index.ts";
import { settingsFrom } from "../settings/environment.ts";
import { stateDir } from "../settings/settings.ts";
import { resend } from "../source/rejects.ts";
import { feed } from "../source/replay/feed.ts";
import { fileInput } from "../source/replay/input.ts";
import { spanOf, targetOf } from "../source/send/target.ts";
import { fakeKafka } from "../test/fakes/kafka.ts";
import { memoryRegistry } from "../test/fakes/registry.ts";
import { appliedPipelines, readApplied, writeApplied } from "./applied.ts";
import { apply } from "./apply.ts";
import { always, changeDesired } from "./desired.ts";
import { epochOf, readEpoch } from "./epoch.ts";
import { planRemoval, remove } from "./remove.ts";
import { settingOf } from "./submit.ts";

const root = join(import.meta.dirname, "..", "..");
const STREAMS = ["notices", "counts"] as const;
let place = "";
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), "roads-"));
  cpSync(join(root, "ts/test/pipelines/roads"), join(place, "mine", "roads"), { recursive: true });
});
afterEach(() => {
  addPipelines(null);
  rmSync(place, { recursive: true, force: true });
});
const mine = () => join(place, "mine");

/** Everything up to and with `apply`. */
async function applied() {
  generate({ root, check: false, pipelines: mine() });
  const settings = settingsFrom(
    root,
    { MILLRACE_HOME: join(place, "home") },
    { namespace: "x", pipelines: mine(), pipeline: "roads" },
  );
  const kafka = fakeKafka();
  const registry = memoryRegistry();
  const report = await apply({ settings, kafka, registry });
  const { pipeline, contract } = pipelineOf("roads");
  return { settings, kafka, registry, report, pipeline, contract, names: namesOf(pipeline, "x") };
}
type Ground = Awaited<ReturnType<typeof applied>>;

async function sendSample({ kafka, registry, names, contract: whole }: Ground, stream: string) {
  const contract = inStream(whole, stream);
  const target = await targetOf({ kafka, registry, names, contract, source: "replay" });
  const path = join(mine(), "roads", "samples", `${stream}.csv`);
  const span_ms = spanOf(contract);
  return feed(fileInput({ path, contract }), target, {
    speed: "max",
    loop: false,
    span_ms,
    clock: jumpingClock(),
  });
}

async function printed({ kafka, registry, names, contract }: Ground, stream: string) {
  const found: { key: string; value: Record<string, unknown> }[] = [];
  const topic = topicNamed(names, stream);
  const unframed = definitionOf(streamSchema(inStream(contract, stream)));
  const flags = { topic, unframed, json: true, from_beginning: true, follow: false, limit: 100 };
  const print = (line: string) => found.push(JSON.parse(line) as (typeof found)[number]);
  await printRecords({ kafka, registry }, flags, { print, signal: new AbortController().signal });
  return found;
}

/** Rejects as `refuse` writes them, by the applied schema. */
async function refused(ground: Ground, stream: string, rest: Record<string, unknown>): Promise<string> {
  const { kafka, registry, names, contract } = ground;
  const id = await registry.idOf(names.topics.rejects.subject, contract.schemas.rejects);
  const { topic } = topicOf(names, stream);
  const nothing = { field: null, site_id: null, counter_id: null, schema_id: null, headers: {} };
  const reject = { ...nothing, topic, partition: 0, offset: 7, reason: "out_of_range", detail: "" };
  const encode = encoder<Record<string, unknown>>(contract.schemas.rejects, id);
  const value = encode({ ...reject, append_time: NOW_MS, rejected_time: NOW_MS, ...rest });
  await sendOnce(kafka, `test-${stream}`, [{ topic: names.topics.rejects.topic, key: "k", value }]);
  return `${topic}/0/7`;
}
const NOW_MS = Date.UTC(2024, 1, 28);

describe("a pipeline of two streams and their queries", () => {
  it("is generated whole, by nobody's name but its own", () => {
    const paths = generate({ root, check: false, pipelines: mine() }).map(({ path }) => path);
    const python = "generated/pyspark/spark_jobs/generated";
    expect(paths).toEqual([
      ...["contract", "streams", "totals"].map((name) => `${python}/roads_${name}.py`),
      "generated/roads.ts",
      "generated/schemas/lane_count.json",
      "generated/schemas/lane_count.proto",
      "generated/schemas/road_notice.json",
      "generated/schemas/road_notice.proto",
      "generated/schemas/roads_rejects.avsc",
    ]);
  });

  it("is applied: a topic and a subject a stream, each in its format, and one of rejects", async () => {
    const { report, registry, kafka, settings } = await applied();
    expect(report.subjects.map(({ subject }) => subject)).toEqual([
      "x-roads-notices-value",
      "x-roads-counts-value",
      "x-roads-cursors-value",
      "x-roads-rejects-value",
      "x-job-progress-value",
    ]);
    expect((await kafka.admin.topics()).sort()).toEqual(
      ["x-job-progress", "x-roads-counts", "x-roads-cursors", "x-roads-notices", "x-roads-rejects"].sort(),
    );
    const format = async (subject: string) =>
      definitionOf((await registry.versions(subject)).at(-1)!.schema).format;
    expect(await format("x-roads-notices-value")).toBe("json");
    expect(await format("x-roads-counts-value")).toBe("protobuf");
    const { tables, readable } = readApplied(settings)!;
    expect(readable).toEqual(STREAMS.flatMap((stream) => Object.keys(tables[stream]!).map(Number)));
  });

  it("has a job a query, and one that says what is refused of streams that no window reads", async () => {
    const { pipeline, settings } = await applied();
    expect([...jobsOf(pipeline)].sort()).toEqual(["kept", "refuse", "replay", "totals"]);
    expect([...standardOf(pipeline)].sort()).toEqual(["kept", "refuse", "totals"]);
    const setting = settingOf(settings);
    const { tables } = setting.applied;
    const epoch = {
      plan_hash: "0123456789abcdef",
      plan_epoch: 1,
      starting_offsets: "earliest",
      publish_from_ms: null,
    };
    const plan = (job: string) => jobTypeOf(pipeline, job).plan(setting, { epoch }).params;
    const reading = (stream: string) => ({
      stream,
      raw_topic: `x-roads-${stream}`,
      raw_schemas: tables[stream],
    });
    expect(plan("kept")).toMatchObject(reading("notices"));
    expect(plan("totals")).toMatchObject(reading("counts"));
    expect(plan("refuse")).toMatchObject({
      streams: STREAMS.map(reading),
      rejects_topic: "x-roads-rejects",
      rejects_schema_id: setting.applied.writers.rejects,
      checkpoint_path: join(place, "home", "x", "checkpoints", "roads-refuse"),
    });
    // A checkpoint depends on the stream that its query reads, whichever one the contract is turned to, and on no other.
    const { plan_hash } = jobTypeOf(pipeline, "kept").checkpoint!;
    const hashWith = (stream: string) => {
      const turned = inStream(setting.contract, stream);
      return plan_hash({ ...setting, contract: { ...turned, lateness_ms: turned.lateness_ms + 1 } });
    };
    expect(hashWith("counts")).toBe(plan_hash(setting));
    expect(hashWith("notices")).not.toBe(plan_hash(setting));
  });

  it("is fed by its samples, each stream from a cursor of its own, and printed as it was sent", async () => {
    const ground = await applied();
    for (const stream of STREAMS) expect(await sendSample(ground, stream)).toMatchObject({ sent: 6 });
    const notices = await printed(ground, "notices");
    expect(notices).toHaveLength(6);
    expect(notices.map(({ value }) => value)).toContainEqual({
      site_id: "p-1002",
      reported_at: Date.UTC(2024, 1, 26, 8, 10),
      state: "open",
      blocked: true,
      until: 19_782,
      note: "Wasserrohrbruch – Zufahrt nur zu Fuß",
    });
    const counts = await printed(ground, "counts");
    expect(counts).toHaveLength(6);
    expect(counts.map(({ value }) => value)).toContainEqual({
      counter_id: "c-2",
      counted_at: Date.UTC(2024, 1, 28, 6, 30),
      kind: "bicycle",
      vehicles: 0,
      wet: true,
      checked_on: null,
      remark: null,
    });
    for (const { key, value } of [...notices, ...counts])
      expect(key).toBe(value["site_id"] ?? value["counter_id"]);
    const cursors = await readAll(ground.kafka, ground.names.topics.cursors.topic);
    expect(new Set(cursors.map(({ key }) => String(key)))).toEqual(
      new Set(["replay-notices-0", "replay-counts-0"]),
    );
    // Again from its own cursor: nothing is sent twice.
    for (const stream of STREAMS) expect(await sendSample(ground, stream)).toMatchObject({ sent: 0 });
  });

  it("takes no record of one stream for one of the other, and refuses the same faults alike", async () => {
    const ground = await applied();
    const { kafka, registry, contract, names } = ground;
    for (const stream of STREAMS) {
      const { topic, subject } = topicOf(names, stream);
      const id = await registry.idOf(subject, streamSchema(inStream(contract, stream)));
      const framed = (number: number, ...body: number[]) => Buffer.from([0, 0, 0, 0, number, ...body]);
      const values = [framed(99, 0), framed(id, 0, 0x0a, 9), framed(id), Buffer.from('{"site_id":"p-9"}')];
      await sendOnce(
        kafka,
        `test-${stream}`,
        values.map((value) => ({ topic, partition: 0, key: "k", value })),
      );
    }
    const verdicts = async (stream: string) =>
      (await printed(ground, stream)).map(({ value }) => value["refused"] ?? "taken");
    expect(await verdicts("notices")).toEqual(["unknown_schema", "undecodable", "undecodable", "taken"]);
    expect(await verdicts("counts")).toEqual(["unknown_schema", "undecodable", "undecodable", "bad_framing"]);
  });

  it("has rejects of both streams in one topic, and sends each again to its own, in its own format", async () => {
    const ground = await applied();
    const { registry, names, contract, kafka } = ground;
    const notice = await refused(ground, "notices", {
      site_id: "p-1",
      key: Buffer.from("p-1"),
      value: Buffer.from(JSON.stringify({ site_id: "p-1", reported_at: NOW_MS, state: "lost", note: "n" })),
    });
    const counts = inStream(contract, "counts");
    const count = await refused(ground, "counts", {
      counter_id: "c-1",
      key: Buffer.from("c-1"),
      value: null,
    });
    const place = { kafka, registry, names, contract };
    const listed = async (stream: string | null) => {
      const lines: string[] = [];
      await list(place, { reason: null, stream, limit: 10, json: false }, (line) => lines.push(line));
      return lines.slice(0, -1).map((line) => line.split("  ").slice(0, 3).join(" "));
    };
    expect((await listed(null)).sort()).toEqual([`${count} out_of_range c-1`, `${notice} out_of_range p-1`]);
    expect(await listed("notices")).toEqual([`${notice} out_of_range p-1`]);
    await expect(listed("raw")).rejects.toThrow("expected one of notices, counts");

    await resend(place, [notice], { state: "closed" });
    await resend(place, [count], { counted_at: new Date(NOW_MS).toISOString(), kind: "car", vehicles: 3 });
    expect(await printed(ground, "notices")).toMatchObject([
      { key: "p-1", value: { state: "closed", note: "n" } },
    ]);
    expect(await printed(ground, "counts")).toMatchObject([
      { key: "c-1", value: { kind: "car", vehicles: 3 } },
    ]);
    const [sent] = await readAll(kafka, topicOf(names, "counts").topic);
    expect(String(sent!.headers["origin"])).toBe(count);
    // By the id it was written with it is protobuf and no Avro.
    const avro = new Decoder(counts.schemas.observation, async () => counts.schemas.observation);
    expect(await avro.decode(sent!.value)).not.toMatchObject({ record: { vehicles: 3 } });
  });

  describe("is removed", () => {
    const first = async () => ({ starting_offsets: "earliest", publish_from_ms: null });
    /** Beside a pipeline of the checkout that has state too. */
    async function beside() {
      const ground = await applied();
      const { settings, kafka, registry } = ground;
      await apply({ settings: { ...settings, pipeline: "meters" }, kafka, registry });
      for (const job of ["roads-kept", "meters-features"]) {
        await epochOf(settings, job, "0123456789abcdef", first);
        mkdirSync(join(stateDir(settings), "checkpoints", `${job}-0123456789ab-e1`), { recursive: true });
      }
      mkdirSync(join(stateDir(settings), "tables", "roads-kept"), { recursive: true });
      for (const name of ["x-roads-kept-01234567-a1.json", "roads-meters-features-01234567-a1.json"])
        writeJson(join(stateDir(settings), "jobs", name), {});
      return ground;
    }
    const deleteFolder = () => {
      rmSync(mine(), { recursive: true, force: true });
      addPipelines(mine(), { required: false });
    };

    it("with its topics, schemas and state, though its folder is gone, and nothing of its neighbour or of both", async () => {
      const { settings, kafka, registry } = await beside();
      const neighbour = readApplied({ ...settings, pipeline: "meters" });
      deleteFolder();
      const planned = planRemoval(settings);
      expect(planned).toEqual({
        pipeline: "roads",
        topics: ["x-roads-counts", "x-roads-cursors", "x-roads-notices", "x-roads-rejects"],
        subjects: ["counts", "cursors", "notices", "rejects"].map((what) => `x-roads-${what}-value`),
        paths: [
          "checkpoints/roads-kept-0123456789ab-e1",
          "tables/roads-kept",
          "jobs/x-roads-kept-01234567-a1.json",
        ].map((path) => join(stateDir(settings), path)),
        stays: [],
      });
      expect(await remove(settings, { kafka, registry })).toEqual(planned);
      const left = [...(await kafka.admin.topics()), ...(await registry.subjects())];
      expect(left.filter((name) => name.includes("roads"))).toEqual([]);
      expect(left).toEqual(
        expect.arrayContaining([
          "x-job-progress",
          "x-meters-raw",
          "x-job-progress-value",
          "x-meters-raw-value",
        ]),
      );
      expect(planned.paths.filter((path) => existsSync(path))).toEqual([]);
      expect(readEpoch(settings, "roads-kept")).toBeNull();
      expect(readEpoch(settings, "meters-features")).not.toBeNull();
      expect(existsSync(join(stateDir(settings), "checkpoints", "meters-features-0123456789ab-e1"))).toBe(
        true,
      );
      expect(readApplied({ ...settings, pipeline: "meters" })).toEqual(neighbour);
      expect(appliedPipelines(settings)).toEqual(["meters"]);
      expect(() => planRemoval(settings)).toThrow("expected one that was applied there, got meters");
    });

    it("not while a job of it should run", async () => {
      const { settings, pipeline } = await beside();
      const plan = jobTypeOf(pipeline, "refuse").plan(settingOf(settings), {});
      await changeDesired(settings, () => ({ [plan.name]: always(plan) }));
      expect(() => planRemoval(settings)).toThrow("expected no job of it to run, got roads-refuse");
    });

    it("by its definition where apply had not written down what is its own, and not without either", async () => {
      const { settings } = await beside();
      const planned = planRemoval(settings);
      const { owns: _, ...before } = readApplied(settings)!;
      writeApplied(settings, before);
      expect(planRemoval(settings)).toEqual(planned);
      deleteFolder();
      expect(() => planRemoval(settings)).toThrow(
        "expected its folder, or a record of what is its own, got neither",
      );
    });
  });
});
