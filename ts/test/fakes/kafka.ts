// A Kafka in memory for unit tests: offsets, commit markers, last stable offset, fencing and both isolations as in the
// real one. Held to the same suite (suites/kafka.ts), where what it cannot do is a named expected failure: it never compacts,
// and never gives up on an open transaction by itself. Failures are inputs: failNext().

import { PipelineError } from "../../contract/errors.ts";
import { difference } from "../../kafka/admin.ts";
import type {
  Admin,
  Kafka,
  KafkaRecord,
  OutRecord,
  PartitionLag,
  Producer,
  Reader,
  ReadOptions,
  TopicSpec,
  Transaction,
} from "../../kafka/kafka.ts";
import { partitionOf } from "../../kafka/partition.ts";

type Fate = { state: "open" | "committed" | "aborted" };

interface Entry {
  readonly record: KafkaRecord | null;
  readonly fate: Fate;
}

interface Log {
  readonly entries: Entry[];
  readonly open: Map<Fate, number>;
}

interface Topic {
  spec: TopicSpec;
  readonly logs: Log[];
}

/** A call that can be told to fail. `commit-lost`: the broker commits, the answer never arrives. */
export type Failure = "open" | "send" | "commit" | "commit-lost" | "read";

export interface FakeKafka extends Kafka {
  /** The next call of that kind fails with `kafka_unreachable`. */
  failNext(failure: Failure): void;
  /** Takes a group's offset down, as a consumer group would. */
  commitOffset(group: string, topic: string, partition: number, offset: number): void;
}

const ADDRESS = "fake:9092";

