// What the rest of Millrace knows of Kafka: topics, readers and transactional producers, as types.
// client.ts implements them over kafkajs, ts/test/fakes/kafka.ts in memory; both pass the same suite (ts/test/suites/kafka.ts).
// Deliberately has no consumer groups: TypeScript reads whole partitions and keeps its own positions, and only Python
// does read-process-write (kafkajs cannot fence consumer offsets).

/** How to reach a cluster. Same record as `kafka_access` in schemas/avro/params. */
export interface KafkaAccess {
  /** host:port, comma separated. */
  readonly bootstrap: string;
  /** librdkafka client properties; a value `secret:NAME` is looked up in the secrets file. */
  readonly properties: Readonly<Record<string, string>>;
  /** JSON file (mode 0600) of secrets by name; null when there are none. */
  readonly secrets_path: string | null;
}

/** A record as it was read. `timestamp` is epoch ms, the broker's append time on every topic of ours. */
export interface KafkaRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  /** Of a repeated header the last one counts, as in Kafka's own `lastHeader`. */
  readonly headers: Readonly<Record<string, Buffer>>;
}

/** A record to send. Without `partition` the key decides (murmur2, as in Java and Spark). */
export interface OutRecord {
  readonly topic: string;
  readonly key: Buffer | string | null;
  readonly value: Buffer | null;
  readonly headers?: Readonly<Record<string, Buffer | string>>;
  readonly partition?: number;
}

export interface Transaction {
  /** Errors: `kafka_unreachable`; `job_failed` when a newer producer of the same id took over. Then abort or close. */
  send(records: readonly OutRecord[]): Promise<void>;
  /** After an error the outcome is unknown: open a new producer, which settles it, and look at what was committed. */
  commit(): Promise<void>;
  abort(): Promise<void>;
}

/** One writer; its calls are serialised. The broker aborts a transaction that stays open longer than its time limit. */
export interface Producer {
  begin(): Promise<Transaction>;
  close(): Promise<void>;
}

/** Where a reader starts. A map gives the offset of each partition, missing ones start at their beginning. */
export type Start = "beginning" | "end" | { readonly timestamp_ms: number } | ReadonlyMap<number, number>;

/**
 * Where a reader ends.
 * `end`: at what had been written when it started, open transactions included: it waits for them to be decided.
 * `stable`: at what had been decided when it started. `never`: it follows.
 */
export type End = "end" | "stable" | "never";

export interface ReadOptions {
  readonly from: Start;
  readonly until: End;
  /** Default: all. */
  readonly partitions?: readonly number[];
  /** `committed` (default) hides what is aborted or undecided. */
  readonly isolation?: "committed" | "uncommitted";
  /** Ends the iteration quietly. */
  readonly signal?: AbortSignal;
  /** Longest wait of one poll, wall time. Default 500. */
  readonly wait_ms?: number;
  /** For `end`: how long undecided transactions may hold it up, wall time. Default 30,000: thrice the longest of ours. */
  readonly deadline_ms?: number;
}

/** Yields the records of one partition at a time, in offset order, never an empty list. */
export interface Reader extends AsyncIterable<readonly KafkaRecord[]> {
  /** Next offset by partition; commit markers behind the last record are passed, so at rest it equals the end. */
  positions(): ReadonlyMap<number, number>;
  /** Offsets between the positions and the last stable offsets seen; 0 when caught up. */
  lag(): number;
  /** Records that retention removed before they were read (the reader went on at the new beginning). */
  skipped(): number;
  /** Takes effect at the next poll; records of that partition already fetched are dropped. */
  seek(partition: number, offset: number): void;
  close(): Promise<void>;
}

export interface TopicSpec {
  readonly topic: string;
  readonly partitions: number;
  /** Topic settings by their Kafka names, as text. */
  readonly config: Readonly<Record<string, string>>;
}

