// Topics as declared data against topics as they are: create, alter, describe, offsets, lag.
// Sits between `millrace apply`, the supervisor's metrics and one cluster. Declares nothing itself.

import kafkajs, { type Kafka as Kafkajs } from "kafkajs";
import { PipelineError } from "../contract/errors.ts";
import type { Repeat } from "../ground/repeat.ts";
import { until } from "../ground/until.ts";
import {
  isMissingTopic,
  missingTopic,
  retryConnection,
  SETTLING_MS,
  settled,
  unreachable,
  untilTopicKnown,
} from "./fault.ts";
import { clusterOf, type KafkajsCluster } from "./internals.ts";
import type { Admin, PartitionLag, PartitionOffsets, TopicChange, TopicSpec } from "./kafka.ts";
import { listOffsets, PartitionReader } from "./reader.ts";

// Node finds the names of a CommonJS module by reading it, and stops before this one.
const { ConfigResourceTypes } = kafkajs;

/** Kafka's number for a setting of the topic itself, as opposed to a default. Source: `DescribeConfigsResponse`. */
const TOPIC_CONFIG = 1;

/** Up to this many offsets behind, a lag may be commit markers only, and is looked at. */
const MARKERS = 16;

export interface ClosableAdmin extends Admin {
  close(): Promise<void>;
}

