// Turns a held prediction into the body of GET /predictions/{station_id}, and a station into a row of GET /stations.
// Pure: every name comes from the contract, every unit is beside its number. Computes no forecast and no score.

import { entityKey, forecastName, horizonHours, horizonName } from "../pipelines/index.ts";
import type { Age, Latest, StationState } from "./latest.ts";
import type { PredictionRecord, ServedContract } from "./records.ts";

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
function valueColumns(contract: ServedContract): string[] {
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

function formOf(contract: ServedContract): Form {
  let form = forms.get(contract);
  if (!form) {
    form = { names: forecastNames(contract), units: forecastUnits(contract), bands: bandsOf(contract) };
    forms.set(contract, form);
  }
  return form;
}

export interface Interval {
  readonly lower: number;
  readonly upper: number;
  readonly level: number;
}

export interface ForecastBody {
  readonly timestamp: string;
  readonly window_start: string;
  readonly predictions: Readonly<Record<string, number | null>>;
  /** The widest band. */
  readonly intervals: Readonly<Record<string, Interval | null>>;
  /** Every band, narrowest first; empty without a forecast. */
  readonly bands: Readonly<Record<string, readonly Interval[]>>;
  readonly units: Readonly<Record<string, string>>;
  readonly valid_at: Readonly<Record<string, string>>;
  /** Only of a pipeline with rules. */
  readonly anomaly?: {
    readonly is_anomaly: boolean;
    readonly anomaly_score: number;
    readonly anomaly_type: string | null;
    readonly method: string;
    readonly evidence: readonly string[];
  };
  readonly confidence: Readonly<Record<string, number>>;
  readonly model_version: string;
  readonly in_sample: boolean;
  readonly age_s: number;
  readonly behind_s: number;
  readonly stale: boolean;
  readonly stale_reason: string | null;
  readonly id: string;
  readonly arm: string;
  readonly version: { readonly plan_epoch: number; readonly revision: number };
  readonly provenance: Readonly<Record<string, unknown>>;
  readonly stages: Readonly<Record<string, string>>;
  /** From the append of the newest raw record of the window to the commit of this prediction. */
  readonly latency_ms: number | null;
  /** The key field, under the contract's name for it. */
  readonly [key: string]: unknown;
}

/** The bands of one forecast that its record has, narrowest first. */
function bandsIn(contract: ServedContract, record: PredictionRecord, name: string): Interval[] {
  const quantiles = record.quantiles[name];
  return formOf(contract).bands.flatMap(({ lower, upper, level }) => {
    const [from, to] = [quantiles?.[lower] ?? null, quantiles?.[upper] ?? null];
    return from === null || to === null ? [] : [{ lower: from, upper: to, level }];
  });
}

/** Medians and intervals by name; null for what the model gave none of. */
function numbers(contract: ServedContract, record: PredictionRecord) {
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

/**
 * The served forecast of one station; null when it has none.
 * Units: as in `units`; times RFC 3339 UTC; `timestamp` is the window's end and the moment the horizons count from.
 */
export function forecastBody(
  contract: ServedContract,
  latest: Latest,
  state: StationState,
  now_ms: number,
): ForecastBody | null {
  const age = latest.age(state, now_ms);
  if (!state.prediction || !age) return null;
  const { record, arrival } = state.prediction;
  const raw_ms = record.stages["raw_append_time"];
  return {
    [entityKey(contract)]: state.station_id,
    timestamp: iso(record.timestamp),
    window_start: iso(record.window_start),
    ...numbers(contract, record),
    bands: Object.fromEntries(formOf(contract).names.map((name) => [name, bandsIn(contract, record, name)])),
    units: formOf(contract).units,
    valid_at: Object.fromEntries(
      contract.horizons_ms.map((ms) => [horizonName(horizonHours(ms)), iso(record.timestamp + ms)]),
    ),
    ...(record.anomaly && {
      anomaly: {
        is_anomaly: record.anomaly.is_anomaly,
        anomaly_score: record.anomaly.anomaly_score,
        anomaly_type: record.anomaly.anomaly_type,
        method: record.anomaly.method,
        evidence: record.anomaly.evidence,
      },
    }),
    confidence: record.confidence,
    model_version: record.model_version,
    in_sample: record.in_sample,
    ...age,
    id: record.id,
    arm: record.arm,
    version: { plan_epoch: record.plan_epoch, revision: record.revision },
    provenance: {
      ...record.provenance,
      prediction_topic: arrival.topic,
      prediction_partition: arrival.partition,
      prediction_offset: arrival.offset,
    },
    stages: {
      ...Object.fromEntries(Object.entries(record.stages).map(([stage, ms]) => [stage, iso(ms)])),
      commit_time: iso(arrival.append_time_ms),
    },
    latency_ms: raw_ms === undefined ? null : arrival.append_time_ms - raw_ms,
  };
}

export interface StationRow {
  readonly station_id: string;
  readonly name: string;
  readonly latitude: number | null;
  readonly longitude: number | null;
  readonly elevation_m: number | null;
  /** False for a station of the definition of which nothing was seen in this run. */
  readonly reported: boolean;
  /** The newest window that Spark published; null when none was seen. */
  readonly observed: {
    readonly window_end: string;
    readonly measurement_count: number;
    readonly values: Readonly<Record<string, number | null>>;
  } | null;
  readonly forecast: {
    readonly timestamp: string;
    readonly predictions: Readonly<Record<string, number | null>>;
    readonly intervals: Readonly<Record<string, Interval | null>>;
    /** These four only of a pipeline with rules. */
    readonly is_anomaly?: boolean;
    readonly anomaly_score?: number;
    readonly anomaly_type?: string | null;
    readonly evidence?: readonly string[];
    readonly overall_confidence: number | null;
    readonly model_version: string;
    readonly in_sample: boolean;
  } | null;
  readonly age_s: number | null;
  readonly behind_s: number | null;
  readonly stale: boolean;
  readonly stale_reason: string | null;
}

const NO_AGE: { [K in keyof Age]: Age[K] | null } & { stale: boolean } = {
  age_s: null,
  behind_s: null,
  stale: false,
  stale_reason: null,
};

/** One row of the station list. A station of the contract that never spoke has no values, no forecast and no age. */
export function stationRow(
  contract: ServedContract,
  columns: readonly string[],
  latest: Latest,
  station_id: string,
  now_ms: number,
): StationRow {
  const state = latest.get(station_id);
  const known = Object.hasOwn(contract.stations, station_id) ? contract.stations[station_id] : undefined;
  const prediction = state?.prediction?.record;
  const features = state?.features?.record;
  const number = (value: unknown) => (typeof value === "number" && Number.isFinite(value) ? value : null);
  return {
    station_id,
    name: known?.name ?? station_id,
    latitude: known?.latitude ?? null,
    longitude: known?.longitude ?? null,
    elevation_m: known?.elevation_m ?? null,
    reported: state !== undefined,
    observed: features
      ? {
          window_end: iso(features.window_end),
          measurement_count: features.measurement_count,
          values: Object.fromEntries(columns.map((c) => [c, number(features[c])])),
        }
      : null,
    forecast: prediction
      ? {
          timestamp: iso(prediction.timestamp),
          ...numbers(contract, prediction),
          ...(prediction.anomaly && {
            is_anomaly: prediction.anomaly.is_anomaly,
            anomaly_score: prediction.anomaly.anomaly_score,
            anomaly_type: prediction.anomaly.anomaly_type,
            evidence: prediction.anomaly.evidence,
          }),
          overall_confidence: prediction.confidence["overall_confidence"] ?? null,
          model_version: prediction.model_version,
          in_sample: prediction.in_sample,
        }
      : null,
    ...((state && latest.age(state, now_ms)) ?? NO_AGE),
  };
}

/** All station ids, those of the contract and those heard of, in alphabetical order. */
export function stationIds(contract: ServedContract, latest: Latest): string[] {
  return [...new Set([...Object.keys(contract.stations), ...latest.ids()])].sort();
}
