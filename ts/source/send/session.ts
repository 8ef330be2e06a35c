// Sends records of a source, each once whatever happens: records and cursor in one transaction. Knows Kafka and time, and
// nothing of files, feeds or rows. Prose before code, because the order is what makes it true:
//   1. Open a producer. That fences an older twin of the same id and settles whatever it left open.
//   2. Read the cursor, committed, up to the end of the topic. It now says exactly what was sent, and nobody can add to it.
//   3. Send from there: begin, records and cursor, commit, again.
// When a transaction fails its outcome is unknown, so it starts again at 1: the cursor's number of commits then says whether
// the one in hand was among them. A kill -9 at any point is the same case, seen by the next process.

import { PipelineError } from "../../contract/index.ts";
import type { Clock } from "../../ground/clock.ts";
import type { OutRecord, Producer } from "../../kafka/kafka.ts";
import { type Cursor, readCursor } from "./cursor.ts";
import type { SendTarget } from "./target.ts";

export interface SessionOptions {
  /** Who can read the tokens of this source. */
  readonly kind: string;
  readonly clock: Clock;
  /** Ends the attempts to reach Kafka. */
  readonly signal?: AbortSignal;
}

/** Where a source stands once a transaction is committed. */
export type Standing = Pick<Cursor, "token" | "event_time">;

/** Attempts to open a session in a row before it gives up, and the longest pause between them, wall time. */
const ATTEMPTS = 12;
const PAUSE_MS_MAX = 5_000;

/**
 * One writer of one source. Errors of `open` and `commit`: `config_invalid` when the cursor is of another kind of source or a
 * topic is missing; `job_failed` when a newer source of the same name took over; `kafka_unreachable` after twelve attempts.
 */
export class Session {
  readonly #target: SendTarget;
  readonly #options: SessionOptions;
  #producer: Producer | null = null;
  #commits = 0;

  constructor(target: SendTarget, options: SessionOptions) {
    this.#target = target;
    this.#options = options;
  }

  /** Becomes the only writer; resolves to the cursor, null for a source that never sent. */
  async open(): Promise<Cursor | null> {
    const cursor = await this.#reopen();
    if (cursor !== null && cursor.kind !== this.#options.kind)
      throw new PipelineError(
        "config_invalid",
        `Cannot go on as source "${cursor.source}": expected the cursor of a ${this.#options.kind}, got one of a ` +
          `${cursor.kind} in "${this.#target.cursors_topic}"; give the source another name`,
        { context: { cursor: { ...cursor } } },
      );
    this.#commits = cursor?.commits ?? 0;
    return cursor;
  }

  /** Commits records and where the source then stands, once, whatever it takes. */
  async commit(records: readonly OutRecord[], standing: Standing): Promise<void> {
    const { source, cursors_topic, cursorCodec } = this.#target;
    const commits = this.#commits + 1;
    const cursor: Cursor = { source, kind: this.#options.kind, commits, ...standing };
    const all = [...records, { topic: cursors_topic, key: source, value: cursorCodec.encode(cursor) }];
    for (;;) {
      try {
        const transaction = await this.#producer!.begin();
        await transaction.send(all);
        await transaction.commit();
        break;
      } catch (error) {
        if (!(error instanceof PipelineError) || !error.retryable) throw error;
        await this.close();
      }
      const known = (await this.#reopen())?.commits ?? 0;
      if (known === commits) break;
      if (known !== this.#commits)
        throw new PipelineError(
          "job_failed",
          `Cannot go on as source "${source}": expected ${this.#commits} or ${commits} commits in its cursor, got ${known}; ` +
            "somebody else wrote it",
        );
    }
    this.#commits = commits;
  }

  async close(): Promise<void> {
    const producer = this.#producer;
    this.#producer = null;
    // What a close cannot say any more is found out by the next open.
    await producer?.close().catch(() => {});
  }

  async #reopen(): Promise<Cursor | null> {
    const { clock, signal } = this.#options;
    for (let attempt = 1; ; attempt++) {
      try {
        const { kafka, transactional_id, source } = this.#target;
        this.#producer = await kafka.producer({ transactional_id });
        return await readCursor(this.#target, source);
      } catch (error) {
        await this.close();
        const isRetryable = error instanceof PipelineError && error.retryable;
        if (!isRetryable || attempt === ATTEMPTS || signal?.aborted) throw error;
        await clock.until(clock.nowMs() + Math.min(100 * 2 ** attempt, PAUSE_MS_MAX), signal);
      }
    }
  }
}
