// What is looked at of all stations, and what is said of each of them: the field, by value, forecast, error or health, at one horizon.
// Pure; the address says what is wanted.

import type { Pipeline, Station } from "../api.ts";
import { columnValue, type Direction, directionsOf, type Field, type Forecasts, fieldsOf } from "../field.ts";
import type { Misses } from "../misses.ts";
import { circleScale, differenceScale, type Scale, valueScale } from "../scale.ts";
import type { StationState } from "../state.ts";

export const WAYS = ["value", "forecast", "error", "health"] as const;
export type Way = (typeof WAYS)[number];

/** One station with everything that is said of it. */
export interface Row {
  readonly station: Station;
  readonly state: StationState;
  readonly value: number | null;
  readonly forecast: number | null;
  readonly error: number | null;
}

export interface Look {
  readonly fields: readonly Field[];
  readonly field: Field | null;
  /** Those that the field has: nothing is off that was not forecast. */
  readonly ways: readonly Way[];
  readonly way: Way;
  readonly forecast: Forecasts[number] | null;
  readonly directions: readonly Direction[];
  /** What is drawn as arrows; null for nothing. */
  readonly direction: Direction | null;
}

/** What the address asks for, as far as the pipeline has it. */
export function lookOf(one: Pipeline, query: Readonly<Record<string, string>>): Look {
  const fields = fieldsOf(one);
  const field = fields.find(({ name }) => name === query["field"]) ?? fields[0] ?? null;
  const ways = WAYS.filter(
    (way) => way === "value" || way === "health" || (field?.forecasts.length ?? 0) > 0,
  );
  const way = ways.find((name) => name === query["by"]) ?? "value";
  const forecast =
    field?.forecasts.find(({ horizon }) => horizon === query["ahead"]) ?? field?.forecasts[0] ?? null;
  const directions = directionsOf(one);
  const direction = query["arrows"] === "off" ? null : (directions[0] ?? null);
  return { fields, field, ways, way, forecast, directions, direction };
}

export function rowsOf(
  stations: ReadonlyMap<string, Station>,
  { field, forecast }: Pick<Look, "field" | "forecast">,
  misses: Misses | null,
  stateFor: (station: Station) => StationState,
): Row[] {
  return [...stations.values()].map((station) => ({
    station,
    state: stateFor(station),
    value: columnValue(station, field?.column ?? null),
    forecast: forecast ? (station.forecast?.predictions[forecast.name] ?? null) : null,
    error: misses?.get(station.station_id)?.error ?? null,
  }));
}

export function scaleOf(rows: readonly Row[], field: Field, way: Way): Scale | null {
  if (way === "health") return null;
  const numbers = rows.flatMap((row) => {
    const number = row[way];
    return number === null ? [] : [number];
  });
  if (way === "error") return differenceScale(numbers);
  return field.circular ? circleScale() : valueScale(numbers);
}
