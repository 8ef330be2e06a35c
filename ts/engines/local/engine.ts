// What every engine tells about itself: its ports, how it is started, and how to see that it works. One file an engine
// implements it; index.ts starts, watches and stops them all the same way.

import axios, { isAxiosError } from "axios";
import type { Look } from "../../ground/until.ts";
import type { Cluster, Port, Settings } from "../settings.ts";

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
  /** Writes configuration, prepares data folders below `dir`, and says what to run. */
  prepare(settings: Settings, dir: string): Promise<Command>;
  /** Looks once whether the engine does its work, within seconds; `seen` says what it answered, in few words. */
  check(settings: Settings): Promise<Look<string>>;
  /** Run once after the first good check. */
  settle?(members: readonly { readonly pid: number; readonly command: string }[]): void;
}

/** JVM flags of every small server here: one collector thread, no performance file, small stacks. */
export const SMALL_JVM = ["-XX:+UseSerialGC", "-XX:-UsePerfData", "-Xss512k"] as const;

/** Fewer malloc arenas: the default of eight a core costs a JVM tens of megabytes it never uses. */
export const SMALL_MALLOC = { MALLOC_ARENA_MAX: "2" } as const;

// axios, not fetch: Ray's dashboard and agent refuse what a browser could send (Sec-Fetch-*).
async function get(
  url: string,
  deadline_ms: number,
): Promise<{ status: number; text: string } | { error: string }> {
  try {
    const { status, data } = await axios.get<string>(url, {
      timeout: deadline_ms,
      proxy: false,
      validateStatus: () => true,
      responseType: "text",
      transformResponse: (body: unknown) => body,
    });
    return { status, text: data };
  } catch (error) {
    return { error: isAxiosError(error) ? error.message || (error.code ?? "no answer") : String(error) };
  }
}

/** A check from a GET: `good` reads the body and returns null if it is fine, else what is wrong. */
export async function answers(
  url: string,
  good: (text: string) => string | null = () => null,
  deadline_ms = 5_000,
): Promise<Look<string>> {
  const reply = await get(url, deadline_ms);
  if ("error" in reply) return { done: false, seen: `${url}: ${reply.error}` };
  if (reply.status !== 200) return { done: false, seen: `${url}: HTTP ${reply.status}` };
  let wrong: string | null;
  try {
    wrong = good(reply.text);
  } catch {
    wrong = `unexpected answer ${reply.text.slice(0, 80)}`;
  }
  return wrong === null ? { done: true, seen: "ok" } : { done: false, seen: `${url}: ${wrong}` };
}
