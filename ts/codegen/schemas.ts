// The five derived Avro schemas of a pipeline: features, history, predictions, verifications, rejects.
// A field's place in its record is part of the contract: add at the end, never between. Knows no pipeline by name.

import type { ObservationField } from "../contract/index.ts";
import type { Outline } from "./derive.ts";

type Avro = string | object;

interface Field {
  readonly name: string;
  readonly type: Avro;
  readonly default?: null;
  readonly quantity?: string;
  readonly unit?: string;
  readonly doc: string;
}

const TIME = { type: "long", logicalType: "timestamp-millis" };

const field = (name: string, type: Avro, doc: string): Field => ({ name, type, doc });
const time = (name: string, doc: string): Field => ({ name, type: TIME, unit: "ms", doc });
const nullable = (name: string, type: Avro, doc: string): Field => ({
  name,
  type: ["null", type],
  default: null,
  doc,
});
const nullableTime = (name: string, doc: string): Field => ({ ...nullable(name, TIME, doc), unit: "ms" });
const share = (name: string, doc: string): Field => ({ name, type: "double", unit: "1", doc });
const record = (name: string, fields: readonly Field[], doc?: string) => ({
  type: "record",
  name,
  ...(doc === undefined ? {} : { doc }),
  fields,
});
const enumeration = (name: string, symbols: readonly string[]) => ({ type: "enum", name, symbols });

export const REJECT_REASONS = [
  "bad_framing",
  "unknown_schema",
  "undecodable",
  "missing_key",
  "missing_time",
  "time_jump",
  "out_of_range",
  "unscorable",
] as const;

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

/** The name of a quantile in a record: q05 for 0.05. */
export function quantileName(quantile: number): string {
  return `q${String(Math.round(quantile * 100)).padStart(2, "0")}`;
}

