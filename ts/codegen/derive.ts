// From an observation contract and a pipeline to the one derived model both languages are written from.
// Holds every rule of what a pipeline may ask for. Pure: reads no file, writes no line.

import { createHash } from "node:crypto";
import {
  isMeasured,
  type Observation,
  type ObservationField,
  PipelineError,
  unitRule,
  unitWord,
} from "../contract/index.ts";
import { canonicalJson } from "../ground/canonical.ts";
import { type Contract, SCHEMA_NAMES, type SchemaName } from "../pipelines/contract.ts";
import type { FeatureKind, Pipeline } from "../pipelines/define.ts";
import { PIPELINE } from "../pipelines/rules.ts";
import type { Functions } from "./functions.ts";
import { neighbours, SECTORS } from "./neighbours.ts";

/** A contract before its schemas and hashes are known; `event` goes into a schema only. */
export type Outline = Omit<Contract, "fingerprint" | "plan_hash" | "schemas"> & { readonly event: string };

/** What each kind of feature asks of its field, and the unit it has. A kind that is not here is refused. */
export const KINDS: Readonly<
  Record<
    FeatureKind,
    { readonly role: "measurement" | "circular"; readonly unit: (unit: string) => string | null }
  >
> = {
  mean: { role: "measurement", unit: (unit) => unit },
  std: { role: "measurement", unit: (unit) => unit },
  min: { role: "measurement", unit: (unit) => unit },
  max: { role: "measurement", unit: (unit) => unit },
  rate: { role: "measurement", unit: (unit) => unitRule(unit)?.per_hour ?? null },
  sum: { role: "measurement", unit: (unit) => (unitRule(unit)?.additive ? unit : null) },
  circular_mean: { role: "circular", unit: (unit) => unit },
  resultant: { role: "circular", unit: () => "1" },
};

/** What a derived column may take beside columns: where its station stands, and the time it is made for. */
const PLACE = ["latitude", "longitude", "elevation_m"];
const TIME = "t_ms";

