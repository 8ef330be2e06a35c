// How far forecasts of one target and horizon were off at each station. Pure; errors.ts asks.

import type { Station } from "./api.ts";

export interface Miss {
  /** Forecast minus truth; null where there is no truth. */
  readonly error: number | null;
  /** Epoch ms. */
  readonly valid_ms: number;
}

export type Misses = ReadonlyMap<string, Miss>;

/** Forecasts that were issued for a moment against what is measured there: pure. */
export function missesAt(
  issued: readonly Station[],
  measured: ReadonlyMap<string, Station>,
  { name, column }: { readonly name: string; readonly column: string | null },
  at_ms: number,
): Misses {
  return new Map(
    issued.flatMap(({ station_id, forecast }) => {
      const value = forecast?.predictions[name] ?? null;
      const truth = column === null ? null : (measured.get(station_id)?.observed?.values[column] ?? null);
      return value === null || truth === null
        ? []
        : [[station_id, { error: value - truth, valid_ms: at_ms }] as const];
    }),
  );
}
