// Targets, horizons, bands, neighbours and derived columns: their rules, and the records of forecasts and of their truth.

import { unitWord } from "../../contract/index.ts";
import { entityKey } from "../../pipelines/contract.ts";
import type { Forecast, Station } from "../../pipelines/define.ts";
import { forecastName, HORIZON_STEP_MS, horizonHours, inWholeHours } from "../../pipelines/horizon.ts";
import {
  enumeration,
  type Field,
  field,
  nullableField,
  nullableTime,
  type RecordSchema,
  record,
  share,
  timeField,
  top,
} from "../avro.ts";
import { type Check, distinct, rising } from "../check.ts";
import type { Outline } from "../derive.ts";
import type { Functions } from "../functions.ts";
import { neighbours, SECTORS } from "../neighbours.ts";
import type { HistoryOutline } from "./history.ts";
import { groupOrigin, type WindowsOutline } from "./windows.ts";

/** What a derived column may take beside columns: where its station stands, and the time it is made for. */
const PLACE = ["latitude", "longitude", "elevation_m"];
const TIME = "t_ms";

export type ForecastOutline = Pick<
  Outline,
  | "targets"
  | "horizons_ms"
  | "quantiles"
  | "sectors"
  | "per_sector"
  | "neighbour_lags"
  | "derived"
  | "bands"
  | "levels"
  | "neighbours"
>;

const NONE: ForecastOutline = {
  targets: [],
  horizons_ms: [],
  quantiles: [],
  sectors: [],
  per_sector: 0,
  neighbour_lags: [],
  derived: [],
  bands: [],
  levels: [],
  neighbours: {},
};

export interface Beside {
  readonly windows: WindowsOutline;
  readonly history: HistoryOutline;
  readonly lateness_ms: number;
  readonly stations: Readonly<Record<string, Station>>;
  /** Those that derived columns may name. */
  readonly functions: Functions;
}

