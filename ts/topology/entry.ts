// What a service is, as data: everything a substrate needs to start it, find it well and stop it. services.ts has one entry
// each; local/ makes processes of them. Starts nothing and reads nothing.
//
// A text of an entry may hold, each filled in by whoever renders it:
//   {host}          where the service listens and is reached
//   {port:NAME}     a port of any service
//   {url:NAME}      an address as the settings have it: its service's own, or that of one given from outside
//   {dir}           the folder the service runs in; no other service has it
//   {keeps:NAME}    what it keeps, {keeps_url:NAME} the same as a file: URL
//   {reads:NAME}    what it reads, {reads_url:NAME} the same as a file: URL
//   {artifact}      the folder of what set-up installed for it
//   {python}        Python of the jobs
//   {memory:NAME}   a number of `memory`
//   {offers:NAME}   a number of `offers`

import type { ErrorCode } from "../contract/errors.ts";

/** A port with a fixed number, and the setting that moves it; what an error about a port in use names. */
export interface PortEntry {
  readonly name: string;
  readonly number: number;
  readonly setting: string;
}

/** Ports from the first to the last, both inclusive, of which no other service may have one. */
export interface PortRange {
  readonly first: PortEntry;
  readonly last: PortEntry;
  /** Fewest ports it can do with. */
  readonly count_min: number;
  /** "Ray's workers'". */
  readonly whose: string;
}

/** An address that clients use. The setting names another one; that of a cluster's first address says that the cluster exists already. */
export interface Address {
  readonly name: string;
  /** From {host} and {port:NAME}. */
  readonly text: string;
  readonly setting?: string;
}

/** What it is made of, and the one place that has its version. */
export type Artifact =
  /** Jars that set-up copies to target/engines/<module>; the version is a property of infra/local/maven/pom.xml. */
  | {
      readonly from: "maven";
      readonly module: string;
      readonly property: string;
      /** A jar without which it is not installed: beginning and end of its name. */
      readonly jar: readonly [string, string];
    }
  /** A package of the jobs' environment, locked in uv.lock. */
  | { readonly from: "jobs"; readonly package: string }
  /** A package of the MLflow server's environment, locked in infra/local/mlflow/requirements.txt. */
  | { readonly from: "mlflow"; readonly package: string }
  /** A package of package-lock.json; of one for each kind of processor, that of x64. */
  | { readonly from: "npm"; readonly package: string };

/** A Java program's own part of its command line. The heap is `initial_mib` and `heap_mib` of the memory. */
export interface Java {
  readonly options: readonly string[];
  /** Class path and main class; without them the artifact's jar is run. */
  readonly main?: { readonly classpath: readonly string[]; readonly name: string };
}

export interface Run {
  /** A name that each substrate knows (java, mlflow-python, ray, spark-class), or a command. */
  readonly program: string;
  readonly java?: Java;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** A properties file that is written before each start: a file of the repository, then what depends on ports and hosts. */
export interface Configuration {
  readonly file: string;
  /** Copied to its beginning. */
  readonly base: string;
  readonly properties: Readonly<Record<string, string>>;
}

/** What a judge may need beside the answer. */
export interface Surroundings {
  readonly ports: Readonly<Record<string, number>>;
  /** Whether the cluster is given by address. */
  readonly external: boolean;
}

/** One look at a service; all of an entry's must be good, in this order. */
export type Probe =
  | {
      readonly kind: "http";
      readonly url: string;
      /** What is wrong with a body that came with 200, in few words; null if nothing. A thrown error is a body of another kind. */
      readonly wrong?: (body: string, surroundings: Surroundings) => string | null;
      /** Longest wait for the answer; 5 s if not given. */
      readonly limit_ms?: number;
      /** Not asked of a cluster that is given by address. */
      readonly local?: true;
    }
  /** Asked as Kafka's clients ask: a broker answers, and its controller has let it in. */
  | { readonly kind: "kafka" }
  /** Asked as PostgreSQL's clients ask: it takes a session up to the password. */
  | { readonly kind: "postgres" };

export interface Service {
  readonly name: string;
  /** What can be given by address instead of being started; the services of a cluster go together. */
  readonly cluster: string;
  /** As sentences name it. */
  readonly title: string;
  /** Whether it is started only when it is asked for. */
  readonly optional?: true;
  /** Whether predictions go on, and are served, while it is away. */
  readonly expendable?: true;
  /** Whether `up` goes on, and says why, where it cannot be started on this machine. */
  readonly dispensable?: true;
  /** What its silence is called. */
  readonly unreachable: ErrorCode;
  readonly artifact: Artifact;
  readonly ports: readonly PortEntry[];
  readonly ranges?: readonly PortRange[];
  readonly addresses?: readonly Address[];
  /** The address a person sees. */
  readonly address: string;
  /** Started only when these work, stopped before them. */
  readonly after: readonly string[];
  /** Asked by it, or by the jobs that run on it, while they run: stopped before these, started beside them. */
  readonly uses: readonly string[];
  /** In the unit at the end of each name. */
  readonly memory: Readonly<Record<string, number>>;
  /** What it hands out to jobs, as its bookkeeping has it, in the unit at the end of each name. */
  readonly offers?: Readonly<Record<string, number>>;
  /** What must outlive a restart, below its folder; "." for all of it. */
  readonly keeps: Readonly<Record<string, string>>;
  /** Folders that must be there before it starts, below its own. */
  readonly folders: readonly string[];
  /** Files and folders of the repository, never written. */
  readonly reads: Readonly<Record<string, string>>;
  readonly configuration?: Configuration;
  readonly run: Run;
  readonly health: readonly Probe[];
  /** The name of what a substrate must do for this service beside all this. */
  readonly hook?: string;
  /** Time from start to working on a cold machine, with room. */
  readonly start_ms: number;
  /** Time from SIGTERM to gone before SIGKILL. */
  readonly stop_ms: number;
}
