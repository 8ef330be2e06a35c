// The plan: which jobs a pipeline has, what runs each, and its parameters. A new job is an entry here.
// Pure: addresses come with the settings, ids with what was applied, offsets with the epoch. Submits nothing.

import { join } from "node:path";
import type {
  ArchiveParams,
  BackfillParams,
  CertifyParams,
  EvaluateParams,
  FeaturesParams,
  InferParams,
  KafkaAccess,
  SeedParams,
  TrainParams,
} from "../contract/index.ts";
import type { EngineKind, Launch } from "../engines/job.ts";
import { archivePlace, onOurHdfs, type Settings, stateDir } from "../engines/settings.ts";
import type { PartitionOffsets } from "../kafka/kafka.ts";
import { type Contract, type JobName, type Names, namesOf, type Pipeline } from "../pipelines/index.ts";
import type { Applied } from "./applied.ts";
import type { Epoch } from "./epoch.ts";

/** Parameters before a submission has a name. */
type Before<P> = Omit<P, "submission">;

/** One job as it should run. */
export interface Planned {
  readonly name: string;
  readonly launch: Launch;
  /** Null for a process, which takes plain arguments. */
  readonly params: Readonly<Record<string, unknown>> | null;
  /** Digest of the code that runs; another one restarts the job. */
  readonly code: string;
  /** Longest silence of a running job before it counts as dead; null for one that sends no heartbeats. */
  readonly heartbeat_ms: number | null;
  /** Time to end by itself after its current batch when asked to, before it is killed. */
  readonly stop_ms: number;
  /** Whether it may succeed and is done then: the replay of a file. Any other job that ends by itself has failed. */
  readonly finite: boolean;
}

export interface Setting {
  readonly settings: Settings;
  readonly pipeline: Pipeline;
  readonly contract: Contract;
  readonly applied: Applied;
  /** Digests of jobs/pyspark and jobs/ray. */
  readonly code: { readonly spark: string; readonly ray: string };
}

/** Long-running jobs of a pipeline, in the order they are started. */
export const STREAMS = ["features", "infer", "serve"] as const satisfies readonly JobName[];

/** Where each job runs. */
export const ENGINE_OF: Readonly<Record<JobName, EngineKind>> = {
  features: "spark",
  archive: "spark",
  backfill: "spark",
  certify: "spark",
  infer: "ray",
  seed: "ray",
  train: "ray",
  evaluate: "ray",
  replay: "process",
  serve: "process",
};

// A micro-batch in a catch-up may take tens of seconds on a small machine, and reports come between batches as well.
const HEARTBEAT_MS = 90_000;
const STOP_MS = 30_000;

const pyspark = (settings: Settings, file: string) =>
  join(settings.root, "jobs", "pyspark", "spark_jobs", "generated", `${file}.py`);
const rayCode = (settings: Settings) => join(settings.root, "jobs", "ray");

const DRIVER_JVM = "-XX:+UseSerialGC -XX:-UsePerfData";

const LAUNCH_PROPERTIES = {
  // One collector thread: a second one competes with the executor for the same two cores. The executor's options are the
  // job's to set (jobs/pyspark/spark_jobs/kit/io.py): what stands here would replace its limits against garbage records.
  "spark.driver.extraJavaOptions": DRIVER_JVM,
  // Fewer malloc arenas: the default of eight a core costs tens of megabytes that are never used.
  "spark.executorEnv.MALLOC_ARENA_MAX": "2",
  // A stream runs for months.
  "spark.executor.logs.rolling.strategy": "size",
  "spark.executor.logs.rolling.maxSize": "10485760",
  "spark.executor.logs.rolling.maxRetainedFiles": "3",
};

const BATCH_PROPERTIES = {
  ...LAUNCH_PROPERTIES,
  // A batch's driver plans each step once: the optimizing compiler took 40 % of its processor time and paid none back.
  "spark.driver.extraJavaOptions": `${DRIVER_JVM} -XX:TieredStopAtLevel=1`,
};

