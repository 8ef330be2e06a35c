// What it means to run a job somewhere: one interface for Spark, Ray, plain processes and the fake, all held to suite.ts.
// Sits between supervise/, which decides, and the clients, each of which knows one foreign system.
// Deliberately knows neither pipelines nor restarts: a submission runs once and ends once.

export type EngineKind = "spark" | "ray" | "process";

/** Where a submission stands. `waiting` is alive but does no work yet; `unknown` means the engine has no such submission. */
export type JobStatus =
  | { readonly state: "waiting"; readonly reason: string }
  | { readonly state: "running" }
  | { readonly state: "succeeded" }
  | { readonly state: "failed"; readonly reason: string }
  | { readonly state: "stopped" }
  | { readonly state: "unknown"; readonly reason: string };

/** One application of an engine in which several jobs run. */
export interface Shared {
  /** Unique for a pipeline and namespace, `<namespace>-<pipeline>-streams`. */
  readonly name: string;
  /** Eight characters over all that it is started with, its code too: a member never joins one that was started otherwise. */
  readonly hash: string;
  /** Its own parameters. */
  readonly params: Readonly<Record<string, unknown>>;
}

/** What an engine needs beyond a job's parameters. */
export type Launch =
  | {
      readonly engine: "spark";
      /** Absolute path of the entrypoint, readable on every worker. */
      readonly entrypoint: string;
      readonly cores: number;
      readonly driver_memory: string;
      readonly executor_memory: string;
      /** Spark properties of the launch itself (JVM flags); what a session sets belongs into the job. */
      readonly properties: Readonly<Record<string, string>>;
      /** The application that the job is a member of; absent for one of its own. All else of the launch is then the application's. */
      readonly shared?: Shared;
    }
  | {
      readonly engine: "ray";
      /** Python module, `ray_jobs.generated.weather_infer`. */
      readonly entrypoint: string;
      /** Folder that travels as the job's working directory. */
      readonly code: string;
    }
  | {
      readonly engine: "process";
      readonly command: string;
      /** The path of the parameter file is not added: a process of ours takes plain arguments. */
      readonly arguments: readonly string[];
    };

export interface JobSpec {
  /** `<pipeline>-<job>`. */
  readonly name: string;
  /** Unique for all time in all namespaces: what finds the submission again at its engine. */
  readonly submission: string;
  /** JSON file with the parameters, written before; the only argument of Spark's and Ray's jobs. */
  readonly params_path: string;
  readonly launch: Launch;
}

/** A submission an engine has taken. `id` is the engine's own word for it. */
export interface JobHandle {
  readonly id: string;
  readonly submission: string;
  readonly params_path: string;
}

export interface StopOptions {
  /** Wall time for the job to end by itself after its current batch, before it is killed. */
  readonly deadline_ms: number;
}

/**
 * One engine. Every method rejects with `<engine>_unreachable` when nobody answers (never read that as "not running"),
 * and with `<engine>_rejected` when the engine answers what we do not understand.
 */
export interface JobRunner {
  readonly engine: EngineKind;
  /** For messages. */
  readonly address: string;
  /** Resolves once the engine has taken the submission. A name it has seen before is refused. */
  submit(spec: JobSpec): Promise<JobHandle>;
  /** Looks for a submission by its name among what lives at the engine; null when it is certain that it does not. */
  find(submission: string): Promise<JobHandle | null>;
  /** All submissions that live at the engine and can be told by name. */
  list(): Promise<{ readonly handle: JobHandle; readonly status: JobStatus }[]>;
  status(handle: JobHandle): Promise<JobStatus>;
  /** Resolves once the submission has ended. Ended or unknown ones are fine. Errors: `job_timed_out` when even a kill does not help. */
  stop(handle: JobHandle, options: StopOptions): Promise<void>;
  /** The last lines of what the job printed; empty when there is nothing yet. */
  logs(handle: JobHandle, options: { readonly tail: number }): Promise<string>;
}

/** True once nothing of the submission runs any more. */
export function ended(status: JobStatus): boolean {
  switch (status.state) {
    case "waiting":
    case "running":
      return false;
    case "succeeded":
    case "failed":
    case "stopped":
    case "unknown":
      return true;
  }
}

/** The file that asks a job to end after its current batch. A new submission has a new params file, so it never meets an old one. */
export function stopMarker(params_path: string): string {
  return `${params_path}.stop`;
}

/** The file that tells a job which is one of several in an application to end at once, in the middle of its batch. */
export function abortMarker(params_path: string): string {
  return `${params_path}.abort`;
}

/** The last lines of a text. */
export function lastLines(text: string, tail: number): string {
  return text.trimEnd().split("\n").slice(-tail).join("\n");
}
