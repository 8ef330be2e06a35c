// What every engine tells about itself: its ports, how it is started, and how to see that it works. One file an engine
// implements it; index.ts starts, watches and stops them all the same way.

import { PipelineError } from "../../contract/errors.ts";
import { httpOf, type Reply } from "../../ground/http.ts";
import { ONCE } from "../../ground/repeat.ts";
import type { Look } from "../../ground/until.ts";
import type { Cluster, Port, Settings } from "../../engines/settings.ts";

export type EngineName =
  | "kafka"
  | "registry"
  | "spark-master"
  | "spark-worker"
  | "ray"
  | "mlflow"
  | "hdfs-namenode"
  | "hdfs-datanode";

/** A command to run; its folder, log and mark are added by the caller. */
export interface Command {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

export interface Engine {
  readonly name: EngineName;
  readonly cluster: Cluster;
  /** Started only after these work, stopped before them. */
  readonly after: readonly EngineName[];
  readonly ports: readonly Port[];
  /** Time from start to working on a cold machine, with room. */
  readonly start_ms: number;
  /** Time from SIGTERM to gone before SIGKILL. */
  readonly stop_ms: number;
  /** The address a person or client uses. */
  address(settings: Settings): string;
  /** Writes configuration, prepares data folders below `dir`, and says what to run. It runs in `dir`. */
  prepare(settings: Settings, dir: string): Promise<Command>;
  /** Looks once whether the engine does its work, within seconds; `seen` says what it answered, in few words. */
  check(settings: Settings): Promise<Look<string>>;
  /** Run once after the first good check. */
  settle?(members: readonly { readonly pid: number; readonly command: string }[]): void;
}

/** JVM flags of every small server here: one collector thread, no performance file, small stacks. */
export const SMALL_JVM = ["-XX:+UseSerialGC", "-XX:-UsePerfData", "-Xss512k"] as const;

/** Names of files are UTF-8 whatever the locale: under the C locale a JVM writes question marks for every other letter. */
export const UTF8 = { LC_ALL: "C.UTF-8" } as const;

/** Fewer malloc arenas: the default of eight a core costs a JVM tens of megabytes it never uses. */
export const SMALL_MALLOC = { MALLOC_ARENA_MAX: "2" } as const;

// One try: whoever waits for an engine looks again, and says what was last seen.
const http = httpOf("job_timed_out", { pace: ONCE });

/** A check from a GET: `good` reads the body and returns null if it is fine, else what is wrong. */
export async function answers(
  url: string,
  good: (text: string) => string | null = () => null,
  deadline_ms = 5_000,
): Promise<Look<string>> {
  let reply: Reply;
  try {
    reply = await http({ action: "check", url, limit_ms: deadline_ms });
  } catch (error) {
    return { done: false, seen: `${url}: ${seenOf(error)}` };
  }
  if (reply.status !== 200) return { done: false, seen: `${url}: HTTP ${reply.status}` };
  let wrong: string | null;
  try {
    wrong = good(reply.text);
  } catch {
    wrong = `unexpected answer ${reply.text.slice(0, 80)}`;
  }
  return wrong === null ? { done: true, seen: "ok" } : { done: false, seen: `${url}: ${wrong}` };
}

/** What a try saw instead of an answer: a status, or why there was none. */
function seenOf(error: unknown): string {
  if (!(error instanceof PipelineError)) return String(error);
  const { got } = error.context;
  return got === "none" && error.cause instanceof Error ? error.cause.message : String(got);
}
