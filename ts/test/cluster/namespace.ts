// A namespace of its own for one cluster test: topics made, schemas registered, connections open, all removed at the end.
// What `millrace apply` does, without jobs.

import { randomUUID } from "node:crypto";
import type { Settings } from "../../settings/settings.ts";
import { connectKafka } from "../../kafka/client.ts";
import type { Kafka } from "../../kafka/kafka.ts";
import { connectRegistry, type Registry } from "../../kafka/registry.ts";
import {
  type Contract,
  type Names,
  namesOf,
  pipelineOf,
  subjectsOf,
  topicsOf,
} from "../../pipelines/index.ts";

export interface Ground {
  /** The engines' settings with this namespace. */
  readonly settings: Settings;
  readonly kafka: Kafka;
  readonly registry: Registry;
  readonly names: Names;
  readonly contract: Contract;
  clear(): Promise<void>;
}

export async function namespace(engines: Settings, what: string): Promise<Ground> {
  const { pipeline, contract } = pipelineOf(engines.pipeline);
  const settings: Settings = { ...engines, namespace: `${what}-${randomUUID().slice(0, 8)}` };
  const names = namesOf(pipeline, settings.namespace);
  const kafka = connectKafka(settings.kafka);
  const registry = connectRegistry(settings.registryUrl);
  const topics = topicsOf(names);
  await kafka.admin.ensure(topics);
  for (const { subject, schema } of subjectsOf(names, contract))
    await registry.register(subject, schema, "BACKWARD_TRANSITIVE");
  return {
    settings,
    kafka,
    registry,
    names,
    contract,
    async clear() {
      await kafka.admin.remove(topics.map(({ topic }) => topic));
      for (const { subject } of topics) await registry.remove(subject);
      await kafka.close();
    },
  };
}
