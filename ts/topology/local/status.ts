// One look at every service: what is written down about its process, and whether it answers.

import type { ErrorCode } from "../../contract/errors.ts";
import { alive } from "../../ground/identity.ts";
import type { Settings } from "../../settings/settings.ts";
import type { Service } from "../entry.ts";
import type { Cluster } from "../ports.ts";
import { SERVICES } from "../services.ts";
import { checkHealth } from "./health.ts";
import { readRecord } from "./record.ts";
import { addressOf, hookOf, isExternal, localService, TOPOLOGY, type Topology } from "./topology.ts";

/** What each cluster's silence is called. */
export const UNREACHABLE = Object.fromEntries(
  SERVICES.map(({ cluster, unreachable }) => [cluster, unreachable]),
) as Readonly<Record<Cluster, ErrorCode>>;

export interface EngineStatus {
  readonly name: string;
  readonly cluster: Cluster;
  /**
   * up: works; unwell: its process lives but does not answer; died: was started and is gone; stopped: not started, or
   * stopped by us; unreachable: given by address and does not answer.
   */
  readonly state: "up" | "unwell" | "died" | "stopped" | "unreachable";
  /** Whether it should work. An optional one should once it was started, and while an archive's path leads to it. */
  readonly wanted: boolean;
  readonly address: string;
  /** What the last look saw when not up. */
  readonly seen: string | null;
  readonly external: boolean;
  readonly pid: number | null;
  readonly started_ms: number | null;
  readonly log: string | null;
}

const STATE_WORDS: Readonly<Record<EngineStatus["state"], string>> = {
  up: "works",
  unwell: "does not answer",
  died: "has died",
  stopped: "is not running",
  unreachable: "does not answer",
};

/** A service, its address and its state in words. */
export const describeService = ({
  name,
  address,
  state,
}: Pick<EngineStatus, "name" | "address" | "state">): string =>
  `"${name}" at "${address}" ${STATE_WORDS[state]}`;

/** Looks at every service once, or at those of one cluster. */
export async function status(
  settings: Settings,
  cluster?: Cluster,
  topology: Topology = TOPOLOGY,
): Promise<EngineStatus[]> {
  const looked = topology.services.filter((service) => cluster === undefined || service.cluster === cluster);
  return Promise.all(looked.map((service) => statusOfService(topology, settings, service)));
}

async function statusOfService(
  topology: Topology,
  settings: Settings,
  service: Service,
): Promise<EngineStatus> {
  const external = isExternal(settings, service);
  const started = external ? null : readRecord(settings, service.name);
  const row = {
    name: service.name,
    cluster: service.cluster as Cluster,
    address: addressOf(settings, service),
    external,
    wanted: !service.optional || started !== null || (hookOf(topology, service)?.wanted?.(settings) ?? false),
    pid: started?.pid ?? null,
    started_ms: started?.started_ms ?? null,
    log: started?.log ?? null,
  };
  if (!external && !started) return { ...row, state: "stopped", seen: null };
  if (started && !alive(started)) return { ...row, state: "died", seen: `process ${started.pid} is gone` };
  const { done, seen } = await checkHealth(localService(settings, service));
  if (done) return { ...row, state: "up", seen: null };
  return { ...row, state: external ? "unreachable" : "unwell", seen };
}
