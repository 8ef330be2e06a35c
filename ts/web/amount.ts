// Counts, rates, sizes and short times as the system page says them: two or three digits that count, and `unknown` where nobody knows.
// Pure.

export const UNKNOWN = "unknown";

const STEPS = ["", "k", "M", "G", "T"] as const;

/** Three digits that count and a step of a thousand: `0`, `96`, `1.03 k`, `2.40 M`. */
function short(value: number, unit: string): string {
  let [size, step] = [Math.abs(value), 0];
  // Before it is rounded up to a thousand.
  while (size >= 999.5 && step < STEPS.length - 1) {
    size /= 1000;
    step++;
  }
  const decimals = step === 0 ? 0 : size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
  const tail = `${STEPS[step]}${unit}`;
  return `${value < 0 ? "−" : ""}${size.toFixed(decimals)}${tail === "" ? "" : ` ${tail}`}`;
}

export const bytesText = (bytes: number | null): string => (bytes === null ? UNKNOWN : short(bytes, "B"));
export const bytesRateText = (bytes: number | null): string =>
  bytes === null ? UNKNOWN : short(bytes, "B/s");

/** `96`, `12,345`: a count is whole. */
export const countText = (count: number | null): string =>
  count === null ? UNKNOWN : Math.round(count).toLocaleString("en-US");

/** `0.42`, `8.3`, `1,612`. */
export function rateText(per_s: number | null): string {
  if (per_s === null) return UNKNOWN;
  if (per_s === 0) return "0";
  return per_s < 1 ? per_s.toFixed(2) : per_s < 10 ? per_s.toFixed(1) : countText(per_s);
}

/** `340 ms`, `1.55 s`, `14 s`. */
export function msText(ms: number | null): string {
  if (ms === null) return UNKNOWN;
  if (ms < 999.5) return `${ms < 9.95 && ms > 0 ? ms.toFixed(1) : Math.round(ms)} ms`;
  const seconds = ms / 1000;
  return `${seconds < 9.995 ? seconds.toFixed(2) : seconds < 99.95 ? seconds.toFixed(1) : Math.round(seconds)} s`;
}

export const coresText = (cores: number | null): string => (cores === null ? UNKNOWN : cores.toFixed(2));

/** Sum of what is known; null where nothing is. */
export function knownSum(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0);
}