/** `functions` are those that derived columns may name. Errors: `contract_rejected`, naming the pipeline, the place and the rule. */
export function outline(
  observation: Observation,
  pipeline: Pipeline,
  functions: Functions = new Map(),
): Outline {
  const { window, history, forecast } = pipeline;
  const refuse = (place: string, wanted: string, seen: unknown): never => {
    throw new PipelineError(
      "contract_rejected",
      `Cannot use pipeline "${pipeline.name}" at ${place}: expected ${wanted}, got ${JSON.stringify(seen)}`,
    );
  };
  const need = (holds: boolean, place: string, wanted: string, seen: unknown): void => {
    if (!holds) refuse(place, wanted, seen);
  };
  const multiple = (place: string, value: number, of: number, what: string): void =>
    need(Number.isInteger(value / of) && value > 0, place, `a multiple of ${what} ${of}`, value);

  need(PIPELINE.holds(pipeline.name), "name", PIPELINE.words, pipeline.name);
  need(pipeline.observation === observation.name, "observation", observation.name, pipeline.observation);
  const fields = new Map<string, ObservationField>(observation.fields.map((field) => [field.name, field]));
  for (const name of Object.keys(pipeline.features))
    need(isMeasured(fields.get(name) ?? { role: "key" }), `features.${name}`, "a measured field", name);

  // In contract order, whatever the order in the pipeline: the same meaning gives the same files.
  const features = observation.fields.flatMap((field) =>
    (pipeline.features[field.name] ?? []).map((kind, i, kinds) => {
      const place = `features.${field.name}`;
      const rule = Object.hasOwn(KINDS, kind)
        ? KINDS[kind]
        : refuse(place, `kinds of ${Object.keys(KINDS).join(", ")}`, kind);
      need(rule.role === field.role, place, `a kind for role ${field.role}`, kind);
      need(kinds.indexOf(kind) === i, place, "every kind once", kind);
      const unit =
        rule.unit(field.unit ?? "") ?? refuse(place, `a kind that has a unit for ${field.unit}`, kind);
      return { column: `${field.name}_${kind}`, field: field.name, kind, unit };
    }),
  );
  const columns = new Set(features.map(({ column }) => column));

  multiple("window.slide_ms", window.slide_ms, 1, "a millisecond,");
  multiple("window.size_ms", window.size_ms, window.slide_ms, "slide_ms");
  need(
    window.lateness_ms >= 0 && window.lead_ms >= 0,
    "window",
    "a lateness and a lead of at least 0",
    window,
  );
  multiple("history.cell_ms", history.cell_ms, window.slide_ms, "slide_ms");
  multiple("history.depth_ms", history.depth_ms, history.cell_ms, "cell_ms");
  need(history.step_ms >= history.cell_ms, "history.step_ms", "at least cell_ms", history.step_ms);
  need(
    rising(history.lags) && history.lags[0]! >= 1,
    "history.lags",
    "rising whole numbers from 1",
    history.lags,
  );
  const reach_ms = (history.lags.at(-1)! + 1) * history.step_ms;
  need(
    history.depth_ms >= reach_ms,
    "history.depth_ms",
    `at least ${reach_ms}, the reach of the lags`,
    history.depth_ms,
  );
  need(distinct(history.values), "history.values", "every column once", history.values);
  for (const value of history.values)
    need(columns.has(value), "history.values", "columns of features", value);

  need(
    forecast.targets.length > 0 && distinct(forecast.targets),
    "forecast.targets",
    "every target once",
    forecast.targets,
  );
  for (const target of forecast.targets) {
    const mean = `${target}_mean`;
    need(columns.has(mean), "forecast.targets", `the feature "${mean}", which is its truth`, target);
    need(history.values.includes(mean), "forecast.targets", `"${mean}" among history.values`, target);
  }
  need(
    rising(forecast.horizons_h) && forecast.horizons_h[0]! >= 1,
    "forecast.horizons_h",
    "rising whole hours",
    forecast.horizons_h,
  );
  const percents = forecast.quantiles.map((q) => q * 100);
  need(
    rising(percents.map((p) => Math.round(p))) &&
      percents.every((p) => p > 0 && p < 100 && Math.abs(p - Math.round(p)) < 1e-9),
    "forecast.quantiles",
    "rising whole hundredths between 0 and 1",
    forecast.quantiles,
  );
  need(forecast.quantiles.includes(0.5), "forecast.quantiles", "the median among them", forecast.quantiles);

  if (forecast.neighbours) {
    const { per_sector, reach_km, lags } = forecast.neighbours;
    const place = "forecast.neighbours";
    need(Number.isInteger(per_sector) && per_sector >= 1, place, "a per_sector of at least 1", per_sector);
    need(reach_km > 0, place, "a reach_km above 0", reach_km);
    need(lags.length === 0 || (rising(lags) && lags[0]! >= 1), place, "rising lags from 1", lags);
    // As-of t - (size + lateness), within the ring.
    const longest_ms = ((lags.at(-1) ?? 0) + 1) * history.step_ms + window.size_ms + window.lateness_ms;
    need(history.depth_ms >= longest_ms, place, `lags within history.depth_ms ${history.depth_ms}`, lags);
  }
  need(
    distinct(forecast.derived.map(({ column }) => column)),
    "forecast.derived",
    "every column once",
    forecast.derived.map(({ column }) => column),
  );
  for (const { column, function: name, inputs } of forecast.derived) {
    const place = `forecast.derived.${column}`;
    need(
      /^[a-z][a-z0-9_]*$/.test(column) && !columns.has(column),
      place,
      "a word in snake_case that is no feature",
      column,
    );
    const wanted =
      functions.get(name) ?? refuse(place, `a function of ${[...functions.keys()].join(", ")}`, name);
    need(inputs.length === wanted.length, place, `inputs for (${wanted.join(", ")})`, inputs);
    const given = (input: string) => PLACE.includes(input) || input === TIME;
    for (const [i, input] of inputs.entries()) {
      const parameter = wanted[i]!;
      const unit = features.find((feature) => feature.column === input)?.unit ?? null;
      need(
        given(input) || history.values.includes(input),
        place,
        `columns of history.values, ${PLACE.join(", ")} or ${TIME}`,
        input,
      );
      // A parameter carries its unit in its name, so that a function of kelvin is not fed degrees.
      need(
        given(input) ? parameter === input : parameter.endsWith(`_${unitWord(unit)}`),
        place,
        `"${input}" (${given(input) ? "as it is" : unit}) for parameter ${parameter}`,
        input,
      );
    }
    need(
      inputs.includes(TIME) ? inputs.every(given) : inputs.some((input) => !given(input)),
      place,
      "columns, or else the time: what is measured is not known ahead",
      inputs,
    );
  }

  const widest = forecast.quantiles.at(-1)! - forecast.quantiles[0]!;
  const ends = forecast.bands.flatMap((band) => [50 - band * 50, 50 + band * 50]);
  need(
    forecast.bands.length > 0 &&
      forecast.bands.every((band, i) => band > (forecast.bands[i - 1] ?? 0)) &&
      ends.every((p) => Math.abs(p - Math.round(p)) < 1e-9) &&
      Math.abs(forecast.bands.at(-1)! - widest) < 1e-9,
    "forecast.bands",
    `rising shares whose ends are whole hundredths, the last ${Number(widest.toFixed(9))}, between the outer quantiles`,
    forecast.bands,
  );
  const levels = [50, ...ends].map((p) => Math.round(p) / 100).sort((a, b) => a - b);

  const steps = Object.entries(pipeline.anomaly.steps)
    .map(([field, { change, within_ms }]) => ({ field, change, within_ms }))
    .sort((a, b) => compareText(a.field, b.field));
  for (const { field, change, within_ms } of steps) {
    const place = `anomaly.steps.${field}`;
    need(history.values.includes(`${field}_mean`), place, `"${field}_mean" among history.values`, field);
    need(change > 0 && within_ms > 0, place, "a change and a span above 0", { change, within_ms });
  }

  for (const [target, [low, high]] of Object.entries(pipeline.anomaly.datums)) {
    const place = `anomaly.datums.${target}`;
    need(forecast.targets.includes(target), place, `a target of ${forecast.targets.join(", ")}`, target);
    const [least, most] = fields.get(target)!.range!;
    need(
      least <= low && low < high && high <= most,
      place,
      `rising ends within the field's range [${least}, ${most}]`,
      [low, high],
    );
  }

  need(
    /^[a-z][a-z_]*$/.test(pipeline.anomaly.event),
    "anomaly.event",
    "a word in snake_case",
    pipeline.anomaly.event,
  );

  return {
    pipeline: pipeline.name,
    key: observation.key,
    event_time: observation.event_time,
    fields: observation.fields,
    duplicates: pipeline.duplicates,
    window_ms: window.size_ms,
    slide_ms: window.slide_ms,
    lateness_ms: window.lateness_ms,
    lead_ms: window.lead_ms,
    features,
    cell_ms: history.cell_ms,
    step_ms: history.step_ms,
    lags: history.lags,
    depth_ms: history.depth_ms,
    ring_cells: history.depth_ms / history.cell_ms,
    history_values: history.values,
    targets: forecast.targets,
    horizons_h: forecast.horizons_h,
    quantiles: forecast.quantiles,
    sectors: forecast.neighbours ? SECTORS : [],
    per_sector: forecast.neighbours?.per_sector ?? 0,
    neighbour_lags: forecast.neighbours?.lags ?? [],
    derived: forecast.derived,
    bands: forecast.bands,
    levels,
    steps,
    datums: sorted(pipeline.anomaly.datums),
    event: pipeline.anomaly.event,
    stations: sorted(pipeline.stations),
    neighbours: forecast.neighbours ? neighbours(pipeline.stations, forecast.neighbours) : {},
  };
}

