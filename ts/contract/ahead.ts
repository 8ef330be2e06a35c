// Which windows nobody can have observed yet: one rule for what is served from memory and what the store calls the newest.

/**
 * How far a window may end after the append of its record, ms: an observation leads its clock by the contract's lead at most, and
 * that the broker's by as much.
 */
export function aheadOf({
  lead_ms,
  window_ms,
}: {
  readonly lead_ms: number;
  readonly window_ms: number;
}): number {
  return 2 * lead_ms + window_ms;
}

/**
 * Whether a window ends more than `ahead_ms` after the broker took the record of it, epoch ms. Nobody can have observed that,
 * whoever wrote it: it would make its station the newest for good and every other one stale.
 */
export function isAhead(end_ms: number, append_time_ms: number, ahead_ms: number): boolean {
  return end_ms > append_time_ms + ahead_ms;
}