/** One difference between a declared topic and the cluster. A number of partitions that shrinks cannot be applied. */
export type TopicChange =
  | { readonly kind: "create"; readonly topic: string; readonly partitions: number }
  | { readonly kind: "partitions"; readonly topic: string; readonly from: number; readonly to: number }
  | {
      readonly kind: "config";
      readonly topic: string;
      readonly name: string;
      readonly from: string | null;
      readonly to: string;
    };

/** `start` inclusive, `end` exclusive (high watermark), `stable` exclusive (last stable offset). */
export interface PartitionOffsets {
  readonly partition: number;
  readonly start: number;
  readonly stable: number;
  readonly end: number;
}

export interface PartitionLag {
  readonly partition: number;
  /** Null when the group never committed. */
  readonly committed: number | null;
  readonly end: number;
  /** 0 when only commit markers lie between. */
  readonly lag: number;
}

export interface Admin {
  /** Brokers that the controller has let in: with none nobody is served yet. */
  brokers(): Promise<number>;
  topics(): Promise<string[]>;
  /** Null when there is no such topic. */
  describe(topic: string): Promise<TopicSpec | null>;
  /** What `ensure` would change. Errors: `config_invalid` when partitions would have to shrink. */
  plan(specs: readonly TopicSpec[]): Promise<TopicChange[]>;
  /** Creates what is missing and alters what differs; settings that are not declared stay. Idempotent. */
  ensure(specs: readonly TopicSpec[]): Promise<TopicChange[]>;
  remove(topics: readonly string[]): Promise<void>;
  offsets(topic: string): Promise<PartitionOffsets[]>;
  /** First offset appended at or after a time (epoch ms) by partition; the end where there is none. */
  offsetsAt(topic: string, timestamp_ms: number): Promise<ReadonlyMap<number, number>>;
  lag(group: string, topic: string): Promise<PartitionLag[]>;
  /**
   * Says for a group without members how far it is: next offset by partition. For who keeps positions elsewhere and wants them seen.
   * Errors: `kafka_unreachable`, also while the group has members.
   */
  commit(group: string, topic: string, offsets: ReadonlyMap<number, number>): Promise<void>;
}

export interface ProducerOptions {
  /** `<namespace>-<pipeline>-<source>-<slot>`: opening it fences the older one and settles its transaction. */
  readonly transactional_id: string;
  /** How long a transaction may stay open before the broker aborts it, wall time. Default 10,000. */
  readonly timeout_ms?: number;
}

export interface Kafka {
  /** The address as configured, for messages. */
  readonly address: string;
  readonly admin: Admin;
  producer(options: ProducerOptions): Promise<Producer>;
  read(topic: string, options: ReadOptions): Reader;
  /** Closes connections that were not closed before. */
  close(): Promise<void>;
}

/** Sends records in one transaction of their own and closes: for what is written seldom. */
export async function sendOnce(
  kafka: Kafka,
  transactional_id: string,
  records: readonly OutRecord[],
): Promise<void> {
  const producer = await kafka.producer({ transactional_id });
  try {
    const transaction = await producer.begin();
    await transaction.send(records);
    await transaction.commit();
  } finally {
    await producer.close();
  }
}

/** All records of a topic up to now, undecided transactions waited for. For small topics: it holds them in memory. */
export async function readAll(
  kafka: Kafka,
  topic: string,
  options: Partial<ReadOptions> = {},
): Promise<KafkaRecord[]> {
  const reader = kafka.read(topic, { from: "beginning", until: "end", ...options });
  const all: KafkaRecord[] = [];
  try {
    for await (const records of reader) for (const record of records) all.push(record);
  } finally {
    await reader.close();
  }
  return all;
}

/** The newest record of each key, as compaction would leave it: tombstones remove. Keys as UTF-8. */
export function latestByKey(records: readonly KafkaRecord[]): Map<string, KafkaRecord> {
  const latest = new Map<string, KafkaRecord>();
  for (const record of records) {
    if (record.key === null) continue;
    const key = record.key.toString("utf8");
    if (record.value === null) latest.delete(key);
    else latest.set(key, record);
  }
  return latest;
}
