// What each container may take, as data: two sizes of the same line. A limit is for all that a container holds, its page cache too,
// which is given back under pressure. Sums and the table in docs/generated/compose.md derive from this.

/** How much of a container; what is not said is as the service's entry has it. */
export interface Share {
  /** Of all its processes; a container that needs more is killed and comes back. */
  readonly limit_mib: number;
  /** Processor time; not limited where it is not said, because jobs take what is free. */
  readonly cpus?: number;
  /** How many of it; one if not said. Zero for what `--scale` adds. */
  readonly count?: number;
  /** In place of the entry's own. */
  readonly memory?: Readonly<Record<string, number>>;
  readonly offers?: Readonly<Record<string, number>>;
}

export interface Size {
  readonly name: string;
  /** What it is for, in a few words. */
  readonly title: string;
  readonly shares: Readonly<Record<string, Share>>;
}

/** Names of the containers that no entry of services.ts has: Millrace itself, one that makes passwords, and Ray's further nodes. */
export const MILLRACE = "millrace";
export const SECRETS = "secrets";
export const RAY_WORKER = "ray-worker";

/**
 * For one machine of two cores. Limits add up to 8 GB: what was measured with the demo's training (docs/compose.md), a quarter more for
 * Ray and twice as much for Spark, where a batch beside the streams has its own driver and executor.
 */
export const SMALL: Size = {
  name: "small",
  title: "one machine of two cores",
  shares: {
    kafka: { limit_mib: 640 },
    registry: { limit_mib: 384 },
    "spark-master": { limit_mib: 320 },
    // Drivers and executors run in it: those of the streams, and of one batch beside them.
    "spark-worker": { limit_mib: 2_432, offers: { cores: 16, memory_mib: 4_096 } },
    ray: { limit_mib: 2_304 },
    // The head does the work.
    [RAY_WORKER]: { limit_mib: 1_024, count: 0, offers: { cpus: 2 } },
    mlflow: { limit_mib: 512 },
    postgres: { limit_mib: 256 },
    [MILLRACE]: { limit_mib: 768 },
    [SECRETS]: { limit_mib: 32 },
    "hdfs-namenode": { limit_mib: 384 },
    "hdfs-datanode": { limit_mib: 384 },
  },
};

const SPARK_WORKERS = 4;
const RAY_WORKERS = 4;

/** What the users of a cluster run: a broker of 2 GB and two cores, four workers of 4 GB and two cores of either engine. */
export const LARGE: Size = {
  name: "large",
  title: "a machine of 24 cores and 64 GB",
  shares: {
    ...SMALL.shares,
    kafka: { limit_mib: 2_048, cpus: 2, memory: { initial_mib: 512, heap_mib: 1_024 } },
    // A core and a GB of each are left to what stands around a job.
    "spark-worker": {
      limit_mib: 4_096,
      cpus: 2,
      count: SPARK_WORKERS,
      offers: { cores: 2, memory_mib: 3_328 },
    },
    ray: { limit_mib: 2_304 },
    [RAY_WORKER]: {
      limit_mib: 4_096,
      cpus: 2,
      count: RAY_WORKERS,
      memory: { object_store_bytes: 500_000_000 },
      offers: { cpus: 2 },
    },
    mlflow: { limit_mib: 1_024 },
    postgres: { limit_mib: 1_024, memory: { shared_mib: 256 } },
    [MILLRACE]: { limit_mib: 1_024 },
  },
};

export const SIZES: readonly Size[] = [SMALL, LARGE];

/** What a share may take in all, MiB. */
export const shareOf = ({ limit_mib, count = 1 }: Share): number => limit_mib * count;
