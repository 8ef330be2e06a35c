// Sends an input to the raw topic, each observation once whatever happens: records and cursor in one transaction.
// Between batches.ts and Kafka. Prose before code, because the order is what makes it true:
//   1. Open a producer. That fences an older twin of the same id and settles whatever it left open.
//   2. Read the cursor, committed, up to the end of the topic. It now says exactly what was sent, and nobody can add to it.
//   3. Send from there: begin, records and cursor, commit, again.
// When a transaction fails its outcome is unknown, so it starts again at 1: the cursor then says whether the batch in hand
// was committed. A kill -9 at any point is the same case, seen by the next process.

import { PipelineError, type SourceCursor } from "../../contract/index.ts";
import type { Clock } from "../../ground/clock.ts";
import { type Kafka, type KafkaRecord, type OutRecord, type Producer, readAll } from "../../kafka/kafka.ts";
import type { Input, Row } from "../row.ts";
import { type Anchor, type Batch, batches, LINGER_MS, type Limits, type Place, ROWS_MAX } from "./batches.ts";

export interface Target {
  readonly kafka: Kafka;
  readonly raw_topic: string;
  readonly cursors_topic: string;
  /** `<namespace>-<pipeline>-<source>-<slot>`. */
  readonly transactional_id: string;
  /** Name and slot of the source: key of its cursor, and the header `source` of its records. */
  readonly source: string;
  /** The contract's field that says when. */
  readonly event_time: string;
  /** Framed Avro of one observation. */
  readonly encode: (record: Row["record"]) => Buffer;
  readonly encodeCursor: (cursor: SourceCursor) => Buffer;
  readonly decodeCursor: (value: Buffer) => Promise<SourceCursor>;
}

export interface FeedOptions {
  /** Event time per wall time: 3600 is an hour a second. */
  readonly speed: number | "max";
  readonly loop: boolean;
  /** Most event time a transaction covers. */
  readonly span_ms: number;
  readonly clock: Clock;
  readonly anchor?: Anchor;
  readonly rows_max?: number;
  readonly linger_ms?: number;
  /** Ends the feed after the transaction in hand. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}

/** After each commit. */
export interface Progress {
  /** Observations committed by this call. */
  readonly sent: number;
  readonly pass: number;
  readonly position: number;
  /** Newest event time sent, epoch ms. */
  readonly event_time: number | null;
  /** How far the feed is behind its own timetable, wall time; 0 at full speed. */
  readonly behind_ms: number;
}

export interface FeedReport {
  readonly sent: number;
  /** Observations that an earlier run had sent. */
  readonly resumed_at: number;
  readonly place: Place;
  /** False when the signal ended it. */
  readonly finished: boolean;
}

/** Attempts to open a session in a row before the feed gives up, and the pauses between them, wall time. */
const ATTEMPTS = 12;
const PAUSE_MS_MAX = 5_000;

/** How many records from the end of the cursors topic are looked at first: it grows between two compactions. */
const RECENT = 4_096;

/**
 * Sends what is left of an input.
 * Errors: `config_invalid` when the cursor is of another input or a topic is missing; `job_failed` when a newer source of
 * the same name took over; `kafka_unreachable` after twelve attempts.
 */
export async function feed(input: Input, target: Target, options: FeedOptions): Promise<FeedReport> {
  const { clock, signal } = options;
  const fingerprint = await input.fingerprint();
  const session = new Session(target, fingerprint, input.name, clock, signal);
  try {
    const start = await session.open();
    let sent = 0;
    let place: Place = { ...start, frontier: null };
    const limits: Limits = {
      rows_max: options.rows_max ?? ROWS_MAX,
      linger_ms: options.linger_ms ?? LINGER_MS,
      span_ms: options.span_ms,
    };
    // The next batch is read and waited for while this one commits.
    let committing: Promise<void> = Promise.resolve();
    for await (const batch of batches(input, {
      from: start,
      speed: options.speed,
      loop: options.loop,
      limits,
      clock,
      ...(options.anchor === undefined ? {} : { anchor: options.anchor }),
      ...(signal === undefined ? {} : { signal }),
    })) {
      const records = recordsOf(batch, target, fingerprint);
      await committing;
      committing = session.commit(batch, records).then(() => {
        sent += batch.rows.length;
        place = batch.end;
        options.onProgress?.({
          sent,
          pass: place.pass,
          position: place.position,
          event_time: place.frontier,
          behind_ms: batch.due_ms === null ? 0 : Math.max(0, clock.nowMs() - batch.due_ms),
        });
      });
      committing.catch(() => {});
    }
    await committing;
    return { sent, resumed_at: start.position, place, finished: !signal?.aborted };
  } finally {
    await session.close();
  }
}

function recordsOf(batch: Batch, target: Target, fingerprint: string): OutRecord[] {
  const { raw_topic, cursors_topic, source, event_time, encode, encodeCursor } = target;
  const records: OutRecord[] = [];
  let clock_ms = Number.NaN;
  let headers: Record<string, string> = {};
  for (const { row, time, frontier } of batch.rows) {
    // Stations report in step: most records share their headers with the one before.
    if (frontier !== clock_ms) {
      clock_ms = frontier;
      headers = { clock: String(frontier), source };
    }
    const value = encode(time === row.time ? row.record : { ...row.record, [event_time]: time });
    records.push({ topic: raw_topic, key: row.key, value, headers });
  }
  const { pass, position, frontier } = batch.end;
  const cursor: SourceCursor = { source, pass, position, event_time: frontier, fingerprint };
  records.push({ topic: cursors_topic, key: source, value: encodeCursor(cursor) });
  return records;
}

class Session {
  readonly #target: Target;
  readonly #fingerprint: string;
  readonly #input: string;
  readonly #clock: Clock;
  readonly #signal: AbortSignal | undefined;
  #producer: Producer | null = null;

