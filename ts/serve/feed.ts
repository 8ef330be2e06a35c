// Carries records of the followed topics into the stores: decodes, sorts by topic, counts, and knows when it has caught up.
// Sits between the Kafka readers and the stores. Reads whole partitions without a consumer group: every server needs all
// stations, and its positions are nobody else's business. When Kafka is away it keeps trying and says so.

import { type Decoded, isAhead } from "../contract/index.ts";
import type { Kafka, KafkaRecord, Reader } from "../kafka/kafka.ts";
import { entityKey } from "../pipelines/index.ts";
import type { Flow } from "./flow.ts";
import type { FeedState } from "./health.ts";
import type { JobProgress } from "./jobs.ts";
import type { Latest, Outcome } from "./latest.ts";
import type { Metrics } from "./metrics.ts";
import type {
  FeatureRecord,
  PredictionRecord,
  ProgressRecord,
  RejectRecord,
  ServedContract,
  VerificationRecord,
} from "./records.ts";
import { isServable } from "./station_id.ts";
import type { Stream } from "./stream.ts";
import type { Verified } from "./verified.ts";

/** Most records of each partition that are read before its end at the start: bounds the start, not what is served after. */
export const TAIL_RECORDS = 25_000;

/** What a topic holds; decides where its records go. */
export const FEED_KINDS = ["predictions", "features", "verifications", "rejects", "progress"] as const;
export type FeedKind = (typeof FEED_KINDS)[number];

export interface FeedEffects {
  readonly contract: ServedContract;
  /** Followed topics and what each holds. */
  readonly topics: Readonly<Record<string, FeedKind>>;
  /** The arm that is served; predictions and verifications of another are left out. */
  readonly arm: string;
  readonly latest: Latest;
  readonly verified: Verified;
  readonly progress: JobProgress;
  readonly metrics: Metrics;
  readonly flow: Flow;
  /** Decodes a framed value. Bad bytes are an outcome; an error (the registry is away) is tried again with the record. */
  decode(kind: FeedKind, value: Buffer): Promise<Decoded<unknown>>;
  /** Hears where each topic stands and of every record, once the stores have it. */
  readonly stream?: Pick<Stream, "at" | "take">;
  log(error: unknown): void;
  /** Resolves after the time, or at once when the signal fires. */
  pause(ms: number, signal: AbortSignal): Promise<void>;
}

/** Waits between two attempts to read, wall time: the first, and the longest. */
const RETRY_MS = 250;
const RETRY_MS_MAX = 5_000;

interface TopicState {
  records: number;
  undecodable: number;
  /** First offset not yet handed to the stores, by partition; null before the topic's ends are known. */
  position: Map<number, number> | null;
  /** Last stable offsets met at the start that were not reached yet. */
  readonly goal: Map<number, number>;
  reader: Reader | null;
  /** While records are being handed over the reader's own positions are ahead of what the stores hold. */
  busy: boolean;
  error: string | null;
  /** The error last logged since records came in: an outage is one line, not one a try. */
  said: string | null;
}

export class Feed {
  readonly #effects: FeedEffects;
  readonly #topics: ReadonlyMap<string, TopicState>;

