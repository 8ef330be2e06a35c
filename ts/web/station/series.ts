// From what the API says of a station to what a chart draws: the fan of one forecast, what was forecast for each moment some hours before,
// and which of that came true. Pure; times are epoch ms of event time.

import type { Forecast, History, Observations, Verification } from "../api.ts";
import type { Forecasts } from "../field.ts";

const HOUR_MS = 3_600_000;

/** The part of a forecast that is drawn, whether it came with the stream or from the store. */
export type Issued = Pick<
  History["predictions"][number],
  "id" | "timestamp" | "predictions" | "bands" | "climatology" | "model_version" | "in_sample"
> & {
  readonly anomaly?: Pick<
    NonNullable<Forecast["anomaly"]>,
    "is_anomaly" | "anomaly_type" | "anomaly_score" | "evidence"
  >;
};

export type Window = Pick<Observations["observations"][number], "window_end" | "values">;

export interface Band {
  readonly level: number;
  readonly lower: number;
  readonly upper: number;
}

export interface Point {
  readonly t_ms: number;
  readonly value: number;
  /** Narrowest first. */
  readonly bands: readonly Band[];
}

/** One forecast over time: from what was measured when it was issued to the last horizon, nearest first. */
export function fanOf(issued: Issued, forecasts: Forecasts, measured: number | null): Point[] {
  const issued_ms = Date.parse(issued.timestamp);
  const ahead = forecasts.flatMap(({ name, horizon_h }) => {
    const value = issued.predictions[name] ?? null;
    return value === null
      ? []
      : [{ t_ms: issued_ms + horizon_h * HOUR_MS, value, bands: issued.bands[name] ?? [] }];
  });
  if (ahead.length === 0 || measured === null) return ahead;
  const levels = ahead[0]!.bands.map(({ level }) => level);
  // At its issue nothing is uncertain: every band begins in the one point.
  const begin = levels.map((level) => ({ level, lower: measured, upper: measured }));
  return [{ t_ms: issued_ms, value: measured, bands: begin }, ...ahead];
}

/** What is usual at each moment that any of the forecasts is for, where the record has it; ascending. */
export function usualOf(history: readonly Issued[], forecasts: Forecasts) {
  const points = new Map<number, { readonly t_ms: number; readonly lower: number; readonly upper: number }>();
  for (const { timestamp, climatology } of history) {
    for (const { name, horizon_h } of forecasts) {
      const band = climatology?.[name];
      const t_ms = Date.parse(timestamp) + horizon_h * HOUR_MS;
      if (band) points.set(t_ms, { t_ms, lower: band.lower, upper: band.upper });
    }
  }
  return [...points.values()].sort((a, b) => a.t_ms - b.t_ms);
}

/** What was forecast for each moment at one horizon, oldest first. */
export function asIssued(history: readonly Issued[], { name, horizon_h }: Forecasts[number]): Point[] {
  return history.flatMap((issued) => {
    const value = issued.predictions[name] ?? null;
    return value === null
      ? []
      : [
          {
            t_ms: Date.parse(issued.timestamp) + horizon_h * HOUR_MS,
            value,
            bands: issued.bands[name] ?? [],
          },
        ];
  });
}

/** The one that was issued closest to a moment, within half a step; null for none. */
export function issuedAt(history: readonly Issued[], t_ms: number, within_ms: number): Issued | null {
  let best: Issued | null = null;
  let off_ms = within_ms;
  for (const one of history) {
    const away_ms = Math.abs(Date.parse(one.timestamp) - t_ms);
    if (away_ms <= off_ms) [best, off_ms] = [one, away_ms];
  }
  return best;
}

export interface Truth {
  readonly t_ms: number;
  readonly value: number;
  /** Whether the widest band held it; null where nobody can say. */
  readonly held: boolean | null;
  readonly horizon_h: number;
  readonly forecast: number;
  readonly forecast_id: string;
}

/** Truths of one target that forecasts were held against, oldest first. */
export function truthsOf(verifications: readonly Verification[], target: string, percent: number): Truth[] {
  return verifications
    .flatMap((one) => {
      if (one.target !== target || one.truth === null) return [];
      const held = (one.model as unknown as Readonly<Record<string, boolean | null>>)[`covered_${percent}`];
      return [
        {
          ...{ t_ms: Date.parse(one.valid), value: one.truth, held: held ?? null },
          ...{ horizon_h: one.horizon_h, forecast: one.model.value, forecast_id: one.forecast_id },
        },
      ];
    })
    .sort((a, b) => a.t_ms - b.t_ms);
}

/** Adds what came to what is there: by key the newer one, in order of time, nothing before `from_ms`. */
export function merged<T>(
  held: readonly T[],
  more: readonly T[],
  keyOf: (one: T) => string,
  timeOf: (one: T) => number,
  from_ms: number,
): T[] {
  const all = new Map(held.map((one) => [keyOf(one), one]));
  for (const one of more) all.set(keyOf(one), one);
  return [...all.values()].filter((one) => timeOf(one) >= from_ms).sort((a, b) => timeOf(a) - timeOf(b));
}

/** Several series over one axis of time: every moment of any, and null where a series has none. */
export function joined(series: readonly (readonly (readonly [t_ms: number, value: number])[])[]): {
  readonly times_ms: readonly number[];
  readonly values: readonly (readonly (number | null)[])[];
} {
  const times_ms = [...new Set(series.flatMap((one) => one.map(([t_ms]) => t_ms)))].sort((a, b) => a - b);
  const values = series.map((one) => {
    const by = new Map(one);
    return times_ms.map((t_ms) => by.get(t_ms) ?? null);
  });
  return { times_ms, values };
}
