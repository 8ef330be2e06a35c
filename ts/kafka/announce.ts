// Says on model-events that an alias of a model moved. Called by `train` and `models promote` after the registry took the
// move; actors look at the registry when they hear it, so what counts is the alias there and not the text of the event.

import { encoder, type ModelEvent } from "../contract/index.ts";
import type { Contract } from "../pipelines/contract.ts";
import type { Names } from "../pipelines/names.ts";
import { again } from "./fault.ts";
import { type Kafka, sendOnce } from "./kafka.ts";
import type { Registry } from "./registry.ts";

/**
 * Writes one event, keyed by the model's name: the compacted topic keeps the last.
 * Errors: `kafka_unreachable`, `registry_unreachable`, `contract_mismatch` when the schema was never applied.
 */
export async function announce(
  to: { readonly kafka: Kafka; readonly registry: Registry },
  names: Pick<Names, "model" | "topics" | "transactionalId">,
  contract: Pick<Contract, "schemas">,
  moved: { readonly alias: string; readonly version: string; readonly now_ms: number },
): Promise<ModelEvent> {
  const { topic, subject } = names.topics.model_events;
  const schema = contract.schemas.model_events;
  const event: ModelEvent = {
    model: names.model,
    version: moved.version,
    alias: moved.alias,
    timestamp: moved.now_ms,
  };
  const value = encoder<ModelEvent>(schema, await to.registry.idOf(subject, schema))(event);
  // Said twice is as good as once: actors look at the registry, and the topic keeps the last.
  await again(() =>
    sendOnce(to.kafka, names.transactionalId("models", 0), [{ topic, key: event.model, value }]),
  );
  return event;
}
