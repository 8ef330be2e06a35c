// Groups rows into what one transaction may carry, and holds each row back until it is due.
// Between an Input and feed.ts. Knows time and counts, nothing of Kafka.

import type { Clock } from "../../ground/clock.ts";
import { effectiveTime, type Input, type Row } from "../row.ts";

export interface BatchLimits {
  /** Most rows a transaction carries. */
  readonly rows_max: number;
  /** How long a due row may wait for company, wall time. With sending and committing it stays below 60 ms. */
  readonly linger_ms: number;
  /** Most event time a transaction covers: far below the lateness, or a reader sees one station ahead of another. */
  readonly span_ms: number;
}

export const ROWS_MAX = 1_000;
/** Half of it is what a record waits; twice as many transactions a second cost the broker a tenth of a core on a slow machine. */
export const LINGER_MS = 40;

/** A place in the input: so many rows of a pass are behind it. `frontier` is how far the source's clock has come. */
export interface InputPlace {
  readonly pass: number;
  readonly position: number;
  readonly frontier: number | null;
}

export interface TimedRow {
  readonly row: Row;
  /** Event time of this pass: the row's, shifted. */
  readonly time: number;
  /** The source's own clock at this row: the input's, shifted. Below `time` for a row that leads. */
  readonly frontier: number;
}

export interface Batch {
  readonly rows: readonly TimedRow[];
  readonly start: InputPlace;
  readonly end: InputPlace;
  /** When its first row was due, wall time; null at full speed. */
  readonly due_ms: number | null;
}

export interface BatchingOptions {
  readonly from: { readonly pass: number; readonly position: number };
  /** Event time per wall time, or as fast as it goes. */
  readonly speed: number | "max";
  readonly loop: boolean;
  readonly limits: BatchLimits;
  readonly clock: Clock;
  /** When the observation of that event time is due, wall time; without it the first one sent is due at once. */
  readonly anchor?: Anchor;
  /** Ends a looping input before the first observation of a further pass whose time has not come yet: readers refuse such ones. */
  readonly ends_now?: boolean;
  readonly signal?: AbortSignal;
}

export interface Anchor {
  readonly event_ms: number;
  readonly wall_ms: number;
}

const DAY_MS = 86_400_000;
/** A step of the clock beyond this is no gap to wait through, and what lies before it no part of a pass: a clock that began
 * at year 1. */
const AGES_MS = 366 * DAY_MS;

/**
 * How far a pass is shifted against the one before: whole days, so that the hour of the day stays, and enough of them
 * that no time of one pass comes again in the next. `last` is inclusive.
 */
export function period(first: number, last: number): number {
  return Math.ceil((last - first + 1) / DAY_MS) * DAY_MS;
}

/**
 * Batches from a place on, each when it is due. The first row sent is due at once; every other follows by the input's clock
 * against that row, divided by the speed, however long sending took (open loop). A time that leads is not waited for.
 * Ends with the input, when looping never or at the clock's time (`ends_now`); an abort ends it after the rows that were already due.
 */
export async function* batches(input: Input, options: BatchingOptions): AsyncGenerator<Batch> {
  const { from, speed, loop, limits, clock, signal } = options;
  let anchor: Anchor | null = options.anchor ?? null;
  let shift_ms = 0;
  let frontier: number | null = null;
  if (from.pass > 0) {
    const { first, last } = await reachOf(input);
    if (last === null) return;
    shift_ms = from.pass * period(first, last);
    frontier = last + shift_ms - period(first, last);
  }

  for (let pass = from.pass; ; pass++) {
    const skip = pass === from.pass ? from.position : 0;
    let position = 0;
    const reach = new Reach();
    let held: TimedRow[] = [];
    let start: InputPlace = { pass, position: skip, frontier };
    let due_ms: number | null = null;
    let closes_ms = 0;
    const taken = (): Batch => {
      const end: InputPlace = { pass, position, frontier };
      const batch = { rows: held, start, end, due_ms };
      [held, start] = [[], end];
      return batch;
    };
    for await (const rows of input.rows()) {
      for (const row of rows) {
        if (reach.take(row.clock)) anchor = options.anchor ?? null;
        const event_ms = row.clock + shift_ms;
        if (position < skip) {
          frontier = Math.max(frontier ?? event_ms, event_ms);
          position++;
          continue;
        }
        let due: number | null = null;
        if (speed !== "max") {
          anchor ??= { event_ms, wall_ms: clock.nowMs() };
          due = anchor.wall_ms + (event_ms - anchor.event_ms) / speed;
        }
        if (
          held.length >= limits.rows_max ||
          (held.length > 0 && Math.abs(effectiveTime(row) - effectiveTime(held[0]!.row)) > limits.span_ms) ||
          (held.length > 0 && due !== null && due > closes_ms)
        )
          yield taken();
        if (due !== null && due > clock.nowMs()) await clock.until(due, signal);
        const beyond = options.ends_now === true && pass > 0 && event_ms > clock.nowMs();
        if (signal?.aborted || beyond) {
          if (held.length > 0) yield taken();
          return;
        }
        if (held.length === 0) {
          due_ms = due;
          closes_ms = due === null ? 0 : Math.max(due, clock.nowMs()) + limits.linger_ms;
        }
        frontier = Math.max(frontier ?? event_ms, event_ms);
        held.push({ row, time: row.time + shift_ms, frontier });
        position++;
      }
    }
    if (held.length > 0) yield taken();
    if (!loop || position === 0 || signal?.aborted) return;
    shift_ms += period(reach.first, reach.last!);
  }
}

/** How far the clock of a pass goes, both ends inclusive; it begins anew behind a step of ages. */
class Reach {
  first = 0;
  last: number | null = null;

  /** True when it begins anew. */
  take(clock: number): boolean {
    const anew = this.last !== null && clock - this.last > AGES_MS;
    if (this.last === null || anew) this.first = clock;
    this.last = clock;
    return anew;
  }
}

async function reachOf(input: Input): Promise<Reach> {
  const reach = new Reach();
  for await (const rows of input.rows()) for (const { clock } of rows) reach.take(clock);
  return reach;
}
