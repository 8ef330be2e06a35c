// Windows and their features: the rules of what may be asked of a field, and the record of a window.

import {
  type AttributeKind,
  ENTITY_ID_LENGTH_MAX,
  isMeasured,
  type ObservationField,
  type ObservationShape,
  unaccepted,
  unitRule,
} from "../../contract/index.ts";
import { entityKey } from "../../pipelines/contract.ts";
import type { FeatureKind, Pipeline, Windows } from "../../pipelines/define.ts";
import { leadingStream } from "../../pipelines/streams.ts";
import { type Field, field, type RecordSchema, record, timeField, top } from "../avro.ts";
import type { Check } from "../check.ts";
import type { Outline } from "../derive.ts";

/** What each kind of feature asks of its field, and the unit it has. A kind that is not here is refused. */
export const FEATURE_KINDS: Readonly<
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

export type WindowsOutline = Pick<Outline, "window_ms" | "slide_ms" | "features">;

/** Attributes whose values can name what windows are of. Yes and no name nothing, and a day is a time, of which windows have one. */
const NAMING: readonly AttributeKind[] = ["string", "enum", "integer"];
/** A character may be two of a JavaScript string, which the bound of a name counts. */
const NAME_LENGTH_MAX = ENTITY_ID_LENGTH_MAX / 2;
/** Of each partition a window in the making keeps two offsets, and the plan computes them. */
const PARTITIONS_MAX = 32;

/** The attribute that windows are grouped by, and how many partitions a group may lie in; nothing where it is the key. */
export function outlineGrouping(
  { need }: Check,
  observation: ObservationShape,
  pipeline: Pipeline,
): Pick<Outline, "by" | "raw_partitions"> {
  const { windows, stations, forecast } = pipeline;
  const by = windows?.by;
  if (by === undefined) return {};
  const place = "windows.by";
  const attributes = observation.fields.filter(({ attribute }) => attribute);
  const rules = attributes.find(({ name }) => name === by)?.attribute;
  const names = attributes.map(({ name }) => name).join(", ") || "which it has none of";
  need(rules !== undefined, place, `an attribute of "${observation.name}", ${names}`, by);
  const { kind, required } = rules!;
  need(NAMING.includes(kind), place, `an attribute that can name something, ${NAMING.join(", ")}`, {
    [by]: kind,
  });
  need(required, place, "an attribute that may not be null, so that every record has its windows", {
    [by]: "nullable",
  });
  if (kind === "string") {
    need(
      unaccepted(rules!, "") !== null,
      place,
      "an attribute with a pattern that no empty text matches",
      by,
    );
    need(
      rules!.max_length! <= NAME_LENGTH_MAX,
      place,
      `an attribute with a max_length of at most ${NAME_LENGTH_MAX}`,
      { [by]: rules!.max_length },
    );
  }
  // A place is where one thing stands; what shares a value may be anywhere.
  need(
    stations === undefined,
    place,
    'no part "stations" beside it, whose names and places are those of keys',
    by,
  );
  need(!forecast?.neighbours, place, 'no "forecast.neighbours" beside it, which are places of keys', by);
  const { partitions } = pipeline.streams[leadingStream(pipeline)]!;
  need(
    partitions <= PARTITIONS_MAX,
    place,
    `a stream of at most ${PARTITIONS_MAX} partitions beside it`,
    partitions,
  );
  return { by, raw_partitions: partitions };
}

export function outlineWindows(
  { need, refuse, multiple }: Check,
  observation: ObservationShape,
  windows: Windows | undefined,
): WindowsOutline {
  if (windows === undefined) return { window_ms: 0, slide_ms: 0, features: [] };
  need(
    Object.keys(windows.features).length > 0,
    "windows.features",
    "at least one measured field",
    windows.features,
  );
  const fields = new Map<string, ObservationField>(observation.fields.map((field) => [field.name, field]));
  for (const name of Object.keys(windows.features))
    need(
      isMeasured(fields.get(name) ?? { role: "key" }),
      `windows.features.${name}`,
      "a measured field",
      name,
    );
  // In contract order, whatever the order in the pipeline: the same meaning gives the same files.
  const features = observation.fields.flatMap((field) =>
    (windows.features[field.name] ?? []).map((kind, i, kinds) => {
      const place = `windows.features.${field.name}`;
      const rule = Object.hasOwn(FEATURE_KINDS, kind)
        ? FEATURE_KINDS[kind]
        : refuse(place, `kinds of ${Object.keys(FEATURE_KINDS).join(", ")}`, kind);
      need(rule.role === field.role, place, `a kind for role ${field.role}`, kind);
      need(kinds.indexOf(kind) === i, place, "every kind once", kind);
      const unit =
        rule.unit(field.unit ?? "") ?? refuse(place, `a kind that has a unit for ${field.unit}`, kind);
      return { column: `${field.name}_${kind}`, field: field.name, kind, unit };
    }),
  );
  multiple("windows.slide_ms", windows.slide_ms, 1, "a millisecond,");
  multiple("windows.size_ms", windows.size_ms, windows.slide_ms, "slide_ms");
  return { window_ms: windows.size_ms, slide_ms: windows.slide_ms, features };
}

export function featuresSchema(outline: Outline): RecordSchema {
  return top(
    outline,
    "features",
    outline.by === undefined
      ? "One published window of one key. Identity (key, window_end), version (plan_epoch, revision)."
      : `One published window of one value of ${outline.by}. Identity (${outline.by}, window_end), version (plan_epoch, revision).`,
    [
      field(entityKey(outline), "string", "Whose window it is."),
      timeField("window_start", "Start of the window, inclusive, UTC event time."),
      timeField("window_end", "End of the window, exclusive, UTC event time."),
      field("plan_epoch", "int", "Which checkpoint of the stream wrote it; 0 in a backfill."),
      ...origin(outline),
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
      timeField("max_event_time", "Event time of the newest observation in the window."),
      timeField("raw_append_time", "Largest append time of the raw records in the window."),
      timeField("processing_time", "When the batch computed it, UTC wall time."),
    ],
  );
}

/**
 * Version of a row and the raw records behind it. A key's lie in one partition, where the largest offset grows with each; those of a
 * group lie in several, whose offsets cannot be compared, so that their number counts.
 */
function origin({ by }: Outline): readonly Field[] {
  if (by === undefined)
    return [
      field("revision", "long", "Largest raw offset in the window."),
      field("raw_partition", "int", "Raw partition of the key."),
      field("first_offset", "long", "Smallest raw offset in the window."),
    ];
  return [
    field("revision", "long", "How many observations the window holds: one more with each that comes."),
    ...groupOrigin(),
  ];
}

/** The raw records of a group, as features and forecasts name them. */
export function groupOrigin(): readonly Field[] {
  return [
    field("grouped_by", "string", "The attribute whose value the records of the window share."),
    field(
      "raw_ranges",
      {
        type: "array",
        items: record("raw_range", [
          field("partition", "int", "Raw partition."),
          field("first_offset", "long", "Smallest offset of the window's records in it."),
          field("last_offset", "long", "Largest one."),
        ]),
      },
      "Where the window's records lie: the accepted ones of the group and time in these ranges, inclusive. Ascending by partition.",
    ),
  ];
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