/** The outline with its schemas (without docs) and the two hashes over both. */
export function seal(
  { event: _, ...outline }: Outline,
  schemas: Readonly<Record<SchemaName, object>>,
): Contract {
  const bare = Object.fromEntries(
    SCHEMA_NAMES.map((name) => [name, JSON.stringify(withoutDocs(schemas[name]))]),
  );
  const { key, event_time, duplicates, window_ms, slide_ms, lateness_ms, features } = outline;
  const plan = {
    key,
    event_time,
    duplicates,
    window_ms,
    slide_ms,
    lateness_ms,
    aggregates: features.map(({ field, kind }) => [field, kind]),
  };
  return {
    ...outline,
    fingerprint: sha256({ ...outline, schemas: bare }),
    plan_hash: sha256(plan),
    schemas: bare as Record<SchemaName, string>,
  };
}

/** SHA-256, in hex, over canonical JSON. */
export function sha256(value: unknown): string {
  return createHash("sha256").update(canonicalJson(value)).digest("hex");
}

export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function sorted<T>(record: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => compareText(a, b)));
}

function withoutDocs(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutDocs);
  if (typeof value !== "object" || value === null) return value;
  // Only a schema's own doc is text; a field that is named doc would be an object's value of "name".
  return Object.fromEntries(
    Object.entries(value).flatMap(([k, v]) => (k === "doc" ? [] : [[k, withoutDocs(v)]])),
  );
}

function rising(values: readonly number[]): boolean {
  return values.length > 0 && values.every((v, i) => Number.isInteger(v) && (i === 0 || v > values[i - 1]!));
}

function distinct(values: readonly string[]): boolean {
  return new Set(values).size === values.length;
}
