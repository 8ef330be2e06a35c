// What a source yields: observations in event-time order, and the input they come from.
// Between the file readers (csv.ts, jsonl.ts, container.ts) or the generator (synthetic.ts) and feed.ts, which sends them.
// A row is already in the contract's names and units; nothing after this point converts.

/** A value of a field; a date is its days since 1970-01-01. */
export type Value = string | number | boolean | null;

/** Measurements are in the contract's units, null when absent. `record` holds every field of the contract, nothing else. */
export interface Observation {
  readonly key: string;
  /** Event time, UTC epoch ms. */
  readonly time: number;
  readonly record: Readonly<Record<string, Value>>;
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
export function effectiveTime(row: Pick<Row, "time" | "clock">): number {
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
  /** Rows that are lost, where it is not the one. */
  readonly rows?: number;
}

export function describeBad({ file, line, column, reason }: BadRow): string {
  return `${file}:${line}${column === null ? "" : ` column "${column}"`}: ${reason}`;
}

/** Bad rows and cells that are told one by one; the others are counted. */
const REPORTED_MAX = 20;

/** Counts what a reader of a file does not hand on, and tells the first of it. */
export class SkippedRows {
  /** Rows that could not be observations. */
  rows = 0;
  /** Cells that were no numbers: null, the rest of their row is used. */
  cells = 0;
  /** Rows that were there before. */
  repeats = 0;

  #told = 0;
  readonly #tell: (line: string) => void;
  constructor(tell: (line: string) => void) {
    this.#tell = tell;
  }

  readonly onBad = (bad: BadRow): void => {
    const told = this.#told++;
    const rows = bad.rows ?? 1;
    if (told < REPORTED_MAX) this.#tell(`${describeBad(bad)}${rows === 1 ? "" : ` (about ${rows} rows)`}`);
    if (told === REPORTED_MAX) this.#tell("… more bad rows and cells follow; they are counted");
    if (bad.lost === "row") this.rows += rows;
    else this.cells++;
  };

  readonly onRepeat = (): void => {
    this.repeats++;
  };

  /** `3 bad rows and 1 repeat left out, 2 bad cells empty`. */
  describe(): string {
    const words = (n: number, word: string): string =>
      `${n.toLocaleString("en-US")} ${word}${n === 1 ? "" : "s"}`;
    const cells = this.cells === 0 ? "" : `, ${words(this.cells, "bad cell")} empty`;
    return `${words(this.rows, "bad row")} and ${words(this.repeats, "repeat")} left out${cells}`;
  }
}
