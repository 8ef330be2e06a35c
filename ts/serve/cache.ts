// Keeps answers that cost something for a moment, so that many callers cost engines and files one question, and puts
// a bound on how long an answer may take. Knows nothing of what is asked.

/** How long an answer is good for, wall time. */
const KEEP_MS = 2_000;
/** Longest wait for one answer, wall time: a health check must answer while engines hang. */
const WITHIN_MS = 6_000;

/** No answer within the bound. */
export class TooLate extends Error {
  override readonly name = "TooLate";
}

/** The result of `work`, or an error once the time is over; the work itself is not stopped. */
export function withDeadline<T>(work: Promise<T>, limit_ms = WITHIN_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new TooLate(`no answer within ${limit_ms} ms`)), limit_ms);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

/** Keeps the answer of `work` for a moment, end exclusive; callers meanwhile, and while it is under way, share it. */
export function cached<T>(
  work: () => Promise<T>,
  clock: { nowMs(): number },
  keep_ms = KEEP_MS,
): () => Promise<T> {
  let held: { at_ms: number; value: Promise<T> } | null = null;
  return () => {
    const now_ms = clock.nowMs();
    if (held && now_ms - held.at_ms < keep_ms) return held.value;
    const value = work();
    held = { at_ms: now_ms, value };
    // A failure is not kept: the next caller asks again.
    value.catch(() => {
      if (held?.value === value) held = null;
    });
    return value;
  };
}
