// The topic model-events: which version an alias of a model names, for actors that serve it. They look at the registry when they
// hear an event, so what counts is the alias there; an event that was lost with whoever moved the alias is written again by
// whoever looks after it.

import { Decoder, encoder, type ModelEvent } from "../contract/index.ts";
import { retryConnection } from "../kafka/fault.ts";
import { type Kafka, latestByKey, readAll, sendOnce } from "../kafka/kafka.ts";
import type { Registry } from "../kafka/registry.ts";
import { type Contract, schemaOf } from "../pipelines/contract.ts";
import { type Names, topicOf } from "../pipelines/names.ts";

/** Where events go: one pipeline's model in one namespace. */
export interface Audience {
  readonly kafka: Kafka;
  readonly registry: Registry;
  readonly names: Pick<Names, "model" | "pipeline" | "topics" | "transactionalId">;
  readonly contract: Pick<Contract, "pipeline" | "schemas">;
}

/**
 * Writes one event, keyed by the model's name: the compacted topic keeps the last.
 * Errors: `kafka_unreachable`, `registry_unreachable`, `contract_mismatch` when the schema was never applied.
 */
export async function announce(
  { kafka, registry, names, contract }: Audience,
  moved: { readonly alias: string; readonly version: string; readonly now_ms: number },
): Promise<ModelEvent> {
  const { topic, subject } = topicOf(names, "model_events");
  const schema = schemaOf(contract, "model_events");
  const event: ModelEvent = {
    model: names.model,
    version: moved.version,
    alias: moved.alias,
    timestamp: moved.now_ms,
  };
  const value = encoder<ModelEvent>(schema, await registry.idOf(subject, schema))(event);
  // An event that comes twice is as good as one: actors look at the registry, and the topic keeps the last.
  await retryConnection(() =>
    sendOnce(kafka, names.transactionalId("models", 0), [{ topic, key: event.model, value }]),
  );
  return event;
}

/** The last event about the model; null for none. Errors: `kafka_unreachable`, `registry_unreachable`. */
export async function lastEvent({ kafka, registry, names, contract }: Audience): Promise<ModelEvent | null> {
  // Compacted and written a few times a day: the whole topic is small.
  const last = latestByKey(await readAll(kafka, topicOf(names, "model_events").topic)).get(names.model);
  if (!last) return null;
  const decoder = new Decoder<ModelEvent>(schemaOf(contract, "model_events"), (id) =>
    registry.schemaById(id),
  );
  const decoded = await decoder.decode(last.value);
  return decoded.ok ? decoded.record : null;
}
