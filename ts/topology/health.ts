// What a good answer of each service is: pure functions over the body that came, null for a good one, else what is wrong in few
// words. Ask nobody; local/health.ts does.

import type { Surroundings } from "./entry.ts";

/** The registry's list of subjects. */
export const subjects = (body: string): string | null =>
  body.startsWith("[") ? null : "not a list of subjects";

interface MasterState {
  readonly status: string;
  readonly workers: readonly { readonly port: number; readonly state: string }[];
}

/** The Spark master's page in JSON. */
export function masterAlive(body: string): string | null {
  const { status } = JSON.parse(body) as MasterState;
  return status === "ALIVE" ? null : `status ${status}`;
}

/** The same page, read for the worker: ours by its port, any of a cluster that is given. */
export function workerAlive(body: string, { ports, external }: Surroundings): string | null {
  const { workers } = JSON.parse(body) as MasterState;
  const states = workers
    .filter(({ port }) => external || port === ports["sparkWorker"])
    .map(({ state }) => state);
  return states.includes("ALIVE") ? null : `worker ${states.at(-1) ?? "not registered"}`;
}

/** Judges the one bean that was asked for on Hadoop's metrics page. */
const bean =
  <T>(wrong: (bean: T) => string | null) =>
  (body: string): string | null => {
    const [found] = (JSON.parse(body) as { readonly beans: readonly T[] }).beans;
    return found ? wrong(found) : "is starting";
  };

interface NameNodeInfo {
  /** Empty once it has left it. */
  readonly Safemode: string;
  /** JSON by the name of each DataNode. */
  readonly LiveNodes: string;
}

interface DataNodeInfo {
  /** JSON: one entry a NameNode. */
  readonly BPServiceActorInfo: string;
}

/** The NameNode answers. It may still be in safe mode: it leaves that when the DataNode has told its blocks. */
export const namesAnswer = bean<NameNodeInfo>(() => null);

/** The NameNode knows a DataNode, and its names are no longer only for reading. */
export const namesWritable = bean<NameNodeInfo>(({ Safemode, LiveNodes }) => {
  if (Object.keys(JSON.parse(LiveNodes) as object).length === 0) return "no DataNode lives";
  return Safemode === "" ? null : Safemode.slice(0, 120);
});

/** The DataNode knows its NameNode. */
export const blocksServed = bean<DataNodeInfo>(({ BPServiceActorInfo }) => {
  const [actor] = JSON.parse(BPServiceActorInfo) as readonly { readonly ActorState: string }[];
  return actor?.ActorState === "RUNNING" ? null : `is ${actor?.ActorState ?? "without a NameNode"}`;
});
