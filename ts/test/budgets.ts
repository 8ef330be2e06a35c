// What `make test` may take: minutes of each suite on a good machine, one that adds ten million numbers in a Python loop in half a
// second. A run prints its times against them and never fails by them, because machines differ by a factor of four; budgets.test.ts
// holds their sums. A suite that outgrows its budget is made smaller, or takes from another one.

/** Seconds of the yardstick on a good machine. */
export const YARDSTICK_S = 0.5;

/** Minutes by suite (ts/test/suite.ts); every step of `make test` is one. */
export const BUDGETS = {
  "make check": 0.7,
  "vitest unit": 1.8,
  "pytest spark": 2,
  "pytest ray": 1.6,
  "vitest cluster": 7.3,
  "vitest browser": 1.2,
} as const satisfies Record<string, number>;

/** Minutes of each step of `make test-quick`: half a minute together, a developer's loop. */
export const QUICK_BUDGETS = { "vitest quick": 0.25, "pytest quick": 0.25 } as const satisfies Record<
  string,
  number
>;

const ALL: Readonly<Record<string, number>> = { ...BUDGETS, ...QUICK_BUDGETS };

/** What all of `make test` may take now, and when all that is planned has come. */
export const NOW_MIN = 14.6;
export const END_MIN = 20;

/** Minutes set aside for suites that are to come. */
export const PLANNED = {
  serving: 0.4,
  "feeds and systems": 2,
  anomalies: 1,
  "lifecycle of a model": 2,
} as const satisfies Record<string, number>;

/** `took 61 s of 72 s` of a budget on a machine whose yardstick took `yardstick_s`. Null for a step without a budget. */
export function against(step: string, took_s: number, yardstick_s: number): string | null {
  if (!Object.hasOwn(ALL, step)) return null;
  const budget_s = ALL[step]! * 60 * Math.max(1, yardstick_s / YARDSTICK_S);
  return `${took_s.toFixed(0)} s of ${budget_s.toFixed(0)} s`;
}
