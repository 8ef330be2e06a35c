// How a horizon is said: in definitions and contracts it is a duration in ms, as every time there; records and reports have hours,
// and the names of forecasts and heads a word.

const HOUR_MS = 3_600_000;

/** Horizons are whole multiples of this: their hours are exact, and a truth, which may lie ten minutes off, is no row of the issue. */
export const HORIZON_STEP_MS = HOUR_MS / 4;

/** As records have it: 6, or 1.5. */
export function horizonHours(horizon_ms: number): number {
  return horizon_ms / HOUR_MS;
}

/** As names have it, the same as horizon_name in ts/codegen/static/contract.py: 6h, or 90m where it is no whole number of hours. */
export function horizonName(hours: number): string {
  return Number.isInteger(hours) ? `${hours}h` : `${hours * 60}m`;
}

/** Name of a target's forecast: temperature_6h. */
export function forecastName(target: string, hours: number): string {
  return `${target}_${horizonName(hours)}`;
}

export function inWholeHours(horizons_ms: readonly number[]): boolean {
  return horizons_ms.every((horizon_ms) => horizon_ms % HOUR_MS === 0);
}