export function outlineForecast(
  { need, refuse }: Check,
  { windows, history, lateness_ms, stations, functions }: Beside,
  forecast: Forecast | undefined,
): ForecastOutline {
  if (forecast === undefined) return NONE;
  const columns = new Set(windows.features.map(({ column }) => column));
  need(
    forecast.targets.length > 0 && distinct(forecast.targets),
    "forecast.targets",
    "every target once",
    forecast.targets,
  );
  for (const target of forecast.targets) {
    const mean = `${target}_mean`;
    need(columns.has(mean), "forecast.targets", `the feature "${mean}", which is its truth`, target);
    need(history.history_values.includes(mean), "forecast.targets", `"${mean}" among history.values`, target);
  }
  need(
    rising(forecast.horizons_ms.map((ms) => ms / HORIZON_STEP_MS)) && forecast.horizons_ms[0]! > 0,
    "forecast.horizons_ms",
    `rising multiples of a quarter of an hour ${HORIZON_STEP_MS}`,
    forecast.horizons_ms,
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
    const longest_ms = ((lags.at(-1) ?? 0) + 1) * history.step_ms + windows.window_ms + lateness_ms;
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
      const unit = windows.features.find((feature) => feature.column === input)?.unit ?? null;
      need(
        given(input) || history.history_values.includes(input),
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
  return {
    targets: forecast.targets,
    horizons_ms: forecast.horizons_ms,
    quantiles: forecast.quantiles,
    sectors: forecast.neighbours ? SECTORS : [],
    per_sector: forecast.neighbours?.per_sector ?? 0,
    neighbour_lags: forecast.neighbours?.lags ?? [],
    derived: forecast.derived,
    bands: forecast.bands,
    levels,
    neighbours: forecast.neighbours ? neighbours(stations, forecast.neighbours) : {},
  };
}

/** What a verdict can say of any domain; the pipeline names the one that is no fault. */
const FAULTS = [
  "range",
  "spike",
  "step",
  "drift",
  "flatline",
  "noise",
  "dropout",
  "unit_or_datum",
  "time_shift",
  "inconsistent",
  "duplicate_station",
] as const;

/** What an anomaly may be; `event` is the domain's word for a true happening. */
export const anomalySymbols = (event: string): readonly string[] => [...FAULTS, event, "multivariate"];
export const anomalyTypes = (event: string) => enumeration("anomaly_type", anomalySymbols(event));

/** The name of a quantile in a record: q05 for 0.05. */
export function quantileName(quantile: number): string {
  return `q${String(Math.round(quantile * 100)).padStart(2, "0")}`;
}

/** With the verdict on its window where rules judge windows; `event` is what they call a true happening. */
export function predictionsSchema(outline: Outline): RecordSchema {
  const byName = new Map(outline.fields.map((f) => [f.name, f]));
  const measured = (name: string): Pick<Field, "quantity" | "unit"> => {
    const { quantity, unit } = byName.get(name)!;
    return { ...(quantity === null ? {} : { quantity }), ...(unit === null ? {} : { unit }) };
  };
  const judged = outline.parts.includes("anomaly");
  const widest = Math.round((outline.bands.at(-1) ?? 0) * 100);
  const beside = judged ? "its verdict, its origin" : "its origin";
  return top(outline, "predictions", `One forecast of one key with ${beside} and its times.`, [
    field(
      "id",
      "string",
      "First 32 hex digits of SHA-256 over namespace|pipeline|key|window_end|plan_epoch|revision|model_version|arm.",
    ),
    field(entityKey(outline), "string", "Whose forecast it is."),
    timeField("timestamp", "When the forecast was issued: the window's end, UTC event time."),
    timeField("window_start", "Start of the window, inclusive."),
    field("plan_epoch", "int", "Version of the feature row, first part."),
    field("revision", "long", "Version of the feature row, second part."),
    field("model_version", "string", "Version of the model in the registry."),
    field("arm", "string", "Arm of the comparison: champion."),
    field(
      "predictions",
      record(
        "forecast_values",
        byHorizon(outline).map(({ target, hours, name }) => ({
          name,
          type: ["null", "double"],
          default: null,
          ...measured(target),
          doc: `Median of ${target} in ${hours} h; null where nothing can be said.`,
        })),
      ),
      "The medians.",
    ),
    field(
      "quantiles",
      record(
        "forecast_quantiles",
        byHorizon(outline).map(({ target, hours, name }, i) => ({
          name,
          type: [
            "null",
            i > 0
              ? "quantile_values"
              : record(
                  "quantile_values",
                  // The inner levels came later: at the end, and null in records from before.
                  [
                    ...outline.quantiles.map((q) => field(quantileName(q), "double", `Quantile ${q}.`)),
                    ...outline.levels
                      .filter((q) => !outline.quantiles.includes(q))
                      .map((q) => nullableField(quantileName(q), "double", `Quantile ${q}.`)),
                  ],
                ),
          ],
          default: null,
          ...measured(target),
          doc: `Distribution of ${target} in ${hours} h.`,
        })),
      ),
      "The distributions.",
    ),
    field(
      "inputs",
      { type: "array", items: "double" },
      "The model's input vector, NaN where missing; named in the model's manifest.",
    ),
    ...(judged ? [verdictField(outline.event)] : []),
    field(
      "confidence",
      record("forecast_confidence", [
        ...outline.targets.map((target) =>
          share(`${target}_confidence`, `Of the forecasts of ${target}, 0 to 1.`),
        ),
        share("overall_confidence", "Of the whole record, 0 to 1."),
        share("completeness", "Share of the lags that were there."),
      ]),
      "How sure the forecast is.",
    ),
    field("in_sample", "boolean", "Whether it was issued inside the model's training range."),
    field(
      "provenance",
      record("forecast_provenance", [
        field("feature_topic", "string", "Topic of the feature row."),
        field("feature_partition", "int", "Its partition."),
        field("feature_offset", "long", "Its offset."),
        field("feature_schema_id", "int", "Registry id it was written with."),
        nullableField("raw_topic", "string", "Topic of the raw records, where known."),
        ...(outline.by === undefined
          ? [
              field("raw_partition", "int", "Their partition."),
              field("first_offset", "long", "The first raw record of the window."),
              field("last_offset", "long", "The last one: the row's revision."),
            ]
          : groupOrigin()),
        field(
          "history_offsets",
          { type: "array", items: "long" },
          "How far each partition of the history had been read.",
        ),
      ]),
      "Where every input can be found.",
    ),
    field(
      "stages",
      record("forecast_stages", [
        timeField("event_time", "Newest observation in the window, UTC event time."),
        timeField("raw_append_time", "When the newest raw record was appended, wall time."),
        timeField("feature_processing_time", "When the row was computed."),
        timeField("feature_append_time", "When the row was appended."),
        timeField("predict_time", "When the forecast was computed."),
      ]),
      "When each stage was done, so that the latency is a sum anyone can check.",
    ),
    nullableField(
      "climatology",
      record(
        "forecast_climatology",
        byHorizon(outline).map(({ target, hours, name }, i) => ({
          name,
          type: [
            "null",
            i > 0
              ? "usual_values"
              : record("usual_values", [
                  field("mean", "double", "What is expected of the season and the hour alone."),
                  field(
                    "lower",
                    "double",
                    `Lower end of the band that holds ${widest} % of what comes then.`,
                  ),
                  field("upper", "double", "Its upper end."),
                ]),
          ],
          default: null,
          ...measured(target),
          doc: `What is usual for ${target} in ${hours} h; null where the model does not know.`,
        })),
      ),
      "What is usual for the key at the valid times, whatever it measures now; null for one that the model was not trained on, and in records from before.",
    ),
  ]);
}

function verdictField(event: string): Field {
  return field(
    "anomaly",
    record("anomaly_verdict", [
      field("is_anomaly", "boolean", "Whether the window is judged abnormal."),
      share("anomaly_score", "From 0, usual, to 1."),
      nullableField("anomaly_type", anomalyTypes(event), "What kind; null when usual."),
      field("evidence", { type: "array", items: "string" }, "One sentence a finding, with its numbers."),
      field("method", "string", "What judged: rules."),
    ]),
    "The verdict on the window itself.",
  );
}

export function verificationsSchema(outline: Outline): RecordSchema {
  return top(
    outline,
    "verifications",
    "One forecast of one key, target and horizon held against its truth: one forecast a key and hour, once.",
    [
      field("id", "string", "First 32 hex digits of SHA-256 over forecast_id|target|horizon_h."),
      field("forecast_id", "string", "Id of the prediction that is judged."),
      field(entityKey(outline), "string", "Whose forecast it was."),
      field("target", "string", "What was forecast."),
      field("unit", "string", "Of the truth and of every value, error, width and score here."),
      field("horizon_h", inWholeHours(outline.horizons_ms) ? "int" : "double", "How many hours ahead."),
      timeField("issued", "When the forecast was issued, UTC event time."),
      timeField("valid", "When it was for: issued and the horizon."),
      timeField(
        "judged",
        "The key's own row, by its window_end, that brought the truth or ended the wait for it.",
      ),
      field(
        "status",
        enumeration("verification_status", ["verified", "unverifiable"]),
        "Unverifiable: no row within ten minutes of the valid time by two hours after it, or a row without the value.",
      ),
      nullableField(
        "truth",
        "double",
        "What was measured, at the edge of the target's support where it lay beyond it; null when unverifiable.",
      ),
      nullableTime("truth_window_end", "The row it was taken from."),
      field(
        "model",
        record("verified_forecast", [
          field("value", "double", "The median."),
          nullableField("error", "double", "Value minus truth."),
          nullableField("pinball", "double", "Sum of the pinball losses of all quantiles."),
          field("width", "double", "Of the widest band."),
          nullableField(
            "winkler",
            "double",
            "Interval score of the widest band: its width, and what lies outside by 2 / (1 - share).",
          ),
          ...outline.bands.map((band) =>
            nullableField(
              `covered_${Math.round(band * 100)}`,
              "boolean",
              `Whether the ${Math.round(band * 100)} % band held the truth.`,
            ),
          ),
        ]),
        "The model's forecast.",
      ),
      field(
        "persistence",
        record("verified_baseline", [
          nullableField("value", "double", "What the baseline said; null where it had nothing to say."),
          nullableField("error", "double", "Value minus truth."),
        ]),
        "The value at the time of issue.",
      ),
      field("dap", "verified_baseline", "Damped anomaly persistence."),
      field("model_version", "string", "Version of the model in the registry."),
      field("arm", "string", "Arm of the comparison: champion."),
      field("in_sample", "boolean", "Whether it was issued inside the model's training range."),
    ],
  );
}

function byHorizon({ targets, horizons_ms }: Outline) {
  return targets.flatMap((target) =>
    horizons_ms.map(horizonHours).map((hours) => ({ target, hours, name: forecastName(target, hours) })),
  );
}
