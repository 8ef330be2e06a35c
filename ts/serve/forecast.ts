// What several routes say of forecasts: their names, units, supports, medians and intervals, as schemas and as numbers.
// Pure: every name comes from the contract, every unit is beside its number. Computes no forecast and no score.

import { forecastName, horizonHours } from "../pipelines/index.ts";
import type { Latest } from "./latest.ts";
import type { PredictionRecord, ServedContract } from "./records.ts";
import { each, flag, list, nullable, number, said, seconds, share, text, word, z } from "./schema.ts";

/** UTC epoch ms as RFC 3339. */
export const iso = (ms: number): string => new Date(ms).toISOString();

/** Horizons of a contract in hours, as records have them. */
export function hoursOf({ horizons_ms }: Pick<ServedContract, "horizons_ms">): number[] {
  return horizons_ms.map(horizonHours);
}

/** `temperature_6h` for each target and horizon, targets first. */
export function forecastNames(contract: ServedContract): string[] {
  return contract.targets.flatMap((target) => hoursOf(contract).map((h) => forecastName(target, h)));
}

/** Unit of every forecast, by its name. A target's unit is its field's. */
export function forecastUnits(contract: ServedContract): Record<string, string> {
  const unit = new Map(contract.fields.map((f) => [f.name, f.unit ?? "1"]));
  return Object.fromEntries(
    contract.targets.flatMap((target) =>
      hoursOf(contract).map((h) => [forecastName(target, h), unit.get(target) ?? "1"]),
    ),
  );
}

/** What each forecast can be, by its name: the ends its target's support has, under the words of JSON Schema. */
export function forecastSupports(
  contract: ServedContract,
): Record<string, { readonly minimum?: number; readonly maximum?: number }> {
  const support = new Map(contract.fields.map((f) => [f.name, f.support]));
  return Object.fromEntries(
    contract.targets.flatMap((target) => {
      const [minimum = null, maximum = null] = support.get(target) ?? [];
      const ends = {
        ...(minimum === null ? {} : { minimum }),
        ...(maximum === null ? {} : { maximum }),
      };
      return hoursOf(contract).map((h) => [forecastName(target, h), ends]);
    }),
  );
}

/** Columns of a station's latest values: those the history holds, then of each other field its first feature. */
export function valueColumns(contract: ServedContract): string[] {
  const fieldOf = new Map(contract.features.map(({ column, field }) => [column, field]));
  const covered = new Set(contract.history_values.map((column) => fieldOf.get(column)));
  const others = contract.features.flatMap(({ column, field }) => {
    if (covered.has(field)) return [];
    covered.add(field);
    return [column];
  });
  return [...contract.history_values, ...others];
}

/** Unit of every latest value, by its column. */
export function valueUnits(contract: ServedContract): Record<string, string> {
  const unit = new Map(contract.features.map((f) => [f.column, f.unit]));
  return Object.fromEntries(valueColumns(contract).map((column) => [column, unit.get(column) ?? "1"]));
}

/** Of each band, narrowest first: the names of its ends in a record and the share of outcomes it should hold (0.9). */
export function bandsOf(contract: ServedContract): { lower: string; upper: string; level: number }[] {
  const name = (percent: number) => `q${String(Math.round(percent)).padStart(2, "0")}`;
  return contract.bands.map((level) => ({
    lower: name(50 - level * 50),
    upper: name(50 + level * 50),
    level,
  }));
}

interface Form {
  readonly names: readonly string[];
  readonly units: Readonly<Record<string, string>>;
  readonly bands: ReturnType<typeof bandsOf>;
}

/** What follows from a contract alone is worked out once: a list of a thousand stations must not pay for it each time. */
const forms = new WeakMap<ServedContract, Form>();

export function formOf(contract: ServedContract): Form {
  let form = forms.get(contract);
  if (!form) {
    form = { names: forecastNames(contract), units: forecastUnits(contract), bands: bandsOf(contract) };
    forms.set(contract, form);
  }
  return form;
}

/** A central interval in the unit of its forecast, both ends inclusive. */
export const Interval = z
  .object({
    lower: number("Lower end, inclusive, in the unit of the forecast."),
    upper: number("Upper end, inclusive, in the unit of the forecast."),
    level: share("Share of outcomes the interval is meant to hold."),
  })
  .openapi("Interval");
export type Interval = z.infer<typeof Interval>;

/** What is said of a verdict of rules, wherever it stands. */
export const VERDICT = {
  is_anomaly: flag("Whether the window broke a rule."),
  anomaly_score: number("0 is nothing unusual; 1 and more is at or beyond the limit of a rule.", {
    minimum: 0,
    unit: "1",
  }),
  anomaly_type: nullable(text("range or step so far; null without an anomaly.")),
  evidence: list(z.string(), "One sentence a rule that fired."),
};

