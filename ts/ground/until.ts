// Waiting for a condition with a deadline: looks at once, then again at short intervals, and hands back what it last
// saw either way. The caller decides whether a missed deadline is an error.

import { setTimeout } from "node:timers/promises";

export interface Attempt<T> {
  readonly done: boolean;
  readonly seen: T;
}

export interface UntilOptions {
  readonly deadline_ms: number;
  readonly interval_ms?: number;
  readonly signal?: AbortSignal | undefined;
}

/** Resolves to the last look: `done` tells whether the condition came true in time. Rejects only if `look` or the signal does. */
export async function until<T>(
  look: () => Attempt<T> | Promise<Attempt<T>>,
  { deadline_ms, interval_ms = 100, signal }: UntilOptions,
): Promise<Attempt<T>> {
  const end_ms = performance.now() + deadline_ms;
  for (;;) {
    signal?.throwIfAborted();
    const last = await look();
    if (last.done || performance.now() >= end_ms) return last;
    await setTimeout(interval_ms);
  }
}