function access({ kafka }: Settings): KafkaAccess {
  return { bootstrap: kafka.bootstrap, properties: kafka.properties, secrets_path: kafka.secrets_path };
}

function shared({ settings, contract, applied }: Setting, names: Names, job: JobName) {
  return {
    namespace: settings.namespace,
    job: names.jobs[job],
    fingerprint: contract.fingerprint,
    kafka: access(settings),
    progress_topic: names.topics.progress.topic,
    progress_schema_id: applied.writers.progress,
  };
}

export function planFeatures(setting: Setting, epoch: Epoch): Planned {
  const { settings, pipeline, applied, code } = setting;
  const names = namesOf(pipeline, settings.namespace);
  const { features } = pipeline.resources;
  const params: Before<FeaturesParams> = {
    ...shared(setting, names, "features"),
    raw_topic: names.topics.raw.topic,
    features_topic: names.topics.features.topic,
    rejects_topic: names.topics.rejects.topic,
    raw_schemas: applied.tables.raw,
    features_schema_id: applied.writers.features,
    rejects_schema_id: applied.writers.rejects,
    checkpoint_path: join(
      stateDir(settings),
      names.checkpoint(names.jobs.features, epoch.plan_hash, epoch.plan_epoch),
    ),
    starting_offsets: epoch.starting_offsets,
    publish_from_ms: epoch.publish_from_ms ?? null,
    plan_epoch: epoch.plan_epoch,
    trigger_ms: features.trigger_ms,
    rejects_trigger_ms: features.rejects_trigger_ms,
    state_store: features.state_store,
    shuffle_partitions: features.shuffle_partitions,
  };
  return {
    name: names.jobs.features,
    launch: {
      engine: "spark",
      entrypoint: pyspark(settings, `${pipeline.name}_features`),
      cores: features.cores,
      driver_memory: features.driver_memory,
      executor_memory: features.executor_memory,
      properties: LAUNCH_PROPERTIES,
    },
    params,
    code: code.spark,
    heartbeat_ms: HEARTBEAT_MS,
    stop_ms: STOP_MS,
    finite: false,
  };
}

/**
 * How the archive is kept; the parameters' documentation has the bounds and what lies behind them.
 * The trigger: a batch of the archive takes a core for about a second, and the features want it three times a second.
 */
export const ARCHIVE: Pick<
  ArchiveParams,
  "trigger_ms" | "batch_records" | "compact_ms" | "file_bytes" | "vacuum_ms" | "retention_ms"
> = {
  trigger_ms: 30_000,
  // Half a minute of work at the least a small machine does.
  batch_records: 1_000_000,
  // Some twenty files a date come together.
  compact_ms: 600_000,
  file_bytes: 128 * 1024 * 1024,
  vacuum_ms: 6 * 3_600_000,
  retention_ms: 24 * 3_600_000,
};

/** Not among STREAMS: who wants the archive submits it by name. It has no state but its table, in whose folder its checkpoint lies. */
export function planArchive(setting: Setting, keeping = ARCHIVE): Planned {
  const { settings, pipeline, applied, code } = setting;
  const names = namesOf(pipeline, settings.namespace);
  const params: Before<ArchiveParams> = {
    ...shared(setting, names, "archive"),
    raw_topic: names.topics.raw.topic,
    raw_schemas: applied.tables.raw,
    table_path: tables(settings).archive,
    ...keeping,
  };
  return {
    name: names.jobs.archive,
    launch: {
      engine: "spark",
      entrypoint: pyspark(settings, `${pipeline.name}_archive`),
      cores: 1,
      driver_memory: "512m",
      executor_memory: "700m",
      // The copies of a block are the client's word, by default three; ours has one DataNode. Another HDFS has its own number.
      properties: onOurHdfs(settings)
        ? { ...LAUNCH_PROPERTIES, "spark.hadoop.dfs.replication": "1" }
        : LAUNCH_PROPERTIES,
    },
    params,
    code: code.spark,
    heartbeat_ms: HEARTBEAT_MS,
    stop_ms: STOP_MS,
    finite: false,
  };
}

