// The clock of a file: how far event time has come at each of its rows. Between the rows as they stand and whoever orders,
// cuts, paces or judges them. Pure, and knows no contract.
//
// A file has no other clock than its rows, and a row must not be judged by itself: a station whose clock says 2073 would
// carry the clock along and make every other row late. So the clock advances to a row only when what follows goes on from
// there. Each station that follows has one voice: for the new time when it goes on from there, for the old one when it
// returns. A gap is confirmed because all go on behind it; a wrong clock is not, because the others return, or the station
// itself does. Rows from before the clock have no voice and move nothing.

/** What follows is looked at as far as this many rows, and further where the clock would leap by more than LEAP_MS. */
export const ROWS_AHEAD = 64;
export const ROWS_AHEAD_OF_LEAP = 4_096;
const LEAP_MS = 2 * 86_400_000;
/** So many rows that return are enough, unless more stations go on: a clock that is wrong for long costs no long looks. */
const ROWS_BACK = 32;
/** Where the file ends sooner, so many rows behind a gap confirm it, in a file of several stations those of two. */
const ROWS_CONFIRM = 3;
/** The first step of a file that ends behind it may be this long without further rows: reports come once a day. */
const FIRST_STEP_MS = 86_400_000;
/**
 * Fewer than ROWS_CONFIRM rows in front of a step of more than this, and longer than all that is seen behind it, are from a clock
 * that is wrong: one that began at year 1.
 */
const AGES_MS = 366 * 86_400_000;
/** The last one may be so many times the one before: the Monday of a file of working days. */
const LAST_STEP = 3;

export interface TimelineOptions {
  /** A step of at most this moves the clock at once: rows that stand in disorder within it need no look at what follows. */
  readonly trust_ms: number;
  /** Beyond this, epoch ms, the clock never goes: nobody has observed what is still to come. Asked when a row leads it. */
  readonly limit: () => number;
}

/** `clock`, epoch ms: equal to the row's time or above it, below it for a row that leads. Null for what has no time. */
export interface Timed<T> {
  readonly value: T;
  readonly clock: number | null;
}

interface Entry<T> {
  readonly value: T;
  readonly at: { readonly key: string; readonly time: number } | null;
}

type Verdict = "advance" | "stay" | "more";

/** Takes rows in the order of the file and hands them on in the same order, each once, a little later. */
export class Timeline<T> {
  readonly #trust_ms: number;
  readonly #limit: () => number;
  #limit_ms = Number.NEGATIVE_INFINITY;
  #entries: Entry<T>[] = [];
  #head = 0;
  #ended = false;
  #clock: number | null = null;
  /** The clock's last step, and how many rows came since its last leap. */
  #step_ms: number | null = null;
  #rows = 0;
  #station: string | null = null;
  #several = false;
  /** Time of the last row taken in, and the index from which on none is older than the one before it. */
  #last_ms = Number.NEGATIVE_INFINITY;
  #ordered = 0;

  constructor({ trust_ms, limit }: TimelineOptions) {
    this.#trust_ms = trust_ms;
    this.#limit = limit;
  }

