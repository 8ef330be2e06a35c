// Reads whole partitions, committed or not, from any offset to an end or for ever. Sits between one topic and whoever
// follows it: the cursor look-up of a source, `millrace tail`, the API's memory, the bench.
// No consumer group, no commits: positions belong to the caller. Not for read-process-write.

import { PipelineError } from "../contract/errors.ts";
import { pause } from "../ground/pause.ts";
import {
  isMissingTopic,
  lostBroker,
  missingTopic,
  protocolType,
  retryConnection,
  unreachable,
} from "./fault.ts";
import { type Broker, clusterOf, type FetchedPartition, type KafkajsCluster } from "./internals.ts";
import type { KafkaRecord, Reader, ReadOptions } from "./kafka.ts";

// The same limits as Kafka's own consumer: a fetch is bounded, and one full partition cannot starve the others.
const PARTITION_BYTES = 1 << 20;
const FETCH_BYTES = 10 << 20;
/** How long a broker may be away before a reader gives up, wall time: a restart takes seconds. */
const OUTAGE_MS = 60_000;
const EARLIEST = "-2";
const LATEST = "-1";
const STOPPED = Symbol("stopped");

interface Fetched {
  readonly node: number;
  readonly asked: ReadonlyMap<number, { readonly offset: number; readonly generation: number }>;
  readonly partitions: readonly FetchedPartition[];
}

interface Handed {
  readonly partition: number;
  readonly generation: number;
  readonly records: KafkaRecord[];
  readonly next: number;
}

/** Progress of one partition. `fetched` runs ahead of `delivered`; a seek starts a new generation. */
interface Place {
  fetched: number;
  delivered: number;
  stable: number;
  /** Exclusive; infinite when following. */
  end: number;
  generation: number;
}

export class PartitionReader implements Reader {
  readonly #cluster: KafkajsCluster;
  readonly #address: string;
  readonly #topic: string;
  readonly #options: ReadOptions;
  readonly #places = new Map<number, Place>();
  readonly #seeks = new Map<number, number>();
  readonly #stop = new AbortController();
  #skipped = 0;
  #opened = false;
  #disconnected: Promise<void> | null = null;

  readonly #onClose: () => void;

