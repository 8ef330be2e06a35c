// Which rows of an input were there before. Of two rows with one station and one time the first counts, as in the design's
// rule for the topic: the lowest offset wins. Sits inside the readers of files, so that a replay, a staged backfill and a
// certificate leave out the same rows.

import type { Observation } from "../row.ts";
import { hashRecord } from "./hash.ts";

/** `new`: no row of that station and time before. `repeat`: the same observation again. `conflict`: one with other values. */
export type RepeatVerdict = "new" | "repeat" | "conflict";

/**
 * Rows a generation remembers; two generations are alive. So the last half million rows are always remembered, whatever
 * their times say (a broken clock must not make it forget), in some 100 MB at most. Half a million rows are nine minutes of
 * a thousand stations that report every second. A repeat from further back is, in a file by time, older than the row above
 * it and no row at all; in a file as it stands it is about as late as the lateness allows, where readers may drop it.
 */
export const GENERATION_ROWS = 1 << 19;

/** One station's row of a time, as the hash of its values. */
interface Single {
  readonly key: string;
  readonly hash: number;
}

/** Hashes by time and then by station. Most times of a dense feed have one station only, and need no table. */
class Generation {
  readonly #times = new Map<number, Single | Map<string, number>>();
  #time = Number.NaN;
  #at: Single | Map<string, number> | undefined;
  count = 0;

  /** The hash of the row of that station and time. */
  find(key: string, time: number): number | undefined {
    // Stations report in step: most rows have the time of the row before.
    if (time !== this.#time) {
      this.#time = time;
      this.#at = this.#times.get(time);
    }
    const at = this.#at;
    if (at === undefined) return undefined;
    if (at instanceof Map) return at.get(key);
    return at.key === key ? at.hash : undefined;
  }

  /** A row that `find` was just asked for and did not know. */
  add(key: string, time: number, hash: number): void {
    this.count++;
    if (this.#at instanceof Map) {
      this.#at.set(key, hash);
      return;
    }
    this.#at =
      this.#at === undefined
        ? { key, hash }
        : new Map([
            [this.#at.key, this.#at.hash],
            [key, hash],
          ]);
    this.#times.set(time, this.#at);
  }
}

export class Repeats {
  readonly #generation_rows: number;
  #young = new Generation();
  #old = new Generation();

  constructor(generation_rows = GENERATION_ROWS) {
    this.#generation_rows = generation_rows;
  }

  /** Judges a row, and remembers it when it is new. A hash stands for the values: one conflict in 2^32 is called a repeat. */
  judge({ key, time, record }: Observation): RepeatVerdict {
    const hash = hashRecord(record);
    const known = this.#young.find(key, time) ?? this.#old.find(key, time);
    if (known !== undefined) return known === hash ? "repeat" : "conflict";
    if (this.#young.count === this.#generation_rows) {
      this.#old = this.#young;
      this.#young = new Generation();
      this.#young.find(key, time);
    }
    this.#young.add(key, time, hash);
    return "new";
  }
}