  /** `at` is null for what has no time, such as a row that cannot be read; it keeps its place. */
  push(value: T, at: Entry<T>["at"]): void {
    if (at !== null) {
      if (at.time < this.#last_ms) this.#ordered = this.#entries.length;
      this.#last_ms = at.time;
    }
    this.#entries.push({ value, at });
  }

  /** No more rows come: what is left is decided by what there is. */
  end(): void {
    this.#ended = true;
  }

  /** The next row whose clock is decided; null until more rows are pushed, or at the end. */
  next(): Timed<T> | null {
    const entry = this.#entries[this.#head];
    if (entry === undefined) return null;
    const { value, at } = entry;
    let clock: number | null = null;
    if (at !== null) {
      if (this.#clock === null) {
        const start = this.#start();
        if (start === "more") return null;
        this.#clock = start;
      } else if (at.time > this.#clock) {
        const verdict = this.#judge(this.#head, at.time, this.#clock);
        if (verdict === "more") return null;
        if (verdict === "advance") this.#advance(at.time, this.#clock);
      }
      // A file that begins beyond the limit has no clock of its own yet.
      clock = this.#clock ?? this.#limit_ms;
      this.#rows++;
      this.#station ??= at.key;
      this.#several ||= at.key !== this.#station;
    }
    this.#drop();
    return { value, clock };
  }

  #advance(time: number, clock: number): void {
    this.#step_ms = time - clock;
    this.#clock = time;
    if (this.#step_ms > LEAP_MS) this.#rows = 0;
  }

  /** Lets go of the head, and of the space of the ones before it now and then. */
  #drop(): void {
    this.#head++;
    if (this.#head <= ROWS_AHEAD_OF_LEAP) return;
    this.#entries = this.#entries.slice(this.#head);
    this.#ordered = Math.max(0, this.#ordered - this.#head);
    this.#head = 0;
  }

  #isBeyond(time: number): boolean {
    if (time > this.#limit_ms) this.#limit_ms = this.#limit();
    return time > this.#limit_ms;
  }

  /**
   * Where the clock begins: at the first row from which the file goes on; at the very first one of a file that goes on from
   * none, such as one with its newest row on top; null while all that is known lies beyond the limit.
   */
  #start(): number | null | "more" {
    const count = this.#entries.length - this.#head;
    if (!this.#ended && count < ROWS_AHEAD_OF_LEAP) return "more";
    let first: number | null = null;
    const last = this.#head + Math.floor(count / 2);
    for (let i = this.#head; i <= last && i < this.#entries.length; i++) {
      const time = this.#entries[i]!.at?.time;
      if (time === undefined || this.#isBeyond(time)) continue;
      first ??= time;
      if (this.#begins(i, time)) return time;
    }
    return first;
  }

  /**
   * Whether the file goes on from the entry at `index`: more stations report from there on than from before it, each by most of
   * its rows, so that one row from the past among them says nothing.
   */
  #begins(index: number, time: number): boolean {
    const until = Math.min(index + ROWS_AHEAD_OF_LEAP, this.#entries.length);
    const balances = new Map<string, number>();
    let [near, far] = [0, 0];
    let [far_first, far_last] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (let i = index; i < until; i++) {
      const at = this.#entries[i]!.at;
      if (at === null || this.#isBeyond(at.time)) continue;
      const goesOn = at.time >= time - this.#trust_ms;
      balances.set(at.key, (balances.get(at.key) ?? 0) + (goesOn ? 1 : -1));
      if (at.time > time + AGES_MS) {
        far++;
        far_first = Math.min(far_first, at.time);
        far_last = Math.max(far_last, at.time);
      } else if (goesOn) near++;
    }
    if (near < ROWS_CONFIRM && far >= ROWS_AHEAD && far_last - far_first < far_first - time) return false;
    let [on, back] = [0, 0];
    for (const balance of balances.values()) {
      if (balance > 0) on++;
      if (balance < 0) back++;
    }
    return on > back;
  }

  /** Whether the clock may go from `clock` to the time of the entry at `index`. */
  #judge(index: number, time: number, clock: number): Verdict {
    if (this.#isBeyond(time)) return "stay";
    const step_ms = time - clock;
    if (step_ms <= this.#trust_ms) return "advance";
    const wanted = step_ms > LEAP_MS ? ROWS_AHEAD_OF_LEAP : ROWS_AHEAD;
    const there = this.#entries.length - index;
    if (there < wanted && !this.#ended) return "more";
    if (there >= wanted && this.#ordered <= index) return "advance";
    const { on, back, rows } = this.#voices(index, time, clock, wanted);
    if (on <= back) return "stay";
    if (back > 0 || there >= wanted) return "advance";
    return this.#isPlausible(step_ms, on, rows) ? "advance" : "stay";
  }

  /** Whether a step behind which the file soon ends, and to which nobody objects, is one. `rows` counts those behind it. */
  #isPlausible(step_ms: number, stations: number, rows: number): boolean {
    if (rows >= ROWS_CONFIRM && (stations > 1 || !this.#several)) return true;
    if (step_ms <= (this.#step_ms === null ? FIRST_STEP_MS : LAST_STEP * this.#step_ms)) return true;
    // Of two rows far apart neither is the wrong one.
    return rows >= this.#rows;
  }

  /** How many stations go on from `time`, how many return to between `clock` and it, and how many rows go on. */
  #voices(
    index: number,
    time: number,
    clock: number,
    most: number,
  ): { on: number; back: number; rows: number } {
    const from_ms = time - this.#trust_ms;
    const until = Math.min(index + most, this.#entries.length);
    // True: goes on. False: returned, for good when it had gone on before.
    const voices = new Map<string, boolean>();
    const returned = new Set<string>();
    let [on, rows, backs] = [0, 0, 0];
    for (let i = index; i < until; i++) {
      const at = this.#entries[i]!.at;
      if (at === null || this.#isBeyond(at.time)) continue;
      const before = voices.get(at.key);
      if (at.time >= from_ms) {
        rows++;
        if (before === true || returned.has(at.key)) continue;
        voices.set(at.key, true);
        on++;
      } else if (at.time >= clock - this.#trust_ms) {
        if (before === true) {
          returned.add(at.key);
          on--;
        }
        voices.set(at.key, false);
        if (++backs >= ROWS_BACK && on <= voices.size - on) break;
      }
    }
    return { on, back: voices.size - on, rows };
  }
}