export function planInfer(setting: Setting): Planned {
  const { settings, pipeline, applied, code } = setting;
  const names = namesOf(pipeline, settings.namespace);
  const params: Before<InferParams> = {
    ...shared(setting, names, "infer"),
    features_topic: names.topics.features.topic,
    history_topic: names.topics.history.topic,
    predictions_topic: names.topics.predictions.topic,
    verifications_topic: names.topics.verifications.topic,
    rejects_topic: names.topics.rejects.topic,
    model_events_topic: names.topics.model_events.topic,
    features_schemas: applied.tables.features,
    history_schemas: applied.tables.history,
    model_events_schemas: applied.tables.model_events,
    history_schema_id: applied.writers.history,
    predictions_schema_id: applied.writers.predictions,
    verifications_schema_id: applied.writers.verifications,
    rejects_schema_id: applied.writers.rejects,
    group_id: names.groups.ray,
    transactional_id: `${names.prefix}${names.jobs.infer}`,
    mlflow_uri: settings.mlflowUrl,
    model_name: names.model,
    model_cache: join(stateDir(settings), "models"),
    actors: pipeline.resources.infer.actors,
    // Shorter than a micro-batch: an actor is back at its poll before the next rows come.
    poll_ms: 200,
    // A transaction of this many rows stays well below its ten seconds.
    batch_rows: 2_000,
    arm: "champion",
  };
  return {
    name: names.jobs.infer,
    launch: {
      engine: "ray",
      entrypoint: `ray_jobs.generated.${pipeline.name}_infer`,
      code: rayCode(settings),
    },
    params,
    code: code.ray,
    heartbeat_ms: HEARTBEAT_MS,
    stop_ms: STOP_MS,
    finite: false,
  };
}

/** The HTTP API, a process of this machine. `arguments` are those of the command line that repeat our settings. */
export function planServe({ settings, pipeline }: Pick<Setting, "settings" | "pipeline">): Planned {
  const names = namesOf(pipeline, settings.namespace);
  return {
    name: names.jobs.serve,
    launch: cli(settings, ["serve"]),
    params: null,
    code: "",
    heartbeat_ms: null,
    stop_ms: 10_000,
    finite: false,
  };
}

/** A source that reads files and goes on from its cursor after a restart. */
export function planReplay(
  { settings, pipeline }: Pick<Setting, "settings" | "pipeline">,
  replay_arguments: readonly string[],
): Planned {
  const names = namesOf(pipeline, settings.namespace);
  return {
    name: names.jobs.replay,
    launch: cli(settings, ["replay", ...replay_arguments]),
    params: null,
    code: "",
    heartbeat_ms: null,
    stop_ms: 15_000,
    finite: true,
  };
}

/** A command of our own with the same settings, whatever environment the supervisor was started from. */
export function cli(settings: Settings, words: readonly string[]): Extract<Launch, { engine: "process" }> {
  return {
    engine: "process",
    command: join(settings.root, "bin", "millrace"),
    arguments: [...words, "--settings", join(stateDir(settings), "settings.json")],
  };
}

/**
 * Where a batch of observations comes from: staged files, or a range of the raw topic (Spark JSON; end exclusive), read from
 * the topic itself or from its archive.
 */
export type BackfillFrom =
  | { readonly files: readonly string[] }
  | {
      readonly starting_offsets: string;
      readonly ending_offsets: string;
      readonly archive?: boolean;
    };

