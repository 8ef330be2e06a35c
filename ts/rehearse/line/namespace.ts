// A namespace of its own on running engines, for proofs, bench and cluster tests: contract in force, connections open, nothing
// running. Removed without a trace. Judges and measures nothing.

import { randomUUID } from "node:crypto";
import { explain } from "../../contract/index.ts";
import { httpOf } from "../../ground/http.ts";
import { connectKafka } from "../../kafka/client.ts";
import type { Kafka } from "../../kafka/kafka.ts";
import { connectRegistry, type Registry } from "../../kafka/registry.ts";
import { type Contract, type Names, namesOf, pipelineOf } from "../../pipelines/index.ts";
import type { Settings } from "../../settings/settings.ts";
import { apply } from "../../supervise/apply.ts";
import { clearNamespace } from "../../supervise/remove.ts";
import { stopNamespace } from "../../supervise/stop.ts";

export interface Namespace {
  /** Of the engines, with this namespace. */
  readonly settings: Settings;
  readonly kafka: Kafka;
  readonly registry: Registry;
  readonly names: Names;
  readonly contract: Contract;
}

type Log = (line: string) => void;

/** A name that nobody else has. */
export const uniqueName = (what: string): string => `${what}-${randomUUID().slice(0, 8)}`;

/** Opens connections and applies the contract. Remove or close it whatever happens; after an error nothing is left of it. */
export async function openNamespace(
  engines: Settings,
  namespace: string,
  { signal, log = () => {} }: { readonly signal?: AbortSignal; readonly log?: Log } = {},
): Promise<Namespace> {
  const settings: Settings = { ...engines, namespace };
  const { pipeline, contract } = pipelineOf(settings.pipeline);
  const opened: Namespace = {
    settings,
    kafka: connectKafka(settings.kafka, { client_id: `${namespace}-rehearsal` }),
    registry: connectRegistry(settings.registryUrl),
    names: namesOf(pipeline, namespace),
    contract,
  };
  try {
    await apply({ settings, kafka: opened.kafka, registry: opened.registry, ...(signal ? { signal } : {}) });
  } catch (error) {
    await removeNamespace(opened, { log });
    throw error;
  }
  return opened;
}

/** Ends jobs and supervisor and closes the connections; topics and state stay. */
export async function closeNamespace({ settings, kafka }: Namespace): Promise<void> {
  await stopNamespace(settings);
  await kafka.close();
}

/**
 * Ends jobs and supervisor and removes topics, subjects, model and, unless it is to be kept, state. What cannot be removed is
 * said, not thrown.
 */
export async function removeNamespace(
  { settings, kafka, registry, names }: Namespace,
  { keep = false, log = () => {} }: { readonly keep?: boolean; readonly log?: Log } = {},
): Promise<void> {
  await clearNamespace(settings, { kafka, registry, names }, log, { keep });
  try {
    const http = httpOf("store_unreachable");
    const url = `${settings.mlflowUrl}/api/2.0/mlflow/registered-models/delete`;
    await http({
      action: "remove a rehearsal's model",
      method: "DELETE",
      url,
      body: { name: names.model },
    });
  } catch (error) {
    log(explain(error));
  }
  await kafka.close();
}
