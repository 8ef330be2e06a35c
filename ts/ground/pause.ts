// A wait that a signal ends early. It resolves either way: who is told to stop looks at the signal anyway.

import { setTimeout } from "node:timers/promises";

export async function pause(duration_ms: number, signal: AbortSignal): Promise<void> {
  await setTimeout(duration_ms, undefined, { signal }).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}