export function derivedSchemas(outline: Outline) {
  const top = (what: string, doc: string, fields: readonly Field[]) => ({
    type: "record",
    name: `${outline.pipeline}_${what}`,
    namespace: `millrace.${outline.pipeline}`,
    doc,
    fields,
  });
  const byName = new Map(outline.fields.map((f) => [f.name, f]));
  const measured = (name: string): Pick<Field, "quantity" | "unit"> => {
    const { quantity, unit } = byName.get(name)!;
    return { ...(quantity === null ? {} : { quantity }), ...(unit === null ? {} : { unit }) };
  };

  return {
    features: top(
      "features",
      "One published window of one key. Identity (key, window_end), version (plan_epoch, revision).",
      [
        field(outline.key, "string", "Whose window it is."),
        time("window_start", "Start of the window, inclusive, UTC event time."),
        time("window_end", "End of the window, exclusive, UTC event time."),
        field("plan_epoch", "int", "Which checkpoint of the stream wrote it; 0 in a backfill."),
        field("revision", "long", "Largest raw offset in the window."),
        field("raw_partition", "int", "Raw partition of the key."),
        field("first_offset", "long", "Smallest raw offset in the window."),
        field("measurement_count", "int", "Observations in the window."),
        ...outline.fields.flatMap(({ name, quantity }: ObservationField) => {
          const own = outline.features.filter((f) => f.field === name);
          if (own.length === 0) return [];
          return [
            field(`${name}_count`, "int", `Values of ${name} in the window, within their range.`),
            ...own.map(({ column, kind, unit }) => ({
              name: column,
              type: ["null", "double"],
              default: null,
              ...(quantity === null ? {} : { quantity }),
              unit,
              doc: KIND_DOC[kind],
            })),
          ];
        }),
        time("max_event_time", "Event time of the newest observation in the window."),
        time("raw_append_time", "Largest append time of the raw records in the window."),
        time("processing_time", "When the batch computed it, UTC wall time."),
      ],
    ),
    history: top(
      "history",
      "The changelog of what the actor remembers, compacted by key, in the partition of the feature rows. Key: kind, then what the kind tells its records apart by, then whose it is, with `|` between: `cell|slot|key`, `pending|arm|slot|key`, `calibration|arm|key`, `cursor|partition`.",
      [
        field(
          "kind",
          enumeration("history_kind", ["cell", "cursor", "pending", "calibration", "named"]),
          "named: see kind_name. The others are what records from before kinds had names hold.",
        ),
        nullable(outline.key, "string", "Whose cell it is; null for a cursor."),
        field(
          "cell",
          "long",
          `Absolute number of the cell: (window_end - 1) // ${outline.cell_ms}; 0 for a cursor.`,
        ),
        nullableTime("window_end", "The newest row of the cell."),
        field("plan_epoch", "int", "Version of the newest row, first part."),
        field("revision", "long", "Version of the newest row, second part."),
        field("feature_partition", "int", "Where the newest row was read."),
        field("feature_offset", "long", "Where the newest row was read; -1 for a seed."),
        nullable(
          "next_offset",
          "long",
          "Of a cursor: the next feature offset of the partition that no transaction covers yet.",
        ),
        field(
          "versions",
          { type: "array", items: { type: "long", wide: true } },
          "By slide slot of the cell: (plan_epoch << 48) | (revision + 1), 0 where no row was applied.",
        ),
        field(
          "values",
          { type: "array", items: ["null", "double"] },
          `In order: ${outline.history_values.join(", ")}.`,
        ),
        nullable("payload", "bytes", "What the kind keeps, in its own form; null for cells and cursors."),
        nullable(
          "kind_name",
          "string",
          "What the record holds: cell, cursor, pending, calibration, or what a stage calls its own state. Null in records from before.",
        ),
        nullable("arm", "string", "Whose promise or correction it is; null for what all arms share."),
      ],
    ),
    predictions: top("predictions", "One forecast of one key with its verdict, its origin and its times.", [
      field(
        "id",
        "string",
        "First 32 hex digits of SHA-256 over namespace|pipeline|key|window_end|plan_epoch|revision|model_version|arm.",
      ),
      field(outline.key, "string", "Whose forecast it is."),
      time("timestamp", "When the forecast was issued: the window's end, UTC event time."),
      time("window_start", "Start of the window, inclusive."),
      field("plan_epoch", "int", "Version of the feature row, first part."),
      field("revision", "long", "Version of the feature row, second part."),
      field("model_version", "string", "Version of the model in the registry."),
      field("arm", "string", "Arm of the comparison: champion."),
      field(
        "predictions",
        record(
          "forecast_values",
          byHorizon(outline).map(({ target, horizon, name }) => ({
            name,
            type: ["null", "double"],
            default: null,
            ...measured(target),
            doc: `Median of ${target} in ${horizon} h; null where nothing can be said.`,
          })),
        ),
        "The medians.",
      ),
      field(
        "quantiles",
        record(
          "forecast_quantiles",
          byHorizon(outline).map(({ target, horizon, name }, i) => ({
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
                        .map((q) => nullable(quantileName(q), "double", `Quantile ${q}.`)),
                    ],
                  ),
            ],
            default: null,
            ...measured(target),
            doc: `Distribution of ${target} in ${horizon} h.`,
          })),
        ),
        "The distributions.",
      ),
      field(
        "inputs",
        { type: "array", items: "double" },
        "The model's input vector, NaN where missing; named in the model's manifest.",
      ),
      field(
        "anomaly",
        record("anomaly_verdict", [
          field("is_anomaly", "boolean", "Whether the window is judged abnormal."),
          share("anomaly_score", "From 0, usual, to 1."),
          nullable(
            "anomaly_type",
            enumeration("anomaly_type", [...FAULTS, outline.event, "multivariate"]),
            "What kind; null when usual.",
          ),
          field("evidence", { type: "array", items: "string" }, "One sentence a finding, with its numbers."),
          field("method", "string", "What judged: rules."),
        ]),
        "The verdict on the window itself.",
      ),
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
          nullable("raw_topic", "string", "Topic of the raw records, where known."),
          field("raw_partition", "int", "Their partition."),
          field("first_offset", "long", "The first raw record of the window."),
          field("last_offset", "long", "The last one: the row's revision."),
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
          time("event_time", "Newest observation in the window, UTC event time."),
          time("raw_append_time", "When the newest raw record was appended, wall time."),
          time("feature_processing_time", "When the row was computed."),
          time("feature_append_time", "When the row was appended."),
          time("predict_time", "When the forecast was computed."),
        ]),
        "When each stage was done, so that the latency is a sum anyone can check.",
      ),
    ]),
    verifications: top(
      "verifications",
      "One forecast of one key, target and horizon held against its truth: one forecast a key and hour, once.",
      [
        field("id", "string", "First 32 hex digits of SHA-256 over forecast_id|target|horizon_h."),
        field("forecast_id", "string", "Id of the prediction that is judged."),
        field(outline.key, "string", "Whose forecast it was."),
        field("target", "string", "What was forecast."),
        field("unit", "string", "Of the truth and of every value, error, width and score here."),
        field("horizon_h", "int", "How many hours ahead."),
        time("issued", "When the forecast was issued, UTC event time."),
        time("valid", "When it was for: issued and the horizon."),
        time(
          "judged",
          "The key's own row, by its window_end, that brought the truth or ended the wait for it.",
        ),
        field(
          "status",
          enumeration("verification_status", ["verified", "unverifiable"]),
          "Unverifiable: no row within ten minutes of the valid time by two hours after it, or a row without the value.",
        ),
        nullable(
          "truth",
          "double",
          "What was measured, at the edge of the target's support where it lay beyond it; null when unverifiable.",
        ),
        nullableTime("truth_window_end", "The row it was taken from."),
        field(
          "model",
          record("verified_forecast", [
            field("value", "double", "The median."),
            nullable("error", "double", "Value minus truth."),
            nullable("pinball", "double", "Sum of the pinball losses of all quantiles."),
            field("width", "double", "Of the widest band."),
            nullable(
              "winkler",
              "double",
              "Interval score of the widest band: its width, and what lies outside by 2 / (1 - share).",
            ),
            ...outline.bands.map((band) =>
              nullable(
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
            nullable("value", "double", "What the baseline said; null where it had nothing to say."),
            nullable("error", "double", "Value minus truth."),
          ]),
          "The value at the time of issue.",
        ),
        field("dap", "verified_baseline", "Damped anomaly persistence."),
        field("model_version", "string", "Version of the model in the registry."),
        field("arm", "string", "Arm of the comparison: champion."),
        field("in_sample", "boolean", "Whether it was issued inside the model's training range."),
      ],
    ),
    rejects: top(
      "rejects",
      "What could not be used, with its original bytes. Identity (topic, partition, offset, field).",
      [
        field("topic", "string", "Where it was read; the name of the file in a backfill from one."),
        field("partition", "int", "Its partition."),
        field("offset", "long", "Its offset."),
        nullable("field", "string", "The one field that was refused; null for the whole record."),
        field("reason", enumeration("reject_reason", REJECT_REASONS), "Why."),
        field("detail", "string", "One sentence with the numbers."),
        nullable(outline.key, "string", "Whose record it is, where that can be read."),
        nullable("schema_id", "int", "Registry id in the record's frame, where there is one."),
        nullable("key", "bytes", "The record's key, as it came."),
        nullable("value", "bytes", "The record's value, as it came."),
        field("headers", { type: "map", values: "bytes" }, "The record's headers, as they came."),
        time("append_time", "When the record was appended, wall time."),
        time("rejected_time", "When it was refused, wall time."),
      ],
    ),
  };
}

const KIND_DOC: Readonly<Record<Outline["features"][number]["kind"], string>> = {
  mean: "Mean; null without a value.",
  std: "Sample standard deviation; null for fewer than two values.",
  min: "Smallest value; null without one.",
  max: "Largest value; null without one.",
  rate: "Least-squares slope per hour; null for fewer than two distinct times.",
  sum: "Sum; null without a value.",
  circular_mean:
    "Mean direction in [0, 360); null without a value or where the directions cancel (resultant below 1e-6).",
  resultant: "Length of the mean direction in [0, 1]; null without a value.",
};

function byHorizon({ targets, horizons_h }: Outline) {
  return targets.flatMap((target) =>
    horizons_h.map((horizon) => ({ target, horizon, name: `${target}_${horizon}h` })),
  );
}