/** Every record of a topic that is decided by now, in Spark's JSON: a fixed end, so that a second run reads the same. */
export function decided(topic: string, offsets: readonly PartitionOffsets[]) {
  const side = (what: "start" | "stable") =>
    JSON.stringify({ [topic]: Object.fromEntries(offsets.map((o) => [o.partition, o[what]])) });
  return { starting_offsets: side("start"), ending_offsets: side("stable") };
}

export interface BackfillChoice {
  readonly from: BackfillFrom;
  /** Only windows that end in [from_ms, to_ms); null for all. */
  readonly from_ms: number | null;
  readonly to_ms: number | null;
}

/** Delta tables of a namespace; the archive's may lie elsewhere, by a setting, and is then a URL. */
export function tables(settings: Settings): {
  readonly features: string;
  readonly rejects: string;
  readonly archive: string;
  /** Folder of certificates, beside the feature table they stand for. */
  readonly certificates: string;
} {
  const folder = join(stateDir(settings), "tables");
  const archive = `${settings.pipeline}-archive`;
  const place = archivePlace(settings);
  return {
    archive:
      place === null ? join(folder, archive) : `${place}/${settings.namespace || "default"}/${archive}`,
    features: join(folder, `${settings.pipeline}-features`),
    certificates: join(folder, `${settings.pipeline}-features-certificates`),
    rejects: join(folder, `${settings.pipeline}-rejects`),
  };
}

export function planBackfill(setting: Setting, { from, from_ms, to_ms }: BackfillChoice): Planned {
  const { settings, pipeline, applied } = setting;
  const names = namesOf(pipeline, settings.namespace);
  const topic = "files" in from ? null : from;
  const params: Before<BackfillParams> = {
    ...shared(setting, names, "backfill"),
    raw_topic: topic ? names.topics.raw.topic : null,
    starting_offsets: topic?.starting_offsets ?? null,
    ending_offsets: topic?.ending_offsets ?? null,
    raw_schemas: applied.tables.raw,
    archive_path: topic?.archive ? tables(settings).archive : null,
    files: "files" in from ? from.files : [],
    from_ms,
    to_ms,
    table_path: tables(settings).features,
    rejects_path: tables(settings).rejects,
    shuffle_partitions: 4,
  };
  return sparkBatch(setting, "backfill", names, params, pipeline.resources.features.driver_memory);
}

export interface CertifyChoice
  extends Pick<
    CertifyParams,
    | "starting_offsets"
    | "ending_offsets"
    | "writer_schemas"
    | "from_ms"
    | "to_ms"
    | "sample"
    | "seed"
    | "file_name"
    | "file_sha256"
    | "covers_from_ms"
    | "covers_to_ms"
  > {
  /** Where the certificate goes; null: beside this namespace's feature table. */
  readonly certificates_path: string | null;
}

export function planCertify(setting: Setting, choice: CertifyChoice): Planned {
  const { settings, pipeline, applied } = setting;
  const names = namesOf(pipeline, settings.namespace);
  const params: Before<CertifyParams> = {
    ...shared(setting, names, "certify"),
    raw_topic: names.topics.raw.topic,
    features_topic: names.topics.features.topic,
    raw_schemas: applied.tables.raw,
    features_schemas: applied.tables.features,
    shuffle_partitions: 4,
    ...choice,
    certificates_path: choice.certificates_path ?? tables(settings).certificates,
  };
  // The oracle and the sampled rows live in the driver's Python, beside this.
  return sparkBatch(setting, "certify", names, params, "900m");
}

function sparkBatch(
  { settings, pipeline, code }: Setting,
  job: "backfill" | "certify",
  names: Names,
  params: Readonly<Record<string, unknown>>,
  driver_memory: string,
): Planned {
  return {
    name: names.jobs[job],
    launch: {
      engine: "spark",
      entrypoint: pyspark(settings, `${pipeline.name}_${job}`),
      cores: pipeline.resources.features.cores,
      driver_memory,
      executor_memory: "1200m",
      properties: BATCH_PROPERTIES,
    },
    params,
    code: code.spark,
    heartbeat_ms: null,
    stop_ms: STOP_MS,
    finite: false,
  };
}

