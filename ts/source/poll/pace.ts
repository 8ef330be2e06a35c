// When to ask again after something failed, as pure functions. One failed answer is followed by a longer and longer pause; after a few
// in a row the circuit opens: the feed is left alone for minutes, then asked one thing, and everything again once that was answered.

/** Pauses of about 5, 10, 20 … 160 s. */
const FIRST_MS = 5_000;
const MOST_MS = 300_000;
/** Failures in a row after which the circuit opens: two and a half minutes of asking. */
export const CIRCUIT_FAILURES = 6;
/** How long it stays open the first time; twice as long each further time, up to an hour. */
const OPEN_MS = 600_000;
const OPEN_MS_MAX = 3_600_000;
/** Who asks for more than a day of silence is asked again after a day. */
const RETRY_AFTER_MS_MAX = 86_400_000;

export const isOpen = (failures: number): boolean => failures >= CIRCUIT_FAILURES;

/** How long to wait after so many failures in a row (1 or more); at least what the provider asked for. `random`: from 0 to 1, exclusive. */
export function pauseAfter(failures: number, retry_after_ms: number | null, random: number): number {
  const own_ms = isOpen(failures)
    ? Math.min(OPEN_MS_MAX, OPEN_MS * 2 ** (failures - CIRCUIT_FAILURES)) * (1 + random / 10)
    : Math.min(MOST_MS, FIRST_MS * 2 ** (failures - 1)) * (0.5 + random);
  return Math.max(own_ms, Math.min(RETRY_AFTER_MS_MAX, retry_after_ms ?? 0));
}

/** What a Retry-After header says, as a span from now: seconds or a date; null for nothing that can be read. */
export function retryAfterOf(header: string | undefined, now_ms: number): number | null {
  if (header === undefined) return null;
  if (/^\d+$/.test(header.trim())) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isFinite(date) ? Math.max(0, date - now_ms) : null;
}

/** How much later than its cadence a round begins: up to a tenth, so that many who began together spread out. */
export const jittered = (every_ms: number, random: number): number => every_ms * (1 + random / 10);
