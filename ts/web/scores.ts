// What the scoreboard says of numbers that the server has counted: whether a band kept its promise, which stations are best and worst,
// when the first score comes. Pure; nothing here computes a score.

import type { Scoreboard } from "./api.ts";
import { NONE, spanText } from "./words.ts";

export type ScoreRow = Scoreboard["scores"][number];

const MINUS = "−";

/** Digits behind the point of a share in percent that this many outcomes leave standing. */
const decimalsOf = (pairs: number): number => (pairs >= 10_000 ? 1 : 0);

/** A share of outcomes, `79 %`, or `79.4 %` where there are many. */
export function heldText(share: number | null | undefined, pairs: number): string {
  return share === null || share === undefined ? NONE : `${(share * 100).toFixed(decimalsOf(pairs))} %`;
}

/** How much less error: `32 % less`, `5 % more`, `as much`. */
export function skillText(skill: number | null | undefined, pairs: number): string {
  if (skill === null || skill === undefined) return NONE;
  const text = Math.abs(skill * 100).toFixed(decimalsOf(pairs));
  if (Number(text) === 0) return "as much";
  return `${text} % ${skill > 0 ? "less" : "more"}`;
}

/** A mean error with two digits that count, three where it is of many pairs: `1.5`, `0.83`, `12`. */
export function meanText(value: number | null | undefined, pairs: number): string {
  if (value === null || value === undefined) return NONE;
  const digits = pairs >= 1_000 ? 3 : 2;
  const size = Math.abs(value);
  const decimals = size === 0 ? 1 : Math.max(0, Math.min(2, digits - 1 - Math.floor(Math.log10(size))));
  return value
    .toFixed(decimals)
    .replace(/^-(0(?:\.0*)?)$/, "$1")
    .replace("-", MINUS);
}

export type Verdict = "kept" | "less" | "more";

/** Nobody misses a promise by less than this, however many outcomes there are. */
const CLOSE = 0.02;

/** Whether a band held what was promised, as far as so many outcomes can tell: within two standard errors, or close. */
export function verdictOf(held: number, promised: number, pairs: number): Verdict {
  const error = Math.sqrt((promised * (1 - promised)) / Math.max(1, pairs));
  if (Math.abs(held - promised) <= Math.max(CLOSE, 2 * error)) return "kept";
  return held < promised ? "less" : "more";
}

export const VERDICT_TEXT: Readonly<Record<Verdict, string>> = {
  kept: "as promised",
  less: "too few",
  more: "more than that",
};

/** Rows of one target and horizon that rest on enough to be compared, best first: those with the most skill against DAP. */
export function ranked(rows: readonly ScoreRow[], target: string, horizon_h: number): ScoreRow[] {
  const own = rows.filter((row) => row.target === target && row.horizon_h === horizon_h && row.pairs > 0);
  const pairs = own.map((row) => row.pairs).toSorted((a, b) => a - b);
  const median = pairs[Math.floor(pairs.length / 2)] ?? 0;
  const skill = (row: ScoreRow) => row.skill_dap ?? row.skill_persistence ?? Number.NEGATIVE_INFINITY;
  return own.filter((row) => row.pairs >= median / 2).toSorted((a, b) => skill(b) - skill(a));
}

export interface Wait {
  /** Shortest horizon. */
  readonly horizon_h: number;
  /** Oldest window there is, epoch ms; null where nobody knows. */
  readonly oldest_ms: number | null;
  readonly frontier_ms: number | null;
  /** Seconds of event time a second; null before it is known. */
  readonly speed: number | null;
}

const HOUR_MS = 3_600_000;

/** When the first forecast meets its truth. `at_ms`: event time, null where nobody can say. */
export function firstScore({ horizon_h, oldest_ms, frontier_ms, speed }: Wait): {
  readonly at_ms: number | null;
  readonly text: string;
} {
  const rule = `It comes ${spanText(horizon_h * 3_600)} of event time after the first forecast`;
  if (oldest_ms === null) return { at_ms: null, text: rule };
  // Forecasts are held against their truth hour by hour.
  const at_ms = Math.ceil(oldest_ms / HOUR_MS) * HOUR_MS + horizon_h * HOUR_MS;
  if (frontier_ms === null || at_ms <= frontier_ms || !speed || speed < 0.01) return { at_ms, text: rule };
  return { at_ms, text: `${rule}: in about ${spanText((at_ms - frontier_ms) / 1000 / speed)}` };
}

/** Ends of an axis that holds all of these and 0, on whole tenths. */
export function skillEnds(rows: readonly ScoreRow[]): readonly [low: number, high: number] {
  const all = rows.flatMap((row) => [row.skill_dap ?? 0, row.skill_persistence ?? 0]);
  const [low, high] = [Math.min(0, ...all), Math.max(0, ...all)];
  return [
    Math.max(-1, Math.floor(low * 10 + 1e-9) / 10),
    Math.min(1, Math.max(5, Math.ceil(high * 10 - 1e-9)) / 10),
  ];
}
