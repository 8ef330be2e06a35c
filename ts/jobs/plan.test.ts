// The plan sends every key its jobs ask for and nothing else, and keeps namespaces apart.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseRecord } from "../contract/index.ts";
import { pipelineOf, TOPICS, type TopicName } from "../pipelines/index.ts";
import { settingsOf } from "../settings/settings.ts";
import { always, type DesiredJob, runHash } from "../supervise/desired.ts";
import { planArchive } from "./archive.ts";
import { planBackfill } from "./backfill.ts";
import { planCertify } from "./certify.ts";
import { EVALUATE, planEvaluate } from "./evaluate.ts";
import { planFeatures } from "./features.ts";
import { sharesOf, typesOf } from "./index.ts";
import type { Applied, Setting } from "./plan/type.ts";
import { planReplay } from "./replay.ts";
import { planSeed } from "./seed.ts";
import { planServe } from "./serve.ts";
import { planTrain, TRAIN } from "./train.ts";

const root = join(import.meta.dirname, "..", "..");
const { pipeline, contract } = pipelineOf("weather");
const known = ["raw", ...TOPICS] as const;
const ids = Object.fromEntries(known.map((what, i) => [what, i + 1])) as Record<TopicName | "raw", number>;
const applied: Applied = {
  pipeline: "weather",
  fingerprint: contract.fingerprint,
  tables: Object.fromEntries(
    known.map((what) => [what, { [ids[what]]: "{}" }]),
  ) as unknown as Applied["tables"],
  writers: ids,
  readable: [ids.raw],
};
const setting = (namespace: string): Setting => ({
  settings: settingsOf(root, { namespace }),
  pipeline,
  contract,
  applied,
  code: { spark: "s", ray: "r" },
  folders: { spark: "/code/spark", ray: "/code/ray" },
  shares: sharesOf({ settings: settingsOf(root, { namespace }), pipeline }),
});
const epoch = {
  plan_hash: "0123456789abcdef",
  plan_epoch: 3,
  starting_offsets: "earliest",
  publish_from_ms: null,
};
const plans = (namespace: string) => {
  const of = setting(namespace);
  return {
    // What runs by its name alone is planned by its type; a batch with choices of its own by its function.
    ...Object.fromEntries(
      typesOf(pipeline)
        .filter(({ kind, schedule }) => kind === "stream" || schedule !== undefined)
        .map(({ name, plan }) => [name, plan(of, { epoch })] as const),
    ),
    backfill: planBackfill(of, { from: { files: ["/a.avro"] }, from_ms: null, to_ms: 5 }),
    certify: planCertify(of, {
      starting_offsets: "{}",
      ending_offsets: "{}",
      writer_schemas: {},
      from_ms: null,
      to_ms: 5,
      sample: 10,
      seed: 1,
      file_name: null,
      file_sha256: null,
      covers_from_ms: null,
      covers_to_ms: null,
      certificates_path: null,
    }),
    seed: planSeed(of, { cutover_ms: 7 }),
    train: planTrain(of, { ...TRAIN, cut_ms: 9 }),
    evaluate: planEvaluate(of, { ...EVALUATE, version: "1", split: "test" }),
  };
};

it("every job with parameters is planned here", () => {
  expect(Object.keys(plans("x")).sort()).toEqual(
    [...typesOf(pipeline).flatMap(({ name, module }) => (module === null ? [] : [name]))].sort(),
  );
});

describe.each(Object.entries(plans("x")))("%s", (job, plan) => {
  it("sends exactly the keys of its parameter record, null where there is nothing", () => {
    const path = join(root, "schemas", "avro", "params", `${job}_params.avsc`);
    const wanted = parseRecord(readFileSync(path, "utf8"), path).fields.map(({ name }) => name);
    expect(Object.keys({ ...plan.params, submission: "" }).sort()).toEqual([...wanted].sort());
    expect(Object.values(plan.params!)).not.toContain(undefined);
  });
});

it("nothing of one namespace is another's", () => {
  for (const { params } of Object.values(plans("blue")))
    for (const [key, value] of Object.entries(params!))
      if (/_topic$|_id$|_name$|_path$|_cache$/.test(key) && typeof value === "string")
        expect(`${key} ${value}`).toMatch(/blue/);
});

it("puts the archive where it is asked to, with one copy on an HDFS that has one DataNode and on no other", () => {
  const at = (archive: string) => {
    const of = setting("x");
    const settings = { ...of.settings, archive };
    const { launch, params } = planArchive({ ...of, settings, shares: sharesOf({ settings, pipeline }) });
    const copies = launch.engine === "spark" ? launch.properties["spark.hadoop.dfs.replication"] : "";
    return [params!["table_path"], copies];
  };
  expect(at("/else/")).toEqual(["/else/x/weather-archive", undefined]);
  expect(at("hdfs:/a")).toEqual(["hdfs://127.0.0.1:9820/a/x/weather-archive", "1"]);
  expect(at("hdfs://names:8020/a")).toEqual(["hdfs://names:8020/a/x/weather-archive", undefined]);
});

it("leaves the executor's JVM options to the job, which needs its limits there", () => {
  for (const { launch } of Object.values(plans("x")))
    if (launch.engine === "spark")
      expect(launch.properties).not.toHaveProperty("spark.executor.extraJavaOptions");
});

it("a checkpoint's folder carries plan and epoch", () => {
  expect(planFeatures(setting("x"), epoch).params).toMatchObject({
    checkpoint_path: join(root, ".millrace", "x", "checkpoints", "weather-features-0123456789ab-e3"),
    plan_epoch: 3,
  });
});

it("processes are told where the settings are, and only a replay may be done", () => {
  const { settings } = setting("x");
  const replay = planReplay({ settings, pipeline }, ["a.csv", "--speed", "60"]);
  expect(replay.launch).toMatchObject({
    command: join(root, "bin", "millrace"),
    arguments: [
      "replay",
      "a.csv",
      "--speed",
      "60",
      "--settings",
      join(root, ".millrace", "x", "settings.json"),
      "--pipeline",
      "weather",
    ],
  });
  expect(replay.finite).toBe(true);
  // Whichever pipeline asks for it, it is the same process.
  expect(planServe({ settings })).toEqual(planServe({ settings: { ...settings, pipeline: "meters" } }));
  expect(planServe({ settings })).toMatchObject({ name: "serve", pipeline: "", finite: false });
});

it("runHash() changes with parameters, code and attempt, and with nothing else", () => {
  const job: DesiredJob = always(planFeatures(setting("x"), epoch));
  const same: DesiredJob = {
    ...job,
    stop_ms: 1,
    params: Object.fromEntries(Object.entries(job.params!).reverse()),
  };
  expect(runHash(same)).toBe(runHash(job));
  for (const other of [
    { ...job, attempt: 1 },
    { ...job, code: "t" },
    { ...job, params: { ...job.params, trigger_ms: 1 } },
  ])
    expect(runHash(other)).not.toBe(runHash(job));
});
