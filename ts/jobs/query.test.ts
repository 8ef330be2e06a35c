// Queries as jobs: one for each query of a pipeline, beside those of the other types.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseRecord } from "../contract/index.ts";
import type { Pipeline, Query } from "../pipelines/define.ts";
import { namesOf, pipelineOf, TOPICS, type TopicName } from "../pipelines/index.ts";
import { settingsOf } from "../settings/settings.ts";
import { readSubmission, submissionName } from "../supervise/submission.ts";
import { findType, jobsOf, jobTypeOf, sharesOf, standardOf } from "./index.ts";
import type { Setting } from "./plan/type.ts";

const root = join(import.meta.dirname, "..", "..");
const { pipeline: meters, contract } = pipelineOf("meters");
const shared = { summary: "", function: "meters.peaks", reads: "raw" } as const;
const queries: readonly Query[] = [
  {
    ...shared,
    name: "by_hour",
    sink: { kind: "json_lines", place: "hdfs:/weather_data" },
    schedule: "5 * * * *",
    span_ms: 86_400_000,
    step_ms: 3_600_000,
  },
  { ...shared, name: "high_power", sink: { kind: "kafka", partitions: 3 }, trigger_ms: 1_000 },
  { ...shared, name: "kept", sink: { kind: "delta" }, trigger_ms: 5_000, version: 2 },
];
const pipeline: Pipeline = { ...meters, queries };
const known = ["raw", ...TOPICS] as const;
const ids = Object.fromEntries(known.map((what, i) => [what, i + 1])) as Record<TopicName, number>;
const setting: Setting = {
  settings: settingsOf(root, { namespace: "x", pipeline: "meters" }),
  pipeline,
  contract,
  applied: {
    pipeline: "meters",
    fingerprint: contract.fingerprint,
    tables: Object.fromEntries(
      known.map((what) => [what, { "1": "{}" }]),
    ) as unknown as Setting["applied"]["tables"],
    writers: ids,
    readable: [1],
  },
  code: { spark: "s", ray: "r" },
  folders: { spark: "/code/spark", ray: "/code/ray" },
  shares: sharesOf({ settings: settingsOf(root, { namespace: "x", pipeline: "meters" }), pipeline }),
};
const epoch = {
  plan_hash: "0123456789abcdef",
  plan_epoch: 2,
  starting_offsets: "earliest",
  publish_from_ms: null,
};
const plan = (name: string) => jobTypeOf(pipeline, name).plan(setting, { epoch });

describe("a pipeline's queries", () => {
  it("are jobs by their own names, and their type is none", () => {
    expect(jobsOf(pipeline)).toEqual(expect.arrayContaining(["by_hour", "high_power", "kept", "features"]));
    expect(jobsOf(pipeline)).not.toContain("query");
    expect(standardOf(pipeline)).toEqual(expect.arrayContaining(["by_hour", "high_power", "kept"]));
    const { queries: _, ...without } = pipeline;
    expect(findType(without, "kept")).toBeNull();
    expect(() => jobTypeOf(without, "kept")).toThrow("meters-kept");
  });

  it.each(queries.map(({ name }) => name))("%s gets exactly the keys of its parameter record", (name) => {
    const path = join(root, "schemas", "avro", "params", "query_params.avsc");
    const wanted = parseRecord(readFileSync(path, "utf8"), path).fields.map((field) => field.name);
    const { params } = plan(name);
    expect(Object.keys({ ...params, submission: "" }).sort()).toEqual([...wanted].sort());
    expect(Object.values(params!)).not.toContain(undefined);
  });

  it("run by a schedule over a range, or all the time on a checkpoint of their own", () => {
    expect(jobTypeOf(pipeline, "by_hour")).toMatchObject({ kind: "batch", schedule: "5 * * * *" });
    expect(plan("by_hour")).toMatchObject({ finite: true, restarts: false });
    expect(plan("by_hour").params).toMatchObject({
      due_ms: null,
      span_ms: 86_400_000,
      step_ms: 3_600_000,
      trigger_ms: null,
      checkpoint_path: null,
      plan_epoch: null,
    });
    expect(jobTypeOf(pipeline, "kept")).toMatchObject({ kind: "stream" });
    expect(jobTypeOf(pipeline, "kept").schedule).toBeUndefined();
    expect(plan("kept").params).toMatchObject({
      checkpoint_path: join(root, ".millrace", "x", "checkpoints", "meters-kept-0123456789ab-e2"),
      plan_epoch: 2,
      trigger_ms: 5_000,
      due_ms: null,
      span_ms: null,
    });
  });

  it("leave their results where the sink says, apart by namespace", () => {
    expect(plan("by_hour").params).toMatchObject({
      sink: "json_lines",
      place: "hdfs://127.0.0.1:9820/weather_data/x/meters-by_hour",
    });
    expect(plan("by_hour").launch).toMatchObject({
      entrypoint: "/code/spark/spark_jobs/generated/meters_by_hour.py",
      properties: { "spark.hadoop.dfs.replication": "1" },
    });
    expect(plan("kept").params).toMatchObject({
      place: join(root, ".millrace", "x", "tables", "meters-kept"),
    });
    expect(plan("high_power").params).toMatchObject({ sink: "kafka", place: "x-meters-high-power" });
    expect(namesOf(pipeline, "x").results).toMatchObject({
      high_power: { topic: "x-meters-high-power", partitions: 3 },
    });
    expect(jobTypeOf(pipeline, "high_power").places?.(setting.settings)).toEqual([]);
  });

  it("begin a new checkpoint with another function, sink, version or lateness, and with nothing else", () => {
    const hash = (change: object, of = contract) => {
      const one = { ...pipeline, queries: [{ ...queries[2]!, ...change }] };
      return jobTypeOf(one, "kept").checkpoint!.plan_hash({ contract: of, pipeline: one });
    };
    const first = hash({});
    for (const change of [{ function: "meters.hours" }, { sink: { kind: "parquet" } }, { version: 3 }])
      expect(hash(change)).not.toBe(first);
    expect(hash({}, { ...contract, lateness_ms: 1 })).not.toBe(first);
    expect(hash({ summary: "Better words", trigger_ms: 1 })).toBe(first);
  });

  it("are found again by the names of their submissions", () => {
    const name = { job: "meters-by_hour", hash: "0a1b2c3d", unique: "abc" };
    expect(readSubmission("x-", submissionName("x-", name))).toEqual(name);
  });
});