  constructor(effects: FeedEffects) {
    this.#effects = effects;
    this.#topics = new Map(
      Object.keys(effects.topics).map((topic) => [
        topic,
        {
          records: 0,
          undecodable: 0,
          position: null,
          goal: new Map(),
          reader: null,
          busy: false,
          error: null,
          said: null,
        },
      ]),
    );
  }

  /** Follows every topic until the signal fires. Never rejects for Kafka's sake: what fails is tried again. */
  async run(kafka: Pick<Kafka, "admin" | "read">, signal: AbortSignal): Promise<void> {
    await Promise.all([...this.#topics.keys()].map((topic) => this.#follow(kafka, topic, signal)));
  }

  async #follow(kafka: Pick<Kafka, "admin" | "read">, topic: string, signal: AbortSignal): Promise<void> {
    const state = this.#topics.get(topic);
    if (!state) return;
    for (let wait_ms = RETRY_MS; !signal.aborted; wait_ms = Math.min(wait_ms * 2, RETRY_MS_MAX)) {
      let reader: Reader | null = null;
      try {
        if (!state.position) {
          const partitions = await kafka.admin.offsets(topic);
          state.position = new Map(
            partitions.map(({ partition, start, stable }) => [
              partition,
              Math.max(start, stable - TAIL_RECORDS),
            ]),
          );
          for (const [partition, offset] of state.position)
            this.#effects.stream?.at(topic, partition, offset);
          for (const { partition, start, stable } of partitions)
            if (start < stable) state.goal.set(partition, stable);
        }
        reader = kafka.read(topic, { from: state.position, until: "never", signal });
        state.reader = reader;
        state.error = null;
        for await (const records of reader) {
          state.busy = true;
          for (const record of records) {
            await this.accept(record);
            state.position.set(record.partition, record.offset + 1);
          }
          state.busy = false;
          wait_ms = RETRY_MS;
          state.said = null;
        }
      } catch (error) {
        if (signal.aborted) break;
        state.error = error instanceof Error ? error.message : String(error);
        if (state.said !== state.error) this.#effects.log(error);
        state.said = state.error;
        await this.#effects.pause(wait_ms, signal);
      } finally {
        state.reader = null;
        state.busy = false;
        await reader?.close().catch(() => undefined);
      }
    }
  }

  /** One record, in the order of its partition. Bytes that cannot be decoded are counted and left out. */
  async accept(record: KafkaRecord): Promise<void> {
    const effects = this.#effects;
    const topic = this.#topics.get(record.topic);
    const kind = effects.topics[record.topic];
    if (!topic || !kind) return;
    const decoded = record.value === null ? null : await effects.decode(kind, record.value);
    topic.records++;
    effects.flow.read(record.topic);
    if (decoded === null || decoded.ok) {
      const value = decoded?.record ?? null;
      effects.metrics.read(record.topic, this.#store(kind, record, value));
      effects.stream?.take(record, value);
      return;
    }
    effects.stream?.take(record, null);
    topic.undecodable++;
    effects.metrics.read(record.topic, "undecodable");
    // The first says enough; a topic full of them must not fill the log.
    if (topic.undecodable === 1)
      effects.log(
        `Left out a record of "${record.topic}" at ${record.partition}/${record.offset}: ${decoded.reason}, ${decoded.detail}`,
      );
  }

  state(): FeedState {
    const topics = [...this.#topics];
    return {
      caught_up: this.#caughtUp(),
      error: topics.map(([, state]) => state.error).find((error) => error !== null) ?? null,
      topics: topics.map(([topic, state]) => ({
        topic,
        lag: state.reader?.lag() ?? 0,
        records: state.records,
        undecodable: state.undecodable,
      })),
    };
  }

  #caughtUp(): boolean {
    let all = true;
    for (const state of this.#topics.values()) {
      if (!state.position) return false;
      if (state.goal.size === 0) continue;
      // The reader's positions pass commit markers, which no record does.
      const passed = state.reader && !state.busy ? state.reader.positions() : state.position;
      for (const [partition, goal] of state.goal)
        if ((passed.get(partition) ?? 0) >= goal) state.goal.delete(partition);
      if (state.goal.size > 0) all = false;
    }
    return all;
  }

  #store(kind: FeedKind, record: KafkaRecord, value: unknown): Outcome | "counted" {
    const { contract, latest, verified, progress, metrics, flow, arm } = this.#effects;
    if (kind === "progress") {
      if (value === null) progress.forget(record.key?.toString("utf8") ?? "");
      else {
        const report = value as ProgressRecord;
        progress.report(report);
        const within_ms = report.counters["stale_after_ms"];
        if (within_ms !== undefined && report.job.startsWith(`${contract.pipeline}-`))
          latest.expectWithin(report.job, report.state === "running" ? within_ms : null);
      }
      return "counted";
    }
    if (value === null) return "counted";
    if (kind === "rejects") {
      const { reason } = value as RejectRecord;
      metrics.rejected(reason);
      flow.rejected(reason, record.timestamp);
      return "counted";
    }
    const station = (value as Record<string, unknown>)[entityKey(contract)];
    // The schema has the key as text; a pipeline whose contract has another key is another program.
    if (typeof station !== "string")
      throw new TypeError(`No text "${entityKey(contract)}" in a record of "${record.topic}"`);
    const arrival = {
      topic: record.topic,
      partition: record.partition,
      offset: record.offset,
      append_time_ms: record.timestamp,
    };
    if (kind === "features") return latest.observed(station, value as FeatureRecord, arrival);
    if (kind === "verifications") {
      const verification = value as VerificationRecord;
      if (!isServable(station)) return "refused";
      if (isAhead(verification.judged, arrival.append_time_ms, latest.ahead_ms)) return "ahead";
      return verification.arm === arm ? verified.take(station, verification) : "counted";
    }
    const prediction = value as PredictionRecord;
    if (prediction.arm !== arm) return "counted";
    const { anomaly } = prediction;
    if (anomaly && isServable(station)) {
      const type = anomaly.is_anomaly ? (anomaly.anomaly_type ?? "unknown") : null;
      metrics.judged(contract.pipeline, station, type);
    }
    const raw_ms = prediction.stages["raw_append_time"];
    if (raw_ms !== undefined && this.#caughtUp()) {
      metrics.predicted(record.timestamp - raw_ms);
      flow.predicted(prediction.stages, record.timestamp);
    }
    return latest.predicted(station, prediction, arrival);
  }
}
