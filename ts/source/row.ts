// What a source yields: observations in event-time order, and the input they come from.
// Between the file readers (csv.ts, jsonl.ts, container.ts) or the generator (synthetic.ts) and feed.ts, which sends them.
// A row is already in the contract's names and units; nothing after this point converts.

/** Measurements are in the contract's units, null when absent. `record` holds every field of the contract, nothing else. */
export interface Observation {
  readonly key: string;
  /** Event time, UTC epoch ms. */
  readonly time: number;
  readonly record: Readonly<Record<string, string | number | null>>;
}

/** An observation at its place in the input. */
export interface Row extends Observation {
  /**
   * The input's own clock at this row, UTC epoch ms: how far event time has come, which never falls. Below `time` for a row
   * that leads: whether by too much is Spark's to judge, in stream and backfill alike.
   */
  readonly clock: number;
}

/** Event time a row stands for in its input: a time that leads has not come yet. */
export function placeOf(row: Pick<Row, "time" | "clock">): number {
  return Math.min(row.time, row.clock);
}

/** One ordered pass of observations that can be read again from the start, and gives the same rows each time. */
export interface Input {
  /** For messages: the path, or what was generated. */
  readonly name: string;
  /** All that decides which rows come in which order, as one short text. */
  fingerprint(): Promise<string>;
  /**
   * How many rows of this input a reader has behind it that stood somewhere in an earlier one; why that cannot be said, in
   * words, where it cannot. Only for an earlier input with another fingerprint; without it no reader of another one goes on.
   */
  goOn?(earlier: Earlier): Promise<number | string>;
  /** Lists of rows, so that a row costs no promise; never an empty list. */
  rows(): AsyncIterable<readonly Row[]>;
}

/** Where a reader stood in an input of another fingerprint. */
export interface Earlier {
  readonly fingerprint: string;
  readonly pass: number;
  /** Rows of the pass it had behind it. */
  readonly position: number;
  /** Newest event time it had behind it, epoch ms. */
  readonly event_time: number | null;
}

/** A row that cannot be an observation, or a cell of one that can, and why. Lines count from 1, in a container its records do. */
export interface BadRow {
  /** `cell`: its value is null, the rest of its row is used. */
  readonly lost: "row" | "cell";
  readonly file: string;
  readonly line: number;
  /** Null when the row as a whole is bad. A row can be lost by one column: its key or its time. */
  readonly column: string | null;
  readonly reason: string;
}

export function describeBad({ file, line, column, reason }: BadRow): string {
  return `${file}:${line}${column === null ? "" : ` column "${column}"`}: ${reason}`;
}

/** What a reader did not hand on, in words: `3 bad rows and 1 repeat left out`. */
export function describeLeftOut(bad: number, repeats: number): string {
  const words = (n: number, word: string): string =>
    `${n.toLocaleString("en-US")} ${word}${n === 1 ? "" : "s"}`;
  return `${words(bad, "bad row")} and ${words(repeats, "repeat")} left out`;
}
