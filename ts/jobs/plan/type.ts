// What a job type is, and what a plan of one looks like. A job type is one file in ts/jobs: names, plans, order of start and
// restart, entrypoints, listings and docs/jobs.md derive from the table of these files. Types only; nothing here does anything.

import type { EngineKind, Launch } from "../../engines/job.ts";
import type { ByTopic, Contract, PartName, Pipeline, TopicName } from "../../pipelines/index.ts";
import type { Settings } from "../../settings/settings.ts";

/**
 * What jobs hand each other beside topics: `raw` are records of the pipeline's streams, `files` are observations in files, `feeds` answers of servers elsewhere, `feature_table`, `reject_table` and `archive_table`
 * lie in Delta, `certificates` beside the feature table, `results` of queries in their sinks, `lines` on HDFS, `models` in the registry, rows in the `store`, `http` is an answer.
 */
export type Channel =
  | TopicName
  | "raw"
  | "files"
  | "feeds"
  | "feature_table"
  | "reject_table"
  | "archive_table"
  | "certificates"
  | "models"
  | "evaluations"
  | "results"
  | "lines"
  | "store"
  | "http";

/**
 * `stream` runs until it is stopped and is restarted when it ends; `batch` runs to its end, once for each time it is asked for or
 * due; `process` is a process of this machine in TypeScript, a stream unless its plan says that it may be done.
 */
export type JobKind = "stream" | "batch" | "process";

/** What `apply` has put in force for a pipeline: the ids of its schemas. */
export interface Applied {
  readonly pipeline: string;
  readonly fingerprint: string;
  /** Every schema a record of the topic may carry: registry id (decimal text) to Avro JSON. */
  readonly tables: ByTopic<Readonly<Record<string, string>>>;
  /** The id new records of the topic are written with. */
  readonly writers: ByTopic<number>;
  /** Ids a source may write with: those that every running reader of its stream knows. */
  readonly readable: readonly number[];
  /** What there is of the pipeline alone, outside its namespace's folder; absent in what was applied before this was written down. */
  readonly owns?: Owned;
}

/** By their full names. `places` are folders and URLs of results and archives that lie where a setting says. */
export interface Owned {
  readonly topics: readonly string[];
  readonly subjects: readonly string[];
  readonly places: readonly string[];
}

/** Which checkpoint a stateful stream runs on, and where a new one begins. */
export interface Epoch {
  readonly plan_hash: string;
  /** From 1, and one more with every new checkpoint; first part of a feature row's version. */
  readonly plan_epoch: number;
  /** `earliest`, or Spark's JSON by topic and partition, inclusive. */
  readonly starting_offsets: string;
  /**
   * Windows that begin before this event time (epoch ms) are not published: the offsets may hold only a part of them, and
   * the new epoch would outrank the whole ones that are there. Null publishes all.
   */
  readonly publish_from_ms: number | null;
}

/** Everything a plan is made of. Pure data: addresses from the settings, ids from what was applied, digests of the code. */
export interface Setting {
  readonly settings: Settings;
  readonly pipeline: Pipeline;
  readonly contract: Contract;
  readonly applied: Applied;
  /** Digests of what lies in the folders. */
  readonly code: { readonly spark: string; readonly ray: string };
  /** Folders of the Python that runs: jobs/pyspark and jobs/ray, with what a pipeline outside the checkout brings. */
  readonly folders: { readonly spark: string; readonly ray: string };
  /** What each stream that the pipeline can run on Spark needs of the one application they share. */
  readonly shares: readonly Share[];
}

/** What a job needs of the JVMs it runs in. */
export interface Needs {
  /** Tasks it can run at once. */
  readonly cores: number;
  /** Heaps, in Java's form, `512m`. */
  readonly driver_memory: string;
  readonly executor_memory: string;
  /** Spark properties beside those of every launch. */
  readonly properties?: Readonly<Record<string, string>>;
}

/** What a stream needs of the application of its pipeline. */
export interface Share extends Needs {
  /** Whether it works with Delta tables, whose extension an application has from its start or not at all. */
  readonly delta?: boolean;
}

/** What a plan may get beside its setting. */
export interface PlanExtras {
  /** For a job with a checkpoint. */
  readonly epoch?: Epoch;
  /** What stands behind the job's name on a command line; for a process that takes words. */
  readonly words?: readonly string[];
}

/** One job as it should run. */
export interface Planned {
  /** `<pipeline>-<job>`, or the job alone where all pipelines share it. */
  readonly name: string;
  /** Empty for a job that all pipelines share. */
  readonly pipeline: string;
  readonly launch: Launch;
  /** Null for a process, which takes plain arguments. */
  readonly params: Readonly<Record<string, unknown>> | null;
  /** Digest of the code that runs; another one restarts the job. */
  readonly code: string;
  /** Longest silence of a running job before it counts as dead; null for one that sends no heartbeats. */
  readonly heartbeat_ms: number | null;
  /** Time to end by itself after its current batch when asked to, before it is killed. */
  readonly stop_ms: number;
  /** Whether it may succeed and is done then: a batch, the replay of a file. Any other job that ends by itself has failed. */
  readonly finite: boolean;
  /** Whether it is tried again after a failure of its own; a batch is not. */
  readonly restarts: boolean;
}

/** One job type. */
export interface JobType {
  /** Lower case letters, digits and underscores; the job of a pipeline is `<pipeline>-<name>`. */
  readonly name: string;
  readonly engine: EngineKind;
  readonly kind: JobKind;
  /** One sentence for people. */
  readonly summary: string;
  /** `<room>.<module>` of the engine's Python package that has `run(contract, params, reporter)`; null for a process. */
  readonly module: string | null;
  /** Parts a pipeline must have to have this job. */
  readonly needs: readonly PartName[];
  readonly reads: readonly Channel[];
  readonly writes: readonly Channel[];
  /** Whether a submit without names starts it. */
  readonly standard: boolean;
  /** What a stateful stream's checkpoint depends on and reads; absent without one. */
  readonly checkpoint?: {
    /** SHA-256 over what a checkpoint depends on: another one opens the next epoch. */
    readonly plan_hash: (setting: Pick<Setting, "contract" | "pipeline">) => string;
    /** The stream it reads. */
    readonly stream: (pipeline: Pipeline) => string;
    /** Event time a new checkpoint must see again, ms; absent for a job that goes on by itself where the epoch before ended. */
    readonly span_ms?: (contract: Contract) => number;
  };
  /** What a stream on Spark needs of its pipeline's application; absent for any other job. */
  readonly share?: (setting: Pick<Setting, "settings" | "pipeline">) => Share;
  /**
   * The jobs of this type that a pipeline has, where that is another number than one: each a type of its own, of its own name. The
   * type itself is no job then.
   */
  readonly members?: (pipeline: Pipeline) => readonly JobType[];
  /** Folders and URLs that must answer before the job is submitted. */
  readonly places?: (settings: Settings) => readonly string[];
  /** What stands behind its name on a command line, for messages; absent for a job that takes no words. */
  readonly words?: string;
  /** Whether it runs without them too. */
  readonly wordless?: true;
  /** Whether it registers a version of the pipeline's model, which is judged and promoted when it has succeeded. */
  readonly trains?: true;
  /** When a scheduled batch is due: five fields of cron in UTC. Absent for a job that runs only when it is asked for. */
  readonly schedule?: string;
  /** Errors: `config_invalid` for a batch that must be told more than this, naming its command. */
  readonly plan: (setting: Setting, given: PlanExtras) => Planned;
}
