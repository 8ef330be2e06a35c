// Work that is meant to go on for months, begun again after each fault that passes: whoever has to be waited for may be an engine that
// somebody has yet to start, so there are pauses and no last try. What somebody waits for is repeat.ts's.

import { pause } from "./pause.ts";

/** Waits between two beginnings, wall time: the first and the longest. */
const FIRST_MS = 250;
const LONGEST_MS = 5_000;

export interface Persisting {
  readonly signal: AbortSignal;
  /** Grows with what the work gets done; once it has, pauses are short again. */
  progress(): number;
  /** When to begin again. Throws what no waiting mends. */
  after(error: unknown): "at_once" | "later";
}

/** Resolves once the work ends by itself, or after the signal. Errors: those of `after`. */
export async function persist(
  work: () => Promise<void>,
  { signal, progress, after }: Persisting,
): Promise<void> {
  let wait_ms = FIRST_MS;
  while (!signal.aborted) {
    const before = progress();
    try {
      await work();
      return;
    } catch (error) {
      if (signal.aborted) return;
      if (after(error) === "at_once") continue;
    }
    wait_ms = progress() > before ? FIRST_MS : Math.min(wait_ms * 2, LONGEST_MS);
    await pause(wait_ms, signal);
  }
}
