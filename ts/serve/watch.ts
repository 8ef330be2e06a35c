// Tells the stream when something fell or came back, so that nobody has to ask again and again. Looks only while somebody listens; what
// asks engines and jobs is kept for a moment by whoever was passed in.

import { healthEvent } from "./events.ts";
import type { Health } from "./routes/health.ts";
import type { Stream } from "./stream.ts";

/** What is another state, and not only another age or count. */
function stateOf({ status, ready, engines, jobs, pipelines }: Health): string {
  return JSON.stringify([
    ...[status, ready],
    ...[...engines, ...jobs].map((one) => [one.name, one.status]),
    ...pipelines.map((one) => [one.pipeline, one.running, one.event_time.status, one.feed.caught_up]),
  ]);
}

export interface WatchEffects {
  readonly stream: Pick<Stream, "clients" | "tell">;
  health(): Promise<Health>;
  /** Resolves after the time or once the signal fires. */
  pause(ms: number, signal: AbortSignal): Promise<void>;
  log(error: unknown): void;
}

/** Looks until the signal fires. The first look after nobody listened tells what it sees: somebody may have missed a change. */
export async function watchHealth(
  { stream, health, pause, log }: WatchEffects,
  every_ms: number,
  signal: AbortSignal,
): Promise<void> {
  let told = "";
  while (!signal.aborted) {
    await pause(every_ms, signal);
    if (signal.aborted) return;
    if (stream.clients === 0) {
      told = "";
      continue;
    }
    try {
      const now = await health();
      const state = stateOf(now);
      if (state !== told) stream.tell(healthEvent(now));
      told = state;
    } catch (error) {
      log(error);
    }
  }
}
