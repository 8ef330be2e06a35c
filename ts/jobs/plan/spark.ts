// How a job is launched on Spark: its entrypoint, its memory, the flags of its JVMs. A batch is an application of its own, a
// stream a member of its pipeline's (shared.ts).

import { join } from "node:path";
import { stateDir } from "../../settings/settings.ts";
import { HEARTBEAT_MS, namesIn, STOP_MS } from "./params.ts";
import { application, STREAMS } from "./shared.ts";
import type { Epoch, Needs, Planned, Setting } from "./type.ts";

/** One collector thread: a second one competes with the executor for the same two cores. */
const DRIVER_JVM = "-XX:+UseSerialGC -XX:-UsePerfData";

/**
 * How far a driver compiles. A batch plans once: the first compiler only. A stream plans the same small plans again and again: the
 * second compiler for what is ten times as hot as it asks for by default. With all of it, the second compiler took two fifths of a
 * driver's processor time; with none, a micro-batch costs the driver a quarter more (docs/performance.md).
 */
const COMPILED = {
  batch: "-XX:TieredStopAtLevel=1",
  stream: [
    "-XX:Tier4InvocationThreshold=50000",
    "-XX:Tier4MinInvocationThreshold=6000",
    "-XX:Tier4CompileThreshold=150000",
    "-XX:Tier4BackEdgeThreshold=400000",
  ].join(" "),
} as const;

const driverJvm = (kind: keyof typeof COMPILED) => ({
  "spark.driver.extraJavaOptions": `${DRIVER_JVM} ${COMPILED[kind]}`,
});

/** Properties of every launch. */
const PROPERTIES = {
  // The executor's options are the job's to set (jobs/pyspark/spark_jobs/kit/session.py): what stands here would replace its
  // limits against garbage records.
  // Fewer malloc arenas: the default of eight a core costs tens of megabytes that are never used.
  "spark.executorEnv.MALLOC_ARENA_MAX": "2",
  // A stream runs for months.
  "spark.executor.logs.rolling.strategy": "size",
  "spark.executor.logs.rolling.maxSize": "10485760",
  "spark.executor.logs.rolling.maxRetainedFiles": "3",
};

const entrypoint = ({ folders, pipeline }: Setting, job: string) =>
  join(folders.spark, "spark_jobs", "generated", `${pipeline.name}_${job}.py`);

type Params = Readonly<Record<string, unknown>>;

/** A batch. */
export function onSpark(
  setting: Setting,
  job: string,
  { cores, driver_memory, executor_memory, properties = {} }: Needs,
  params: Params,
): Planned {
  return {
    name: namesIn(setting).job(job),
    pipeline: setting.pipeline.name,
    launch: {
      engine: "spark",
      entrypoint: entrypoint(setting, job),
      cores,
      driver_memory,
      executor_memory,
      properties: {
        ...PROPERTIES,
        ...driverJvm("batch"),
        ...properties,
      },
    },
    params,
    code: setting.code.spark,
    heartbeat_ms: null,
    stop_ms: STOP_MS,
    finite: true,
    restarts: false,
  };
}

/** A stream. */
export function inApplication(setting: Setting, job: string, params: Params): Planned {
  const names = namesIn(setting);
  const started = {
    entrypoint: entrypoint(setting, STREAMS),
    properties: { ...PROPERTIES, ...driverJvm("stream") },
    code: setting.code.spark,
  };
  return {
    name: names.job(job),
    pipeline: setting.pipeline.name,
    launch: application(`${names.prefix}${names.job(STREAMS)}`, started, setting.shares),
    params,
    code: setting.code.spark,
    heartbeat_ms: HEARTBEAT_MS,
    stop_ms: STOP_MS,
    finite: false,
    restarts: true,
  };
}

/** Folder of a stateful stream's checkpoint: another plan or epoch never meets an old one. */
export function checkpointPath(setting: Setting, job: string, epoch: Epoch): string {
  const names = namesIn(setting);
  return join(
    stateDir(setting.settings),
    names.checkpoint(names.job(job), epoch.plan_hash, epoch.plan_epoch),
  );
}

/** Executor memory of a batch that joins and sorts. */
export const BATCH_EXECUTOR_MEMORY = "1200m";
