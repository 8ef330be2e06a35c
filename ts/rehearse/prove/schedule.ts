// Which process is killed when, as a pure function of a seed. Kills nobody.

import { randomOf, shuffled } from "./random.ts";

/**
 * Whom the proof kills with SIGKILL. `driver` is the driver of the whole Ray job. `spark` and `archive` are the one
 * driver of the Spark jobs, at a moment that is seeded for each, and with what is waited for afterwards: windows, or the archive too.
 */
export const KILL_KINDS = ["actor", "driver", "spark", "archive", "source", "supervisor"] as const;
export type Kind = (typeof KILL_KINDS)[number];

export interface Kill {
  readonly kind: Kind;
  /** It comes once this many more predictions are committed after the line has recovered from the one before. */
  readonly after: number;
  /** In [0, 1): which of a victim's processes is hit, where it has two. */
  readonly aim: number;
}

/** Few enough to hit a start that is not over, enough to hit a stream at rest. */
const AFTER_MIN = 5;
const AFTER_MAX = 250;

/** `count` kills of each kind in random order. Same seed, same schedule. */
export function scheduleOf(seed: number, count: number, kinds: readonly Kind[] = KILL_KINDS): Kill[] {
  const random = randomOf(seed);
  const all = kinds.flatMap((kind) => Array.from({ length: count }, () => kind));
  return shuffled(all, random).map((kind) => ({
    kind,
    after: AFTER_MIN + Math.floor(random() * (AFTER_MAX - AFTER_MIN)),
    aim: random(),
  }));
}

/** Splits a count into rounds of at most `most`; a job that fails more often within minutes is given up, rightly. */
export function roundsOf(count: number, most: number): number[] {
  const rounds = Math.ceil(count / most);
  return Array.from({ length: rounds }, (_, i) => (i < rounds - 1 ? most : count - most * (rounds - 1)));
}