/** `nowMs` gives the append time of records. */
export function fakeKafka(nowMs: () => number = () => 0): FakeKafka {
  const topics = new Map<string, Topic>();
  const failures: Failure[] = [];
  const groups = new Map<string, number>();
  /** Epoch and unfinished transaction of each transactional id. */
  const writers = new Map<string, { epoch: number; settle: (() => void) | null }>();
  const waiting = new Set<() => void>();
  const changed = (): void => {
    const woken = [...waiting];
    waiting.clear();
    for (const wake of woken) wake();
  };

  const failing = (failure: Failure): boolean => {
    const at = failures.indexOf(failure);
    if (at >= 0) failures.splice(at, 1);
    return at >= 0;
  };
  const broken = (what: string): PipelineError =>
    new PipelineError(
      "kafka_unreachable",
      `Cannot ${what} at "${ADDRESS}": expected an answer from Kafka, got a failure`,
    );
  const topicOf = (name: string): Topic => {
    const topic = topics.get(name);
    if (topic !== undefined) return topic;
    throw new PipelineError(
      "config_invalid",
      `Cannot use "${ADDRESS}": expected topic "${name}" to exist, got none; "millrace apply" creates it`,
    );
  };
  const stableOf = (log: Log): number => Math.min(log.entries.length, ...log.open.values());

  const admin: Admin = {
    brokers: async () => 1,
    topics: async () => [...topics.keys()],
    describe: async (name) => topics.get(name)?.spec ?? null,
    plan: async (specs) => specs.flatMap((spec) => difference(spec, topics.get(spec.topic)?.spec ?? null)),
    async ensure(specs) {
      const changes = await admin.plan(specs);
      for (const spec of specs) {
        const topic = topics.get(spec.topic) ?? { spec, logs: [] };
        while (topic.logs.length < spec.partitions) topic.logs.push({ entries: [], open: new Map() });
        topic.spec = { ...spec, config: { ...topic.spec.config, ...spec.config } };
        topics.set(spec.topic, topic);
      }
      return changes;
    },
    async remove(names) {
      for (const name of names) topics.delete(name);
    },
    offsets: async (name) =>
      topicOf(name).logs.map((log, partition) => ({
        partition,
        start: 0,
        stable: stableOf(log),
        end: log.entries.length,
      })),
    offsetsAt: async (name, timestamp_ms) =>
      new Map(
        topicOf(name).logs.map(({ entries }, partition) => {
          const at = entries.findIndex(({ record }) => record !== null && record.timestamp >= timestamp_ms);
          return [partition, at < 0 ? entries.length : at];
        }),
      ),
    lag: async (group, name) =>
      topicOf(name).logs.map(({ entries }, partition): PartitionLag => {
        const committed = groups.get(`${group} ${name} ${partition}`) ?? null;
        const left = entries.slice(committed ?? 0);
        const markers = left.every(({ record, fate }) => record === null || fate.state === "aborted");
        return {
          partition,
          committed,
          end: entries.length,
          lag: committed !== null && markers ? 0 : left.length,
        };
      }),
    async commit(group, name, offsets) {
      for (const [partition, offset] of offsets) groups.set(`${group} ${name} ${partition}`, offset);
    },
  };

  const open = async (transactional_id: string): Promise<Producer> => {
    if (failing("open")) throw broken(`open a producer as "${transactional_id}"`);
    const writer = writers.get(transactional_id) ?? { epoch: 0, settle: null };
    writer.settle?.();
    writer.settle = null;
    const epoch = ++writer.epoch;
    writers.set(transactional_id, writer);
    const checkEpoch = (what: string): void => {
      if (epoch !== writer.epoch)
        throw new PipelineError(
          "job_failed",
          `Cannot ${what} as "${transactional_id}" at "${ADDRESS}": expected to be the only writer of that name, got fenced by a newer one`,
        );
    };
    let turn = 0;
    const begin = async (): Promise<Transaction> => {
      const fate: Fate = { state: "open" };
      const touched = new Set<Log>();
      const end = (state: "committed" | "aborted"): void => {
        fate.state = state;
        writer.settle = null;
        for (const log of touched) {
          log.open.delete(fate);
          log.entries.push({ record: null, fate: { state } });
        }
        changed();
      };
      return {
        async send(records) {
          checkEpoch("send records");
          if (failing("send")) throw broken("send records");
          writer.settle = () => end("aborted");
          for (const out of records) append(out, fate, touched, () => turn++);
          changed();
        },
        async commit() {
          checkEpoch("commit");
          if (failing("commit")) throw broken("commit");
          end("committed");
          if (failing("commit-lost")) throw broken("commit");
        },
        async abort() {
          checkEpoch("abort");
          end("aborted");
        },
      };
    };
    return { begin, close: async () => {} };
  };

  const append = (out: OutRecord, fate: Fate, touched: Set<Log>, turn: () => number): void => {
    const { logs } = topicOf(out.topic);
    const key = typeof out.key === "string" ? Buffer.from(out.key) : out.key;
    const partition = out.partition ?? (key === null ? turn() % logs.length : partitionOf(key, logs.length));
    const log = logs[partition];
    if (log === undefined) throw broken(`send to partition ${partition} of "${out.topic}"`);
    if (!touched.has(log)) log.open.set(fate, log.entries.length);
    touched.add(log);
    log.entries.push({
      fate,
      record: {
        topic: out.topic,
        partition,
        offset: log.entries.length,
        timestamp: nowMs(),
        key,
        value: out.value,
        headers: Object.fromEntries(
          Object.entries(out.headers ?? {}).map(([name, value]) => [name, Buffer.from(value)]),
        ),
      },
    });
  };

  const read = (name: string, options: ReadOptions): Reader => {
    const committed = options.isolation !== "uncommitted";
    const places = new Map<number, { at: number; end: number }>();
    const seeks = new Map<number, number>();
    const stop = new AbortController();
    if (options.signal?.aborted) stop.abort();
    options.signal?.addEventListener("abort", () => stop.abort(), { once: true });
    stop.signal.addEventListener("abort", changed, { once: true });
    const readable = (log: Log): number => (committed ? stableOf(log) : log.entries.length);

    const start = (log: Log, partition: number): number => {
      const { from } = options;
      if (from === "beginning") return 0;
      if (from === "end") return readable(log);
      if (from instanceof Map) return from.get(partition) ?? 0;
      const since = (from as { timestamp_ms: number }).timestamp_ms;
      const at = log.entries.findIndex(({ record }) => record !== null && record.timestamp >= since);
      return at < 0 ? stableOf(log) : at;
    };

    return {
      positions: () => new Map([...places].map(([partition, { at }]) => [partition, at])),
      lag: () =>
        [...places].reduce(
          (sum, [partition, { at }]) => sum + Math.max(0, readable(topicOf(name).logs[partition]!) - at),
          0,
        ),
      skipped: () => 0,
      seek(partition, offset) {
        const place = places.get(partition);
        if (place === undefined) seeks.set(partition, offset);
        else place.at = offset;
      },
      close: async () => stop.abort(),
      async *[Symbol.asyncIterator]() {
        const { logs } = topicOf(name);
        for (const partition of options.partitions ?? logs.keys()) {
          const log = logs[partition];
          if (log === undefined)
            throw new PipelineError(
              "config_invalid",
              `Cannot read topic "${name}": expected partitions 0 to ${logs.length - 1}, got ${partition}`,
            );
          const end = options.until === "end" ? log.entries.length : stableOf(log);
          places.set(partition, {
            at: seeks.get(partition) ?? start(log, partition),
            end: options.until === "never" ? Number.POSITIVE_INFINITY : end,
          });
        }
        while (!stop.signal.aborted) {
          if (failing("read")) throw broken(`read topic "${name}"`);
          let moved = false;
          for (const [partition, place] of places) {
            const log = logs[partition]!;
            const end = Math.min(readable(log), place.end);
            if (place.at >= end) continue;
            const records = log.entries
              .slice(place.at, end)
              .filter(({ fate }) => !committed || fate.state === "committed")
              .flatMap(({ record }) => (record === null ? [] : [record]));
            place.at = end;
            moved = true;
            if (records.length > 0) yield records;
            if (stop.signal.aborted) return;
          }
          if ([...places.values()].every(({ at, end }) => at >= end)) return;
          if (!moved) await new Promise<void>((resolve) => waiting.add(resolve));
        }
      },
    };
  };

  return {
    address: ADDRESS,
    admin,
    producer: ({ transactional_id }) => open(transactional_id),
    read,
    close: async () => {},
    failNext: (failure) => void failures.push(failure),
    commitOffset: (group, topic, partition, offset) =>
      void groups.set(`${group} ${topic} ${partition}`, offset),
  };
}
