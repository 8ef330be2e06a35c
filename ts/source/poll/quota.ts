// How many calls a provider still takes. Counts in buckets, 24 of which make the span of a limit, so that no span of that length, wherever
// it begins, holds more calls than it may; what was counted survives a restart in the source's cursor (token.ts).

import type { CallLimit } from "../feeds/feed.ts";

/** Calls by bucket of each limit, oldest first: the number of the bucket since 1970, and its calls. */
export type Ledger = readonly (readonly (readonly [bucket: number, calls: number])[])[];

const BUCKETS = 24;
/** Of each limit so much is planned for rounds; the rest is for what has to be asked again. */
const PLANNED_SHARE = 0.95;

export class Quota {
  readonly #limits: readonly CallLimit[];
  readonly #counts: Map<number, number>[];

  constructor(limits: readonly CallLimit[], ledger: Ledger = []) {
    this.#limits = limits;
    this.#counts = limits.map((_, at) => new Map(ledger[at] ?? []));
  }

  /** Notes calls that are about to be made. */
  take(calls: number, now_ms: number): void {
    for (const [at, { per_ms }] of this.#limits.entries()) {
      const counts = this.#counts[at]!;
      const bucket = bucketOf(now_ms, per_ms);
      counts.set(bucket, (counts.get(bucket) ?? 0) + calls);
      for (const old of counts.keys()) if (old < bucket - BUCKETS) counts.delete(old);
    }
  }

  /** The earliest time at which so many calls may be made; now, where they may be at once. Never, for more than a limit allows. */
  freeAt(calls: number, now_ms: number): number {
    let free_ms = now_ms;
    for (const [at, { calls: most, per_ms }] of this.#limits.entries()) {
      if (calls > most) return Number.POSITIVE_INFINITY;
      let spent = this.#spent(at, now_ms);
      for (const [bucket, count] of [...this.#counts[at]!].sort(([a], [b]) => a - b)) {
        if (spent + calls <= most) break;
        // A bucket counts until a whole span after its own end.
        const ends_ms = (bucket + 1) * (per_ms / BUCKETS) + per_ms;
        if (ends_ms <= now_ms) continue;
        free_ms = Math.max(free_ms, ends_ms);
        spent -= count;
      }
    }
    return free_ms;
  }

  /** Calls left now of the limit with the longest span; null without limits. */
  left(now_ms: number): number | null {
    const at = this.#limits.reduce(
      (longest, { per_ms }, i) => (per_ms > (this.#limits[longest]?.per_ms ?? 0) ? i : longest),
      0,
    );
    const limit = this.#limits[at];
    return limit === undefined ? null : Math.max(0, limit.calls - this.#spent(at, now_ms));
  }

  ledger(): Ledger {
    return this.#counts.map((counts) => [...counts].sort(([a], [b]) => a - b));
  }

  #spent(at: number, now_ms: number): number {
    const { per_ms } = this.#limits[at]!;
    let spent = 0;
    for (const [bucket, count] of this.#counts[at]!)
      if ((bucket + 1) * (per_ms / BUCKETS) + per_ms > now_ms) spent += count;
    return spent;
  }
}

const bucketOf = (now_ms: number, per_ms: number): number => Math.floor(now_ms / (per_ms / BUCKETS));

/** The shortest span between two rounds of so many calls that stays within every limit; 0 without limits. */
export function cadenceOf(limits: readonly CallLimit[], calls: number): number {
  return Math.max(
    0,
    ...limits.map(({ calls: most, per_ms }) => {
      // A bucket counts until a whole span after its end: 25 of them are full at once.
      const span_ms = (per_ms * (BUCKETS + 1)) / BUCKETS;
      const rounds = (most * PLANNED_SHARE) / calls;
      return span_ms / (rounds < 1 ? rounds : Math.floor(rounds));
    }),
  );
}