  constructor(
    client: object,
    address: string,
    topic: string,
    options: ReadOptions,
    onClose: () => void = () => {},
  ) {
    this.#cluster = clusterOf(client);
    this.#address = address;
    this.#topic = topic;
    this.#options = options;
    this.#onClose = onClose;
    options.signal?.addEventListener("abort", () => this.#stop.abort(), { once: true });
    if (options.signal?.aborted) this.#stop.abort();
  }

  positions(): ReadonlyMap<number, number> {
    return new Map([...this.#places].map(([partition, place]) => [partition, place.delivered]));
  }

  lag(): number {
    let lag = 0;
    for (const place of this.#places.values()) lag += Math.max(0, place.stable - place.delivered);
    return lag;
  }

  skipped(): number {
    return this.#skipped;
  }

  seek(partition: number, offset: number): void {
    const place = this.#places.get(partition);
    if (place === undefined) {
      this.#seeks.set(partition, offset);
      return;
    }
    place.fetched = offset;
    place.delivered = offset;
    place.generation++;
  }

  close(): Promise<void> {
    this.#stop.abort();
    if (this.#disconnected === null) {
      this.#disconnected = this.#cluster.disconnect();
      this.#onClose();
    }
    return this.#disconnected;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<readonly KafkaRecord[]> {
    if (this.#opened) throw new Error("A reader is read once");
    this.#opened = true;
    try {
      if ((await this.#orStopped(retryConnection(() => this.#open()))) === STOPPED) return;
      // One request in flight a broker; what it brought is handed on while the next one runs.
      const flights = new Map<number, Promise<Fetched>>();
      let progress_ms = Date.now();
      let outage_ms: number | null = null;
      while (!this.#stop.signal.aborted) {
        this.#launch(flights);
        if (flights.size === 0) return;
        let fetched: Fetched | typeof STOPPED;
        try {
          fetched = await this.#orStopped(Promise.race(flights.values()));
        } catch (error) {
          if (this.#stop.signal.aborted) return;
          outage_ms ??= Date.now();
          if (Date.now() - outage_ms > OUTAGE_MS) throw error;
          await Promise.allSettled(flights.values());
          flights.clear();
          await this.#recover(error);
          continue;
        }
        if (fetched === STOPPED) return;
        outage_ms = null;
        flights.delete(fetched.node);
        const handed = await this.#take(fetched);
        if (handed.length > 0) progress_ms = Date.now();
        this.#checkDeadline(progress_ms);
        this.#launch(flights);
        for (const { partition, generation, records, next } of handed) {
          const place = this.#places.get(partition)!;
          if (place.generation !== generation) continue;
          place.delivered = next;
          if (records.length > 0) yield records;
          if (this.#stop.signal.aborted) return;
        }
      }
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      if (isMissingTopic(error))
        throw missingTopic(`read topic "${this.#topic}"`, this.#topic, this.#address, error);
      throw unreachable(`read topic "${this.#topic}"`, this.#address, error);
    } finally {
      await this.close();
    }
  }

  #launch(flights: Map<number, Promise<Fetched>>): void {
    for (const [node, partitions] of this.#wanted()) {
      if (flights.has(node)) continue;
      const flight = this.#fetch(node, partitions);
      // Whoever awaits it sees the error; one that nobody awaits any more (after a stop) must not end the process.
      flight.catch(() => {});
      flights.set(node, flight);
    }
  }

  /** Not Promise.race with one long-lived promise: that keeps every loser's result alive as long as the reader. */
  #orStopped<T>(promise: Promise<T>): Promise<T | typeof STOPPED> {
    const { signal } = this.#stop;
    if (signal.aborted) return Promise.resolve(STOPPED);
    return new Promise((resolve, reject) => {
      const stop = (): void => resolve(STOPPED);
      signal.addEventListener("abort", stop, { once: true });
      promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
    });
  }

  async #open(): Promise<void> {
    const { from, until, isolation = "committed" } = this.#options;
    await this.#cluster.connect();
    await this.#cluster.addTargetTopic(this.#topic);
    const all = this.#cluster.findTopicPartitionMetadata(this.#topic).map((p) => p.partitionId);
    const partitions = this.#options.partitions ?? all;
    const missing = partitions.filter((partition) => !all.includes(partition));
    if (missing.length > 0)
      throw new PipelineError(
        "config_invalid",
        `Cannot read topic "${this.#topic}": expected partitions 0 to ${all.length - 1}, got ${missing.join(", ")}`,
      );
    const stable = await this.#list(partitions, LATEST, 1);
    const end = until === "end" ? await this.#list(partitions, LATEST, 0) : stable;
    let start: ReadonlyMap<number, number>;
    if (from === "end") start = isolation === "committed" ? stable : await this.#list(partitions, LATEST, 0);
    else if (from === "beginning") start = await this.#list(partitions, EARLIEST, 0);
    else if (from instanceof Map) {
      const earliest = await this.#list(partitions, EARLIEST, 0);
      start = new Map(partitions.map((p) => [p, from.get(p) ?? earliest.get(p)!]));
    } else {
      const at = await this.#list(partitions, String((from as { timestamp_ms: number }).timestamp_ms), 0);
      // Kafka answers -1 when nothing was appended since.
      start = new Map(partitions.map((p) => [p, at.get(p) === -1 ? stable.get(p)! : at.get(p)!]));
    }
    for (const partition of partitions) {
      const offset = this.#seeks.get(partition) ?? start.get(partition)!;
      this.#places.set(partition, {
        fetched: offset,
        delivered: offset,
        stable: stable.get(partition)!,
        end: until === "never" ? Number.POSITIVE_INFINITY : end.get(partition)!,
        generation: 0,
      });
    }
  }

  /** Offsets by partition at a time, or Kafka's two special ones. Isolation 1 answers the last stable offset. */
  async #list(
    partitions: readonly number[],
    timestamp: string,
    isolationLevel: 0 | 1,
  ): Promise<Map<number, number>> {
    return listOffsets(this.#cluster, this.#topic, partitions, timestamp, isolationLevel);
  }

  /** Partitions that have more to come, by leader. */
  #wanted(): Map<number, number[]> {
    const wanted = new Map<number, number[]>();
    const leaders = new Map(
      this.#cluster.findTopicPartitionMetadata(this.#topic).map((p) => [p.partitionId, p.leader]),
    );
    for (const [partition, place] of this.#places) {
      const leader = leaders.get(partition);
      if (leader === undefined || place.fetched >= place.end) continue;
      wanted.set(leader, [...(wanted.get(leader) ?? []), partition]);
    }
    return wanted;
  }

  async #fetch(node: number, partitions: readonly number[]): Promise<Fetched> {
    const asked = new Map(
      partitions.map((partition) => {
        const { fetched, generation } = this.#places.get(partition)!;
        return [partition, { offset: fetched, generation }];
      }),
    );
    const broker = await this.#cluster.findBroker({ nodeId: node });
    return { node, asked, partitions: await this.#request(broker, asked) };
  }

  async #request(broker: Broker, asked: Fetched["asked"]): Promise<readonly FetchedPartition[]> {
    const { responses } = await broker.fetch({
      isolationLevel: this.#options.isolation === "uncommitted" ? 0 : 1,
      maxWaitTime: this.#options.wait_ms ?? 500,
      minBytes: 1,
      maxBytes: FETCH_BYTES,
      topics: [
        {
          topic: this.#topic,
          partitions: [...asked].map(([partition, { offset }]) => ({
            partition,
            fetchOffset: String(offset),
            maxBytes: PARTITION_BYTES,
          })),
        },
      ],
    });
    return responses.flatMap((response) => response.partitions);
  }

  async #take({ node, asked, partitions }: Fetched): Promise<Handed[]> {
    const handed: Handed[] = [];
    for (let fetched of partitions) {
      const { partition } = fetched;
      const place = this.#places.get(partition)!;
      const { offset, generation } = asked.get(partition)!;
      if (place.generation !== generation) continue;
      const readable = readableEnd(fetched, this.#options.isolation);
      place.stable = Math.max(place.stable, readable);
      let next = nextOffset(fetched, offset);
      if (next === offset && offset < readable) {
        // Nothing came although something is there: another partition filled the answer, or compaction left a batch
        // without records. Asked alone, a partition always gets its first batch whole, so an empty answer says that
        // this offset holds nothing.
        const broker = await this.#cluster.findBroker({ nodeId: node });
        const alone = await this.#request(broker, new Map([[partition, { offset, generation }]]));
        fetched = alone[0]!;
        next = Math.max(nextOffset(fetched, offset), offset + 1);
      }
      place.fetched = next;
      if (next > offset) {
        const records = visible(this.#topic, fetched, offset, place.end);
        handed.push({ partition, generation, records, next: Math.min(next, place.end) });
      }
    }
    return handed;
  }

  #checkDeadline(progress_ms: number): void {
    if (this.#options.until !== "end") return;
    const deadline_ms = this.#options.deadline_ms ?? 30_000;
    if (Date.now() - progress_ms <= deadline_ms) return;
    for (const [partition, place] of this.#places)
      if (place.fetched < place.end)
        throw new PipelineError(
          "kafka_unreachable",
          `Cannot read topic "${this.#topic}" to its end: expected partition ${partition} to be decided up to ` +
            `offset ${place.end} within ${deadline_ms} ms, got an open transaction at ${place.fetched}`,
        );
  }

  async #recover(error: unknown): Promise<void> {
    if (error instanceof PipelineError || isMissingTopic(error)) throw error;
    if (protocolType(error) === "OFFSET_OUT_OF_RANGE") {
      const partitions = [...this.#places.keys()];
      const start = await this.#list(partitions, EARLIEST, 0);
      const end = await this.#list(partitions, LATEST, 0);
      for (const [partition, place] of this.#places) {
        const [first, last] = [start.get(partition)!, end.get(partition)!];
        if (place.fetched >= first && place.fetched <= last) continue;
        // Behind the beginning: retention was faster. Beyond the end: the topic was made anew.
        this.#skipped += Math.max(0, first - place.fetched);
        this.seek(partition, first);
      }
      return;
    }
    const broker = lostBroker(error);
    if (broker !== null) this.#cluster.removeBroker(broker);
    try {
      await pause(200, this.#stop.signal);
      if (!this.#cluster.isConnected()) await this.#cluster.connect();
      await this.#cluster.refreshMetadata();
    } catch {
      // The next fetch fails in turn and is counted against the outage limit.
    }
  }
}

/** Offsets of some partitions at a time (epoch ms as text, "-1" latest, "-2" earliest). Isolation 1: last stable. */
export async function listOffsets(
  cluster: KafkajsCluster,
  topic: string,
  partitions: readonly number[],
  timestamp: string,
  isolationLevel: 0 | 1,
): Promise<Map<number, number>> {
  const leaders = new Map<number, number[]>();
  for (const { partitionId, leader } of cluster.findTopicPartitionMetadata(topic))
    if (partitions.includes(partitionId)) leaders.set(leader, [...(leaders.get(leader) ?? []), partitionId]);
  const offsets = new Map<number, number>();
  for (const [nodeId, owned] of leaders) {
    const broker = await cluster.findBroker({ nodeId });
    const { responses } = await broker.listOffsets({
      isolationLevel,
      topics: [{ topic, partitions: owned.map((partition) => ({ partition, timestamp })) }],
    });
    for (const response of responses)
      for (const { partition, offset } of response.partitions) offsets.set(partition, Number(offset));
  }
  return offsets;
}

function readableEnd(fetched: FetchedPartition, isolation: ReadOptions["isolation"]): number {
  return Number(isolation === "uncommitted" ? fetched.highWatermark : fetched.lastStableOffset);
}

/** Offset behind the last batch, its markers and what compaction took from its tail included. */
function nextOffset(fetched: FetchedPartition, offset: number): number {
  const last = fetched.messages.at(-1);
  if (last === undefined) return offset;
  const { firstOffset, lastOffsetDelta } = last.batchContext;
  return Math.max(offset, Number(firstOffset) + lastOffsetDelta + 1);
}

/** Records from `offset` (inclusive) to `end` (exclusive) without commit markers and without what was aborted. */
function visible(topic: string, fetched: FetchedPartition, offset: number, end: number): KafkaRecord[] {
  const { partition } = fetched;
  const aborts = [...fetched.abortedTransactions].sort(
    (a, b) => Number(a.firstOffset) - Number(b.firstOffset),
  );
  const aborting = new Set<string>();
  const records: KafkaRecord[] = [];
  for (const raw of fetched.messages) {
    const at = Number(raw.offset);
    while (aborts.length > 0 && Number(aborts[0]!.firstOffset) <= at)
      aborting.add(aborts.shift()!.producerId);
    const { producerId, inTransaction } = raw.batchContext;
    if (raw.isControlRecord) {
      // Key of a control record: int16 version, int16 type; 0 is abort, 1 commit.
      if (raw.key !== null && raw.key.readInt16BE(2) === 0) aborting.delete(producerId);
      continue;
    }
    if (inTransaction && aborting.has(producerId)) continue;
    if (at < offset || at >= end) continue;
    const headers: Record<string, Buffer> = {};
    for (const name in raw.headers) {
      const value = raw.headers[name]!;
      headers[name] = Array.isArray(value) ? value.at(-1)! : value;
    }
    records.push({
      topic,
      partition,
      offset: at,
      timestamp: Number(raw.timestamp),
      key: raw.key,
      value: raw.value,
      headers,
    });
  }
  return records;
}
