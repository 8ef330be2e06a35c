// Latency of an open-loop load: from the time a record was meant to be sent to the commit of the first prediction
// whose window holds it. A slow sender makes latencies longer, never the load lighter. Pure; no clock of its own.

/** Nearest-rank percentile of sorted values; `q` in (0, 1]. NaN for none. */
export function percentile(sorted: ArrayLike<number>, q: number): number {
  if (sorted.length === 0) return Number.NaN;
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)]!;
}

export interface Summary {
  readonly count: number;
  readonly p50_ms: number;
  readonly p90_ms: number;
  readonly p99_ms: number;
  readonly max_ms: number;
}

export function summarizeLatency(values: Iterable<number>): Summary {
  const sorted = Float64Array.from(values).sort();
  return {
    count: sorted.length,
    p50_ms: percentile(sorted, 0.5),
    p90_ms: percentile(sorted, 0.9),
    p99_ms: percentile(sorted, 0.99),
    max_ms: sorted.at(-1) ?? Number.NaN,
  };
}

/**
 * Pairs each intended record with the first committed prediction that holds it.
 *
 * A station's records are in event-time order and the bench sets event time to the intended send time, so a prediction
 * whose newest event is at `event_time` holds every record of the station up to it (inclusive): those still waiting are
 * settled by it. Records older than the window's start were settled by an earlier one or are lost.
 */
export class Pairing {
  readonly #waiting = new Map<string, number[]>();
  readonly latencies_ms: number[] = [];
  /** Records that a later window passed by: none was predicted in a window that held them. */
  missed = 0;

  intend(station: string, event_time: number): void {
    const queue = this.#waiting.get(station);
    if (queue) queue.push(event_time);
    else this.#waiting.set(station, [event_time]);
  }

  /** `window_start` inclusive. `committed_at` is when a reader of committed records received the prediction. */
  commit(station: string, window_start: number, event_time: number, committed_at: number): void {
    const queue = this.#waiting.get(station);
    if (!queue) return;
    let settled = 0;
    while (settled < queue.length && queue[settled]! <= event_time) {
      if (queue[settled]! >= window_start) this.latencies_ms.push(committed_at - queue[settled]!);
      else this.missed++;
      settled++;
    }
    queue.splice(0, settled);
  }

  get waiting(): number {
    let count = 0;
    for (const queue of this.#waiting.values()) count += queue.length;
    return count;
  }
}
