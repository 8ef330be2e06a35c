// What can be looked at of a pipeline: its fields, each with the column that tells its value and the forecasts of it, and the directions
// that something has. Pure, from what the API says of a contract.

import type { Pipeline, Station } from "./api.ts";

export type Forecasts = Pipeline["forecasts"];

export interface Field {
  readonly name: string;
  /** Column of the latest values; null for a target that no column tells. */
  readonly column: string | null;
  readonly unit: string;
  readonly circular: boolean;
  /** Nearest first; empty for a field that is not forecast. */
  readonly forecasts: Forecasts;
}

export function fieldsOf({ values, forecasts }: Pipeline): Field[] {
  const ofTarget = (name: string) => forecasts.filter(({ target }) => target === name);
  const measured = new Map<string, Field>();
  for (const { field, column, unit, circular } of values)
    if (!measured.has(field))
      measured.set(field, { name: field, column, unit, circular, forecasts: ofTarget(field) });
  for (const { target, unit } of forecasts)
    if (!measured.has(target))
      measured.set(target, {
        ...{ name: target, column: null, unit, circular: false },
        forecasts: ofTarget(target),
      });
  return [...measured.values()];
}

export interface Direction {
  readonly name: string;
  readonly column: string;
  readonly magnitude: string;
  /** Whether it says where something comes from: an arrow shows where it goes. */
  readonly from: boolean;
}

/** Directions whose contract says of what: an arrow without a length would say less than it seems. */
export function directionsOf({ values }: Pipeline): Direction[] {
  return values.flatMap(({ field, column, magnitude, quantity }) =>
    magnitude === null
      ? []
      : [{ name: field, column, magnitude, from: quantity?.includes("from_direction") ?? false }],
  );
}

/** Value of a column at a station; null where there is none. */
export const columnValue = ({ observed }: Station, column: string | null): number | null =>
  column === null ? null : (observed?.values[column] ?? null);

/** Bearing of an arrow, degrees clockwise from north. */
export function bearingOf(station: Station, { column, from }: Direction): number | null {
  const degrees = columnValue(station, column);
  return degrees === null ? null : (degrees + (from ? 180 : 0)) % 360;
}
