// A sample of the observations a source has sent: those with the smallest hashes of station and time. The same observations
// make the same sample, whatever file, format or order they come in; so two sources that send the same are found out by
// a few numbers in a cursor. Source: bottom-k sketch (Cohen and Kaplan, PODC 2007).

import { hashNumber, hashText } from "./hash.ts";

/**
 * An input that repeats a share f of what was sent holds one of the sample with a probability of 1 - (1 - f)^16: all but
 * certain from a quarter on.
 */
export const SAMPLE_SIZE = 16;

const SEED = 0x9e3779b9;

/** 48 bit of station and time: the chance that any of a million observations meets a number of the sample is 6e-8. */
export function sampleHash(key: string, time: number): number {
  return hashNumber(time, hashText(key)) * 65_536 + (hashNumber(time, hashText(key, SEED)) >>> 16);
}

export class Sample {
  /** Ascending. */
  readonly #hashes: number[];

  constructor(hashes: readonly number[] = []) {
    this.#hashes = [...hashes];
  }

  add(key: string, time: number): void {
    const hash = sampleHash(key, time);
    const hashes = this.#hashes;
    if (hashes.length === SAMPLE_SIZE && hash >= hashes[SAMPLE_SIZE - 1]!) return;
    const at = hashes.findIndex((other) => other >= hash);
    if (hashes[at] === hash) return;
    hashes.splice(at < 0 ? hashes.length : at, 0, hash);
    if (hashes.length > SAMPLE_SIZE) hashes.pop();
  }

  values(): number[] {
    return [...this.#hashes];
  }
}
