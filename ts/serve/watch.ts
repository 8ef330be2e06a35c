// Tells the stream what no topic says, so that nobody has to ask again and again: once it is another than before, or each time. Looks
// only while somebody listens; what asks engines and jobs is kept for a moment by whoever was passed in.

import { type EventKind, told } from "./events.ts";
import type { Alerts } from "./routes/alerts.ts";
import type { Health } from "./routes/health.ts";
import type { Stream } from "./stream.ts";

/** What of health is another state, and not only another age or count. */
export function healthState({ status, ready, engines, jobs, pipelines }: Health): string {
  return JSON.stringify([
    ...[status, ready],
    ...[...engines, ...jobs].map((one) => [one.name, one.status]),
    ...pipelines.map((one) => [one.pipeline, one.running, one.event_time.status, one.feed.caught_up]),
  ]);
}

/** Everything of the alerts but when they were looked at. */
export const alertsState = ({ count, alerts }: Alerts): string => JSON.stringify([count, alerts]);

/** What is told, and how to see it. */
export interface Look<T extends object> {
  readonly kind: EventKind;
  see(): Promise<T>;
  /** It is told once this is another text; null to tell each look. */
  readonly state: ((seen: T) => string) | null;
}

export interface WatchEffects {
  readonly stream: Pick<Stream, "listeners" | "isTold" | "tell">;
  /** Resolves after the time or once the signal fires. */
  pause(ms: number, signal: AbortSignal): Promise<void>;
  log(error: unknown): void;
}

/** Looks until the signal fires. The first look after nobody listened tells what it sees: somebody may have missed a change. */
export async function watch<T extends object>(
  { kind, see, state }: Look<T>,
  { stream, pause, log }: WatchEffects,
  every_ms: number,
  signal: AbortSignal,
): Promise<void> {
  let before = "";
  while (!signal.aborted) {
    await pause(every_ms, signal);
    if (signal.aborted) return;
    if (stream.listeners(kind) === 0) {
      before = "";
      continue;
    }
    try {
      const seen = await see();
      const now = state?.(seen);
      // Between two looks the last one may have left, and another come to whom nothing was told.
      if (now === undefined || now !== before || !stream.isTold(kind)) stream.tell(told(kind, seen));
      before = now ?? "";
    } catch (error) {
      log(error);
    }
  }
}