/** How old what is known of a station is, in both clocks. */
export const AGE = {
  age_s: seconds("Wall time since the newest prediction was committed."),
  behind_s: seconds("Event time between this station's newest window and the network's newest."),
  stale: flag(
    "See stale_reason. A replay of old data is not stale: only stations are compared with each other.",
  ),
  stale_reason: nullable(
    word(
      ["trails_network", "network_silent"],
      "trails_network: event time behind the network beyond the limit. network_silent: wall time without any prediction beyond the limit.",
    ),
  ),
};

/** Medians and widest intervals by forecast, as every route has them. Both ends of an interval stay where the forecast can be. */
export function numberSchemas(contract: ServedContract) {
  const names = forecastNames(contract);
  const units = forecastUnits(contract);
  const supports = forecastSupports(contract);
  const ends = (name: string) => {
    const { minimum = null, maximum = null } = supports[name]!;
    const low = minimum === null ? z.number() : z.number().min(minimum);
    return maximum === null ? low : low.max(maximum);
  };
  const interval = (name: string): typeof Interval =>
    Object.keys(supports[name]!).length === 0
      ? Interval
      : (z.object({ ...Interval.shape, lower: ends(name), upper: ends(name) }) as unknown as typeof Interval);
  const widest = bandsOf(contract).at(-1);
  return {
    interval,
    predictions: each(
      names,
      (name) => said(ends(name).nullable(), `Median, in ${units[name]}.`, { unit: units[name] }),
      "Median forecast by target and horizon; null when the model gave none.",
    ),
    intervals: each(
      names,
      (name) => said(nullable(interval(name)), `In ${units[name]}.`, { unit: units[name] }),
      `The widest central interval, from the quantiles ${widest?.lower ?? "none"} and ${widest?.upper ?? "none"}.`,
    ),
  };
}

/** The bands of one forecast that its record has, narrowest first. */
export function bandsIn(contract: ServedContract, record: PredictionRecord, name: string): Interval[] {
  const quantiles = record.quantiles[name];
  return formOf(contract).bands.flatMap(({ lower, upper, level }) => {
    const [from, to] = [quantiles?.[lower] ?? null, quantiles?.[upper] ?? null];
    return from === null || to === null ? [] : [{ lower: from, upper: to, level }];
  });
}

/** What is usual at a valid time, whatever the station measures now. */
const Usual = z
  .object({
    mean: number("What is expected of the season and the hour alone, in the unit of the forecast."),
    lower: number("Lower end, inclusive."),
    upper: number("Upper end, inclusive."),
    level: share("Share of outcomes the band is meant to hold."),
  })
  .openapi("Usual");

/** The climatology band of each forecast. */
export function usualByName(contract: ServedContract) {
  const units = forecastUnits(contract);
  return each(
    forecastNames(contract),
    (name) => said(nullable(Usual), `In ${units[name]}.`, { unit: units[name] }),
    "By target and horizon.",
  );
}

export function usualSchema(contract: ServedContract) {
  return said(
    nullable(usualByName(contract)),
    "The climatology band at each valid time: mean and spread of the station's own years, by season and hour. Null for a station that the model was not trained on, and in forecasts from before it was recorded.",
  );
}

/** The climatology band of the forecasts of these names; null where none is known. */
export function usualIn(
  contract: ServedContract,
  { climatology }: Pick<PredictionRecord, "climatology">,
  names: readonly string[] = formOf(contract).names,
): Record<string, z.infer<typeof Usual> | null> | null {
  if (!climatology) return null;
  const { level } = formOf(contract).bands.at(-1)!;
  return Object.fromEntries(
    names.map((name) => {
      const usual = climatology[name];
      return [name, usual ? { mean: usual.mean, lower: usual.lower, upper: usual.upper, level } : null];
    }),
  );
}

/** Medians and intervals by name; null for what the model gave none of. */
export function numbers(contract: ServedContract, record: PredictionRecord) {
  const { names, bands } = formOf(contract);
  const { lower, upper, level } = bands.at(-1)!;
  const predictions: Record<string, number | null> = {};
  const intervals: Record<string, Interval | null> = {};
  for (const name of names) {
    predictions[name] = record.predictions[name] ?? null;
    const quantiles = record.quantiles[name];
    const [from, to] = [quantiles?.[lower] ?? null, quantiles?.[upper] ?? null];
    intervals[name] = from === null || to === null ? null : { lower: from, upper: to, level };
  }
  return { predictions, intervals };
}

/** All station ids, those of the contract and those heard of, in alphabetical order. */
export function stationIds(contract: ServedContract, latest: Latest): string[] {
  return [...new Set([...Object.keys(contract.stations), ...latest.ids()])].sort();
}
