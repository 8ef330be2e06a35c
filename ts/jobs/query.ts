// weather-<query>: the domain's own Spark work, one job for each query of a pipeline. What it computes is a function in
// jobs/pyspark/spark_jobs/queries; where its results go, and when it runs, the pipeline says.

import { createHash } from "node:crypto";
import type { QueryParams } from "../contract/generated/params.ts";
import { canonicalJson } from "../ground/canonical.ts";
import { inStream } from "../pipelines/contract.ts";
import type { Query } from "../pipelines/define.ts";
import { requirePart } from "../pipelines/parts.ts";
import { onOurHdfs } from "../settings/settings.ts";
import { type Before, namesIn, needsCommand, readingOf, sharedParams } from "./plan/params.ts";
import { checkpointPath, inApplication, onSpark } from "./plan/spark.ts";
import { tables } from "./plan/tables.ts";
import type { JobType, Needs, PlanExtras, Planned, Setting } from "./plan/type.ts";

/** What goes where a query says nothing: the driver holds a batch of results, the executor a shuffle of one partition. */
const RESOURCES: NonNullable<Query["resources"]> = {
  cores: 1,
  driver_memory: "512m",
  executor_memory: "700m",
  shuffle_partitions: 1,
};

const resourcesOf = (one: Query) => one.resources ?? RESOURCES;

/** Where the pipeline's JSON Lines lie. */
const linesOf = ({ settings, pipeline }: Pick<Setting, "settings" | "pipeline">): string =>
  tables(settings).lines(requirePart(pipeline, "lines"));

function placeOf({ settings, ...rest }: Pick<Setting, "settings" | "pipeline">, one: Query): string {
  if (one.sink.kind === "versions") return `${linesOf({ settings, ...rest })}/${one.sink.folder}`;
  return namesIn({ settings, ...rest }).results[one.name]?.topic ?? tables(settings).results(one);
}

function needsOf(setting: Pick<Setting, "settings" | "pipeline">, one: Query): Needs {
  const { cores, driver_memory, executor_memory } = resourcesOf(one);
  // The copies of a block are the client's word, by default three; ours has one DataNode.
  const ours = onOurHdfs(setting.settings, placeOf(setting, one));
  return {
    cores,
    driver_memory,
    executor_memory,
    properties: ours ? { "spark.hadoop.dfs.replication": "1" } : {},
  };
}

function planQuery(setting: Setting, one: Query, { epoch }: PlanExtras): Planned {
  const { cores, shuffle_partitions } = resourcesOf(one);
  const stream = "trigger_ms" in one;
  if (stream && !epoch) throw new Error(`a plan of the stream "${one.name}" without its epoch`);
  const params: Before<QueryParams> = {
    ...sharedParams(setting, one.name),
    function: one.function,
    stream: one.reads,
    ...readingOf(setting, one.reads),
    sink: one.sink.kind,
    place: placeOf(setting, one),
    checkpoint_path: stream && epoch ? checkpointPath(setting, one.name, epoch) : null,
    plan_epoch: stream && epoch ? epoch.plan_epoch : null,
    starting_offsets: stream && epoch ? epoch.starting_offsets : null,
    trigger_ms: stream ? one.trigger_ms : null,
    due_ms: null,
    span_ms: stream ? null : one.span_ms,
    step_ms: stream ? null : one.step_ms,
    from_midnight: !stream && one.from_midnight === true,
    from_ms: null,
    to_ms: null,
    lines_path: !stream && one.of === "lines" ? linesOf(setting) : null,
    tables: one.sink.kind === "versions" ? one.sink.tables : [],
    shuffle_partitions,
    read_tasks: cores,
  };
  return stream
    ? inApplication(setting, one.name, params)
    : onSpark(setting, one.name, needsOf(setting, one), params);
}

/** The job of one query. */
function member(pipeline: Setting["pipeline"], one: Query): JobType {
  const stream = "trigger_ms" in one;
  return {
    ...query,
    name: one.name,
    kind: stream ? "stream" : "batch",
    summary: one.summary,
    standard: true,
    ...(stream
      ? {
          share: (setting) => ({ ...needsOf(setting, one), delta: one.sink.kind === "delta" }),
          checkpoint: {
            // What the checkpoint's state, or the place of its results, depends on.
            plan_hash({ contract }) {
              const { key, event_time, duplicates, lateness_ms } = inStream(contract, one.reads);
              return createHash("sha256")
                .update(
                  canonicalJson([
                    [one.function, one.version ?? 1, one.sink, resourcesOf(one).shuffle_partitions],
                    [key, event_time, duplicates, lateness_ms],
                    // Said where it is another than what it always was.
                    ...(one.reads === "raw" ? [] : [one.reads]),
                  ]),
                )
                .digest("hex");
            },
            stream: () => one.reads,
          },
        }
      : { schedule: one.schedule, ...(one.of === "lines" ? { reads: ["lines"] as const } : {}) }),
    places: (settings) => (one.sink.kind === "kafka" ? [] : [placeOf({ settings, pipeline }, one)]),
    plan: (setting, given) => planQuery(setting, one, given),
  };
}

export const query: JobType = {
  name: "query",
  engine: "spark",
  kind: "stream",
  summary:
    "the domain's own work, one job `<pipeline>-<query>` for each of its queries, as a stream or by a schedule",
  module: "results.fill",
  needs: ["queries"],
  reads: ["raw"],
  writes: ["results"],
  standard: false,
  members: (pipeline) => requirePart(pipeline, "queries").map((one) => member(pipeline, one)),
  plan(setting) {
    throw needsCommand(setting, "query");
  },
};
