// How a job is launched on Spark: its entrypoint, its memory, the flags of its JVMs.

import { join } from "node:path";
import { stateDir } from "../../settings/settings.ts";
import { HEARTBEAT_MS, namesIn, STOP_MS } from "./params.ts";
import type { Epoch, Planned, Setting } from "./type.ts";

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

export interface SparkNeeds {
  readonly kind: "stream" | "batch";
  readonly cores: number;
  readonly driver_memory: string;
  readonly executor_memory: string;
  /** Spark properties beside those of every launch. */
  readonly properties?: Readonly<Record<string, string>>;
}

export function onSpark(
  setting: Setting,
  job: string,
  { kind, cores, driver_memory, executor_memory, properties = {} }: SparkNeeds,
  params: Readonly<Record<string, unknown>>,
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
        "spark.driver.extraJavaOptions": `${DRIVER_JVM} ${COMPILED[kind]}`,
        ...properties,
      },
    },
    params,
    code: setting.code.spark,
    heartbeat_ms: kind === "stream" ? HEARTBEAT_MS : null,
    stop_ms: STOP_MS,
    finite: kind === "batch",
    restarts: kind === "stream",
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
