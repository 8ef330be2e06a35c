// The one application in which all streams of a pipeline run on Spark, as data: its name, what it is started with, how large it is.
// It is started with what the pipeline could run and not with what runs now, so that a stream can join it, the archive, without a
// restart of the others. A heap is a bound and not a use: what never joins takes nothing of it.

import { createHash } from "node:crypto";
import type { Launch } from "../../engines/job.ts";
import { canonicalJson } from "../../ground/canonical.ts";
import type { Share } from "./type.ts";

/** The application's job, of which no query may have the name. */
export const STREAMS = "streams";

/**
 * What Spark holds back of each heap for itself, MiB, once a JVM however many streams it runs. Source: spark
 * `memory/UnifiedMemoryManager.scala`, `RESERVED_SYSTEM_MEMORY_BYTES`.
 */
const OWN_MIB = 300;

/**
 * How long it waits without a member before it ends, ms: a stream that is stopped and started again, changed or after a failure,
 * finds it warm; with nothing to run it costs half a gigabyte for no longer than this.
 */
const IDLE_MS = 15_000;

interface Started {
  readonly entrypoint: string;
  readonly properties: Readonly<Record<string, string>>;
  /** Digest of the code, which it loads once. */
  readonly code: string;
}

/**
 * How to launch it for any of its members. Cores: the sum of what each runs at once, so that no stream waits for a task of another
 * (as many as they had apart; threads that idle cost nothing). Heaps: Spark's own once, and beyond it what each had alone.
 */
export function application(
  name: string,
  { entrypoint, properties, code }: Started,
  shares: readonly Share[],
): Extract<Launch, { engine: "spark" }> {
  const launch = {
    engine: "spark",
    entrypoint,
    cores: shares.reduce((sum, { cores }) => sum + cores, 0),
    driver_memory: together(shares.map(({ driver_memory }) => driver_memory)),
    executor_memory: together(shares.map(({ executor_memory }) => executor_memory)),
    properties: Object.assign({}, properties, ...shares.map((share) => share.properties ?? {})) as Record<
      string,
      string
    >,
  } as const;
  const params = { delta: shares.some(({ delta }) => delta === true), idle_ms: IDLE_MS };
  const hash = createHash("sha256").update(canonicalJson({ launch, params, code })).digest("hex").slice(0, 8);
  return { ...launch, shared: { name, hash, params } };
}

/** One heap for what would run in these. */
export function together(heaps: readonly string[]): string {
  const beyond = heaps.map((heap) => Math.max(0, mib(heap) - OWN_MIB));
  return `${OWN_MIB + beyond.reduce((sum, more) => sum + more, 0)}m`;
}

function mib(heap: string): number {
  const [, number, unit] = /^(\d+)([mg])$/.exec(heap) ?? [];
  if (number === undefined) throw new Error(`expected a heap as 512m or 1g, got "${heap}"`);
  return Number(number) * (unit === "g" ? 1024 : 1);
}