  constructor(
    target: Target,
    fingerprint: string,
    input: string,
    clock: Clock,
    signal: AbortSignal | undefined,
  ) {
    this.#target = target;
    this.#fingerprint = fingerprint;
    this.#input = input;
    this.#clock = clock;
    this.#signal = signal;
  }

  /** Becomes the only writer, then says where it stands. */
  async open(): Promise<{ pass: number; position: number }> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#openOnce();
      } catch (error) {
        await this.close();
        if (
          !(error instanceof PipelineError) ||
          !error.retryable ||
          attempt === ATTEMPTS ||
          this.#signal?.aborted
        )
          throw error;
        const pause_ms = Math.min(100 * 2 ** attempt, PAUSE_MS_MAX);
        await this.#clock.until(this.#clock.nowMs() + pause_ms, this.#signal);
      }
    }
  }

  async #openOnce(): Promise<{ pass: number; position: number }> {
    const { kafka, transactional_id, source, cursors_topic } = this.#target;
    this.#producer = await kafka.producer({ transactional_id });
    const cursor = await readCursor(this.#target);
    if (cursor === null) return { pass: 0, position: 0 };
    if (cursor.fingerprint === this.#fingerprint) return { pass: cursor.pass, position: cursor.position };
    throw new PipelineError(
      "config_invalid",
      `Cannot go on as source "${source}" with "${this.#input}": expected the input of its cursor in "${cursors_topic}" ` +
        `(fingerprint ${cursor.fingerprint.slice(0, 12)}), got another (${this.#fingerprint.slice(0, 12)}); ` +
        'give the same file and options, another "--source" for a second feed, or another "--namespace" for another time line',
      { context: { source, cursor: { ...cursor }, fingerprint: this.#fingerprint } },
    );
  }

  /** Commits a batch once, whatever it takes. */
  async commit(batch: Batch, records: readonly OutRecord[]): Promise<void> {
    for (;;) {
      try {
        const transaction = await this.#producer!.begin();
        await transaction.send(records);
        await transaction.commit();
        return;
      } catch (error) {
        if (!(error instanceof PipelineError) || !error.retryable) throw error;
        await this.close();
      }
      const { pass, position } = await this.open();
      if (pass === batch.end.pass && position === batch.end.position) return;
      const { start } = batch;
      // A first batch of a pass follows on the last one of the pass before.
      const before =
        pass === start.pass ? position === start.position : pass < start.pass && start.position === 0;
      if (!before)
        throw new PipelineError(
          "job_failed",
          `Cannot go on as source "${this.#target.source}": expected its cursor at ${start.pass}/${start.position} ` +
            `or ${batch.end.pass}/${batch.end.position}, got ${pass}/${position}; somebody else wrote it`,
        );
    }
  }

  async close(): Promise<void> {
    const producer = this.#producer;
    this.#producer = null;
    // What a close cannot say any more is found out by the next open.
    await producer?.close().catch(() => {});
  }
}

/** The newest committed cursor of a source, null for one that never sent. Waits for undecided transactions. */
export async function readCursor(
  target: Pick<Target, "kafka" | "cursors_topic" | "source" | "decodeCursor">,
): Promise<SourceCursor | null> {
  const { kafka, cursors_topic, source, decodeCursor } = target;
  const newest = async (records: readonly KafkaRecord[]): Promise<SourceCursor | null> => {
    const ours = records.findLast(({ key, value }) => value !== null && key?.toString("utf8") === source);
    return ours === undefined ? null : decodeCursor(ours.value!);
  };
  const [place] = await kafka.admin.offsets(cursors_topic);
  if (place !== undefined && place.end - place.start > RECENT) {
    const recent = await readAll(kafka, cursors_topic, { from: new Map([[0, place.end - RECENT]]) });
    const found = await newest(recent);
    if (found !== null) return found;
  }
  return newest(await readAll(kafka, cursors_topic));
}
