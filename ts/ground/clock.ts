// Time as a source sees it, handed in so that a test never waits.

export interface Clock {
  /** Wall time, epoch ms, with fractions. */
  nowMs(): number;
  /** Resolves at a wall time or when the signal aborts, whichever is first; never rejects. */
  until(time_ms: number, signal?: AbortSignal): Promise<void>;
}

/** setTimeout takes no more than a 32-bit count; a long wait is several. */
const WAIT_MS_MAX = 2 ** 31 - 1;

export const wallClock: Clock = {
  nowMs: () => performance.timeOrigin + performance.now(),
  until(time_ms, signal) {
    return new Promise((resolve) => {
      if (signal?.aborted) {
        resolve();
        return;
      }
      let timer: NodeJS.Timeout | undefined;
      const done = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      const wait = (): void => {
        const left_ms = time_ms - wallClock.nowMs();
        if (left_ms <= 0) done();
        else timer = setTimeout(wait, Math.min(left_ms, WAIT_MS_MAX));
      };
      signal?.addEventListener("abort", done, { once: true });
      wait();
    });
  },
};

/** A clock that jumps to whatever is waited for, and remembers the waits. */
export function jumpingClock(
  start_ms = 0,
): Clock & { advance(by_ms: number): void; readonly waits: number[] } {
  let now_ms = start_ms;
  const waits: number[] = [];
  return {
    waits,
    nowMs: () => now_ms,
    advance(by_ms) {
      now_ms += by_ms;
    },
    async until(time_ms) {
      waits.push(time_ms);
      now_ms = Math.max(now_ms, time_ms);
    },
  };
}
