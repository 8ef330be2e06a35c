// Sends an input by its timetable, each observation once whatever happens. Between batches.ts, which says what goes together
// and when, and send/session.ts, which commits it. Where it stands is a count of rows and the fingerprint of the input
// they were counted in; an input that has only grown goes on, and what some source has sent before is refused.

import { PipelineError } from "../../contract/index.ts";
import type { Clock } from "../../ground/clock.ts";
import type { Input, Row } from "../row.ts";
import { type Cursor, readCursors } from "../send/cursor.ts";
import { Session, type Standing } from "../send/session.ts";
import { type Outgoing, rawRecords, type SendTarget } from "../send/target.ts";
import {
  type Anchor,
  type Batch,
  type BatchLimits,
  batches,
  type InputPlace,
  LINGER_MS,
  ROWS_MAX,
} from "./batches.ts";
import { type Position, positionOf, tokenOf } from "./position.ts";
import { Sample, sampleHash } from "./sample.ts";

export interface FeedOptions {
  /** Event time per wall time: 3600 is an hour a second. */
  readonly speed: number | "max";
  readonly loop: boolean;
  /** Ends a loop where the time it has come to is now (batches.ts). */
  readonly ends_now?: boolean;
  /** Most event time a transaction covers. */
  readonly span_ms: number;
  readonly clock: Clock;
  readonly anchor?: Anchor;
  readonly rows_max?: number;
  readonly linger_ms?: number;
  /** Ends the feed after the transaction in hand. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: FeedProgress) => void;
}

/** After each commit. */
export interface FeedProgress {
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
  readonly place: InputPlace;
  /** False when the signal ended it. */
  readonly finished: boolean;
}

/** What the tokens of a replay are called in a cursor. */
export const REPLAY = "replay";

/**
 * Sends what is left of an input.
 * Errors: those of a session; `config_invalid` when the cursor is of another input.
 */
export async function feed(input: Input, target: SendTarget, options: FeedOptions): Promise<FeedReport> {
  const { clock, signal } = options;
  const fingerprint = await input.fingerprint();
  const session = new Session(target, { kind: REPLAY, clock, ...(signal === undefined ? {} : { signal }) });
  try {
    const cursor = await session.open();
    if (cursor === null) await assertUnsent(input, target);
    const start = cursor === null ? BEGINNING : await goOn(input, fingerprint, cursor, target);
    const sample = new Sample(start.sample);
    let last = start.last;
    const standing = ({ pass, position, frontier }: InputPlace): Standing => ({
      token: tokenOf({ pass, position, fingerprint, last, sample: sample.values() }),
      event_time: frontier,
    });
    let sent = 0;
    let place: InputPlace = { pass: start.pass, position: start.position, frontier: null };
    // An input that has grown is known by what it is now, even when nothing new of it is sent.
    if (cursor !== null && start.fingerprint !== fingerprint)
      await session.commit([], standing({ ...place, frontier: cursor.event_time }));
    const limits: BatchLimits = {
      rows_max: options.rows_max ?? ROWS_MAX,
      linger_ms: options.linger_ms ?? LINGER_MS,
      span_ms: options.span_ms,
    };
    // The next batch is read and waited for while this one commits.
    let committing: Promise<void> = Promise.resolve();
    for await (const batch of batches(checked(input, start, target), {
      from: start,
      speed: options.speed,
      loop: options.loop,
      ends_now: options.ends_now ?? false,
      limits,
      clock,
      ...(options.anchor === undefined ? {} : { anchor: options.anchor }),
      ...(signal === undefined ? {} : { signal }),
    })) {
      const records = rawRecords(target, outgoing(batch, target.event_time));
      for (const { row, time } of batch.rows) sample.add(row.key, time);
      last = identityOf(batch.rows.at(-1)!.row);
      const there = standing(batch.end);
      await committing;
      committing = session.commit(records, there).then(() => {
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

const BEGINNING: Position = { pass: 0, position: 0, fingerprint: "", last: null, sample: [] };

function outgoing(batch: Batch, event_time: string): Outgoing[] {
  return batch.rows.map(({ row, time, frontier }) => ({
    key: row.key,
    record: time === row.time ? row.record : { ...row.record, [event_time]: time },
    clock_ms: frontier,
  }));
}

function identityOf({ key, time }: Row): number {
  return sampleHash(key, time);
}

/**
 * A source that begins must not send what another one has sent. Reads the input once, and only where others have sent at all.
 * Errors: `config_invalid`, naming the other source. A few rows in common amid many others may stay unseen (sample.ts).
 */
async function assertUnsent(input: Input, target: SendTarget): Promise<void> {
  const sent = new Map<number, Cursor>();
  for (const cursor of await readCursors(target)) {
    if (cursor.kind !== REPLAY || cursor.source === target.source) continue;
    const { sample, last } = positionOf(cursor.token);
    for (const hash of sample) sent.set(hash, cursor);
    // A file that begins with the rows another ended with has few in common with it, and this one among them.
    if (last !== null) sent.set(last, cursor);
  }
  if (sent.size === 0) return;
  for await (const rows of input.rows())
    for (const { key, time } of rows) {
      const cursor = sent.get(sampleHash(key, time));
      if (cursor === undefined) continue;
      const other = cursor.source.replace(/-\d+$/, "");
      throw new PipelineError(
        "config_invalid",
        `Cannot send "${input.name}" as source "${target.source}": expected observations that no source has sent, ` +
          `got that of "${key}" at ${new Date(time).toISOString()}, which source "${cursor.source}" has; it would count twice; ` +
          `for what a file holds behind what was sent "--source ${other}"${newer(cursor)}, for another time line another "--namespace"`,
        { context: { source: target.source, cursor: { ...cursor } } },
      );
    }
}

/** How to take only what is newer than a cursor. */
function newer({ event_time }: Cursor): string {
  if (event_time === null) return "";
  return `, for what is newer also "--from ${new Date(event_time + 1).toISOString()}"`;
}

/** Where a source goes on with an input. Errors: `config_invalid` for another input than that of its cursor. */
async function goOn(
  input: Input,
  fingerprint: string,
  cursor: Cursor,
  target: SendTarget,
): Promise<Position> {
  const known = positionOf(cursor.token);
  let { position } = known;
  if (known.fingerprint !== fingerprint) {
    const found = (await input.goOn?.({ ...known, event_time: cursor.event_time })) ?? "another one";
    if (typeof found === "string") throw refused(input, cursor, target, found);
    position = found;
  }
  const last = position === known.position ? known.last : null;
  if (known.sample.length > 0 || position === 0) return { ...known, position, last };
  // Written before there were samples: what was sent are the first rows, all of them after a pass.
  const sample = new Sample();
  let left = known.pass > 0 ? Number.POSITIVE_INFINITY : position;
  for await (const rows of input.rows()) {
    for (const { key, time } of rows.slice(0, left)) sample.add(key, time);
    left -= rows.length;
    if (left <= 0) break;
  }
  return { ...known, position, last, sample: sample.values() };
}

/** The input, whose last row sent is still where it was: a count of rows means something only as long as it is. */
function checked(input: Input, { last, position }: Position, target: SendTarget): Input {
  if (last === null || position === 0) return input;
  const moved = (seen: string): PipelineError =>
    new PipelineError(
      "config_invalid",
      `Cannot go on as source "${target.source}" with "${input.name}": expected row ${position} to be the one it sent last, ` +
        `got ${seen}: the input is read in another way than it was; take what is newer than its cursor with "--from" and another "--source"`,
    );
  return {
    ...input,
    async *rows() {
      let count = 0;
      for await (const rows of input.rows()) {
        const row = rows[position - 1 - count];
        if (row !== undefined && identityOf(row) !== last)
          throw moved(`"${row.key}" at ${new Date(row.time).toISOString()}`);
        count += rows.length;
        yield rows;
      }
      if (count < position) throw moved(`${count} rows`);
    },
  };
}

function refused(input: Input, cursor: Cursor, target: SendTarget, found: string): PipelineError {
  const { source, cursors_topic } = target;
  return new PipelineError(
    "config_invalid",
    `Cannot go on as source "${source}" with "${input.name}": expected the input of its cursor in "${cursors_topic}", got ${found}; ` +
      `for observations that were not sent yet another "--source"${newer(cursor)}, for another time line another "--namespace"`,
    { context: { source, cursor: { ...cursor } } },
  );
}