/** `cutover_ms`: the last window_end that is seeded; the stream begins after it. */
export function planSeed(setting: Setting, { cutover_ms }: { readonly cutover_ms: number }): Planned {
  const { settings, pipeline, applied, code } = setting;
  const names = namesOf(pipeline, settings.namespace);
  const params: Before<SeedParams> = {
    ...shared(setting, names, "seed"),
    table_path: tables(settings).features,
    history_topic: names.topics.history.topic,
    history_schema_id: applied.writers.history,
    partitions: pipeline.topics.partitions,
    cutover_ms,
  };
  return ray(setting, "seed", names, params, code.ray);
}

export type TrainChoice = Pick<
  TrainParams,
  | "from_ms"
  | "cut_ms"
  | "trees"
  | "leaves"
  | "learning_rate"
  | "sample_every"
  | "workers"
  | "seed"
  | "allow_uncertified"
> &
  // The splits by date; null or left out, they follow from the cut. Nobody is left out, and nothing is tuned, unless it is said.
  Partial<Pick<TrainParams, "calibrate_from_ms" | "test_from_ms" | "leave_out" | "tune">>;

/** What `train` takes when nothing is said: the full model. */
export const TRAIN: Omit<TrainChoice, "cut_ms"> = {
  from_ms: null,
  // 27 heads of at most 300 trees with 63 leaves answer 100 rows in 34 to 59 ms; humidity's medians gain from more trees and
  // from more rows (docs/training.md), of which those next to each other say nearly the same.
  trees: 300,
  leaves: 63,
  learning_rate: 0.07,
  sample_every: 2,
  workers: 2,
  seed: 1,
  allow_uncertified: false,
};

export function planTrain(setting: Setting, choice: TrainChoice): Planned {
  const { settings, pipeline, code } = setting;
  const names = namesOf(pipeline, settings.namespace);
  const params: Before<TrainParams> = {
    ...shared(setting, names, "train"),
    table_path: tables(settings).features,
    certificates_path: tables(settings).certificates,
    mlflow_uri: settings.mlflowUrl,
    model_name: names.model,
    calibrate_from_ms: null,
    test_from_ms: null,
    leave_out: [],
    tune: 0,
    ...choice,
  };
  return ray(setting, "train", names, params, code.ray);
}

export type EvaluateChoice = Pick<
  EvaluateParams,
  "version" | "split" | "from_ms" | "to_ms" | "masks" | "masked_by" | "workers" | "rounds" | "seed"
>;

/** What `evaluate` takes when nothing is said. */
export const EVALUATE: Omit<EvaluateChoice, "version" | "split"> = {
  from_ms: null,
  to_ms: null,
  masks: [],
  masked_by: null,
  workers: 2,
  rounds: 1000,
  seed: 1,
};

export function planEvaluate(setting: Setting, choice: EvaluateChoice): Planned {
  const { settings, pipeline, code } = setting;
  const names = namesOf(pipeline, settings.namespace);
  const params: Before<EvaluateParams> = {
    ...shared(setting, names, "evaluate"),
    table_path: tables(settings).features,
    mlflow_uri: settings.mlflowUrl,
    model_name: names.model,
    ...choice,
  };
  return ray(setting, "evaluate", names, params, code.ray);
}

function ray(
  { settings, pipeline }: Setting,
  job: "seed" | "train" | "evaluate",
  names: Names,
  params: Readonly<Record<string, unknown>>,
  code: string,
): Planned {
  return {
    name: names.jobs[job],
    launch: {
      engine: "ray",
      entrypoint: `ray_jobs.generated.${pipeline.name}_${job}`,
      code: rayCode(settings),
    },
    params,
    code,
    heartbeat_ms: null,
    stop_ms: STOP_MS,
    finite: false,
  };
}