/** Connects at the first call. Errors of all: `kafka_unreachable`. */
export function adminOf(
  client: Kafkajs,
  address: string,
  repeating: Pick<Repeat, "pace" | "effects"> = {},
): ClosableAdmin {
  const raw = client.admin();
  let connected: Promise<void> | null = null;
  let cluster: KafkajsCluster | null = null;

  const connect = (): Promise<void> => {
    connected ??= raw.connect().catch((error) => {
      connected = null;
      throw error;
    });
    return connected;
  };
  /** Work that may be done again from its beginning: it reads, or looks first what is left to do. */
  const tried = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await retryConnection(async () => {
        await connect();
        return work();
      }, repeating);
    } catch (error) {
      throw unreachable(what, address, error);
    }
  };
  /** Leaders and offsets of one topic, by a connection of its own that is kept. */
  const placed = async <T>(
    topic: string,
    work: (c: KafkajsCluster, partitions: number[]) => Promise<T>,
  ): Promise<T> =>
    tried(`look at topic "${topic}"`, async () => {
      cluster ??= clusterOf(client);
      try {
        await cluster.connect();
        await cluster.addTargetTopic(topic);
        await cluster.refreshMetadata();
      } catch (error) {
        throw isMissingTopic(error) ? missingTopic("look at a topic", topic, address, error) : error;
      }
      return work(
        cluster,
        cluster
          .findTopicPartitionMetadata(topic)
          .map((p) => p.partitionId)
          .sort((a, b) => a - b),
      );
    });

  const described = async (topics: readonly string[]): Promise<Map<string, TopicSpec>> => {
    const wanted = new Set(topics);
    const names = (await raw.listTopics()).filter((name) => wanted.has(name));
    if (names.length === 0) return new Map();
    const { topics: metadata } = await raw.fetchTopicMetadata({ topics: names });
    const { resources } = await raw.describeConfigs({
      includeSynonyms: false,
      resources: names.map((name) => ({ type: ConfigResourceTypes.TOPIC, name })),
    });
    const configs = new Map(
      resources.map((resource) => [
        resource.resourceName,
        Object.fromEntries(
          resource.configEntries
            .filter((entry) => Number(entry.configSource) === TOPIC_CONFIG)
            .map((entry) => [entry.configName, entry.configValue]),
        ),
      ]),
    );
    return new Map(
      metadata.map(({ name, partitions }) => [
        name,
        { topic: name, partitions: partitions.length, config: configs.get(name) ?? {} },
      ]),
    );
  };
  const describe = (topics: readonly string[]) => tried("describe topics", () => described(topics));

  const planned = (specs: readonly TopicSpec[], found: ReadonlyMap<string, TopicSpec>): TopicChange[] =>
    specs.flatMap((spec) => difference(spec, found.get(spec.topic) ?? null));
  const plan = async (specs: readonly TopicSpec[]): Promise<TopicChange[]> =>
    planned(specs, await describe(specs.map((spec) => spec.topic)));

  /** A controller agrees to a change before every broker shows it: who asks next must not see what was. */
  const shown = async (specs: readonly TopicSpec[]): Promise<void> => {
    const { done, seen } = await until(
      async () => {
        const [left] = await plan(specs);
        return { done: left === undefined, seen: left };
      },
      { deadline_ms: SETTLING_MS, interval_ms: 50 },
    );
    if (!done)
      throw new PipelineError(
        "kafka_unreachable",
        `Cannot apply topics at ${address}: expected the broker to show them within ${SETTLING_MS / 1000} s, it still lacks ${JSON.stringify(seen)}`,
      );
  };

  const offsets = (topic: string): Promise<PartitionOffsets[]> =>
    placed(topic, async (c, partitions) => {
      const start = await listOffsets(c, topic, partitions, "-2", 0);
      const stable = await listOffsets(c, topic, partitions, "-1", 1);
      const end = await listOffsets(c, topic, partitions, "-1", 0);
      return partitions.map((partition) => ({
        partition,
        start: start.get(partition)!,
        stable: stable.get(partition)!,
        end: end.get(partition)!,
      }));
    });

  return {
    brokers: () => tried("count the brokers", async () => (await raw.describeCluster()).brokers.length),
    topics: () => tried("list topics", () => raw.listTopics()),
    describe: async (topic) => (await describe([topic])).get(topic) ?? null,
    plan,
    ensure: async (specs) => {
      let all: TopicChange[] | null = null;
      const changes = await tried("apply topics", async () => {
        const current = await described(specs.map((spec) => spec.topic));
        // After a lost answer this is what did not happen.
        const left = planned(specs, current);
        all ??= left;
        const touched = (kind: TopicChange["kind"], of = left): Set<string> =>
          new Set(of.filter((change) => change.kind === kind).map((change) => change.topic));
        const created = touched("create");
        const fresh = specs.filter((spec) => created.has(spec.topic));
        if (fresh.length > 0)
          await raw.createTopics({
            // The client's own wait takes a broker that has not heard of the topic yet for an error.
            waitForLeaders: false,
            topics: fresh.map(({ topic, partitions, config }) => ({
              topic,
              numPartitions: partitions,
              configEntries: Object.entries(config).map(([name, value]) => ({ name, value })),
            })),
          });
        const made = [...touched("create", all)];
        if (made.length > 0) await untilTopicKnown(() => raw.fetchTopicMetadata({ topics: made }));
        // That it has heard of them does not mean that it leads them yet: only their offsets tell.
        for (const topic of made) await untilTopicKnown(() => raw.fetchTopicOffsets(topic));
        const grown = touched("partitions");
        const wider = specs.filter((spec) => grown.has(spec.topic));
        if (wider.length > 0)
          await raw.createPartitions({
            topicPartitions: wider.map(({ topic, partitions }) => ({ topic, count: partitions })),
          });
        const altered = touched("config");
        const changed = specs.filter((spec) => altered.has(spec.topic));
        if (changed.length > 0)
          await raw.alterConfigs({
            validateOnly: false,
            // The request kafkajs knows replaces all settings of a topic, so what it has besides ours goes along.
            resources: changed.map(({ topic, config }) => ({
              type: ConfigResourceTypes.TOPIC,
              name: topic,
              configEntries: Object.entries({ ...current.get(topic)?.config, ...config }).map(
                ([name, value]) => ({ name, value }),
              ),
            })),
          });
        return all;
      });
      if (changes.length > 0) await shown(specs);
      return changes;
    },
    remove: (topics) =>
      tried("remove topics", async () => {
        const there = new Set(await raw.listTopics());
        const gone = topics.filter((topic) => there.has(topic));
        if (gone.length > 0) await raw.deleteTopics({ topics: gone });
      }),
    offsets,
    offsetsAt: (topic, timestamp_ms) =>
      placed(topic, async (c, partitions) => {
        const at = await listOffsets(c, topic, partitions, String(timestamp_ms), 0);
        const end = await listOffsets(c, topic, partitions, "-1", 0);
        // Kafka answers -1 when nothing was appended since.
        return new Map([...at].map(([p, offset]) => [p, offset === -1 ? end.get(p)! : offset]));
      }),
    lag: async (group, topic) => {
      const ends = await offsets(topic);
      const groups = await tried(`read offsets of group "${group}"`, () =>
        settled(() => raw.fetchOffsets({ groupId: group, topics: [topic] })),
      );
      const committed = new Map(
        groups.flatMap((g) => g.partitions).map(({ partition, offset }) => [partition, Number(offset)]),
      );
      const lags: PartitionLag[] = [];
      for (const { partition, start, stable, end } of ends) {
        const at = committed.get(partition) ?? -1;
        if (at < 0) {
          lags.push({ partition, committed: null, end, lag: end - start });
          continue;
        }
        let lag = Math.max(0, end - at);
        // A group that has read everything rests before the last commit marker: count records, not offsets.
        if (lag > 0 && lag <= MARKERS && stable === end)
          lag = await count(client, address, topic, partition, at);
        lags.push({ partition, committed: at, end, lag });
      }
      return lags;
    },
    commit: (group, topic, committed) =>
      tried(`commit offsets of group "${group}"`, async () => {
        cluster ??= clusterOf(client);
        await cluster.connect();
        // Kafka's groups of an empty broker are looked up before they are there.
        const coordinator = await settled(() => cluster!.findGroupCoordinator({ groupId: group }));
        await settled(() =>
          coordinator.offsetCommit({
            groupId: group,
            groupGenerationId: -1,
            memberId: "",
            retentionTime: -1,
            topics: [
              {
                topic,
                partitions: [...committed].map(([partition, offset]) => ({
                  partition,
                  offset: String(offset),
                })),
              },
            ],
          }),
        );
      }),
    close: async () => {
      await cluster?.disconnect();
      if (connected !== null) await raw.disconnect();
      [cluster, connected] = [null, null];
    },
  };
}

/** Committed records of one partition from an offset on. */
async function count(
  client: Kafkajs,
  address: string,
  topic: string,
  partition: number,
  from: number,
): Promise<number> {
  let found = 0;
  const reader = new PartitionReader(client, address, topic, {
    from: new Map([[partition, from]]),
    until: "stable",
    partitions: [partition],
    wait_ms: 10,
  });
  for await (const records of reader) found += records.length;
  return found;
}

/** What to do so that a topic is as declared. */
export function difference(spec: TopicSpec, found: TopicSpec | null): TopicChange[] {
  const { topic, partitions } = spec;
  if (found === null) return [{ kind: "create", topic, partitions }];
  if (found.partitions > partitions)
    throw new PipelineError(
      "config_invalid",
      `Cannot apply topic "${topic}": expected at most ${partitions} partitions, got ${found.partitions}; Kafka cannot remove any`,
      { context: { topic } },
    );
  const changes: TopicChange[] = [];
  if (found.partitions < partitions)
    changes.push({ kind: "partitions", topic, from: found.partitions, to: partitions });
  for (const [name, to] of Object.entries(spec.config)) {
    const from = found.config[name] ?? null;
    if (from !== to) changes.push({ kind: "config", topic, name, from, to });
  }
  return changes;
}
