// Administration over connections that are lost: a client in place of kafkajs whose every request loses its first answer, before
// or after it was carried out. The real broker is in test/cluster/kafka.test.ts.

import type { Kafka as Kafkajs } from "kafkajs";
import { describe, expect, it } from "vitest";
import { adminOf } from "./admin.ts";
import type { TopicSpec } from "./kafka.ts";

const pace = { tries: 10, first_ms: 1, most_ms: 1, deadline_ms: 60_000 };
const closed = () => Object.assign(new Error("Closed connection"), { name: "KafkaJSConnectionClosedError" });

/** What of kafkajs's admin is used to declare topics. */
function broker(lose: "before" | "after") {
  const topics = new Map<string, { partitions: number; config: Record<string, string> }>();
  const calls: string[] = [];
  const losing =
    <A extends unknown[], T>(name: string, work: (...given: A) => T) =>
    async (...given: A): Promise<T> => {
      const first = !calls.includes(name);
      calls.push(name);
      if (first && lose === "before") throw closed();
      const result = work(...given);
      if (first) throw closed();
      return result;
    };
  const raw = {
    connect: losing("connect", () => {}),
    disconnect: async () => {},
    listTopics: losing("list", () => [...topics.keys()]),
    fetchTopicMetadata: losing("metadata", ({ topics: names }: { topics: string[] }) => ({
      topics: names.map((name) => ({ name, partitions: Array(topics.get(name)!.partitions).fill({}) })),
    })),
    describeConfigs: losing("configs", ({ resources }: { resources: { name: string }[] }) => ({
      resources: resources.map(({ name }) => ({
        resourceName: name,
        configEntries: Object.entries(topics.get(name)!.config).map(([configName, configValue]) => ({
          configName,
          configValue,
          configSource: 1,
        })),
      })),
    })),
    createTopics: losing(
      "create",
      (asked: {
        topics: { topic: string; numPartitions: number; configEntries: { name: string; value: string }[] }[];
      }) => {
        for (const { topic, numPartitions, configEntries } of asked.topics) {
          if (topics.has(topic)) throw Object.assign(new Error(), { type: "TOPIC_ALREADY_EXISTS" });
          topics.set(topic, {
            partitions: numPartitions,
            config: Object.fromEntries(configEntries.map(({ name, value }) => [name, value])),
          });
        }
      },
    ),
    fetchTopicOffsets: losing("offsets", () => []),
    createPartitions: losing(
      "grow",
      ({ topicPartitions }: { topicPartitions: { topic: string; count: number }[] }) => {
        for (const { topic, count } of topicPartitions) {
          if (topics.get(topic)!.partitions >= count)
            throw Object.assign(new Error(), { type: "INVALID_PARTITIONS" });
          topics.get(topic)!.partitions = count;
        }
      },
    ),
    deleteTopics: losing("delete", ({ topics: names }: { topics: string[] }) => {
      for (const name of names)
        if (!topics.delete(name)) throw Object.assign(new Error(), { type: "UNKNOWN_TOPIC_OR_PARTITION" });
    }),
  };
  const admin = adminOf({ admin: () => raw } as unknown as Kafkajs, "broker:9092", { pace });
  return { admin, topics, calls };
}

describe.each(["before", "after"] as const)("adminOf() when every first answer is lost (%s)", (lose) => {
  const spec: TopicSpec = { topic: "a", partitions: 2, config: { "cleanup.policy": "compact" } };

  it("creates, grows and removes topics once each", async () => {
    const { admin, topics } = broker(lose);
    expect(await admin.ensure([spec])).toEqual([{ kind: "create", topic: "a", partitions: 2 }]);
    expect(topics.get("a")).toEqual({ partitions: 2, config: spec.config });
    expect(await admin.ensure([{ ...spec, partitions: 3 }])).toEqual([
      { kind: "partitions", topic: "a", from: 2, to: 3 },
    ]);
    expect(topics.get("a")?.partitions).toBe(3);
    expect(await admin.ensure([{ ...spec, partitions: 3 }])).toEqual([]);
    await admin.remove(["a"]);
    expect([...topics]).toEqual([]);
  });
});

it("adminOf() says after its tries what became of the connection", async () => {
  const refused = Object.assign(new Error("connect"), {
    name: "KafkaJSConnectionError",
    code: "ECONNREFUSED",
  });
  let tries = 0;
  const raw = {
    connect: async () => {
      tries++;
      throw Object.assign(new Error("retried"), { name: "KafkaJSNumberOfRetriesExceeded", cause: refused });
    },
  };
  const admin = adminOf({ admin: () => raw } as unknown as Kafkajs, "broker:9092", { pace });
  await expect(admin.topics()).rejects.toMatchObject({
    code: "kafka_unreachable",
    context: { fault: "refused" },
  });
  expect(tries).toBe(10);
});

it("adminOf() does not ask again for what Kafka refused", async () => {
  let asked = 0;
  const raw = {
    connect: async () => {},
    listTopics: async () => {
      asked++;
      throw Object.assign(new Error(), { type: "CLUSTER_AUTHORIZATION_FAILED" });
    },
  };
  const admin = adminOf({ admin: () => raw } as unknown as Kafkajs, "broker:9092", { pace });
  await expect(admin.topics()).rejects.toMatchObject({ context: { fault: null } });
  expect(asked).toBe(1);
});
