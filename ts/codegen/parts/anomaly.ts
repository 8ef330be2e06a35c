// The rules that judge a window, and the record of what they find: the verdict is part of a forecast, its life is not.

import type { ObservationField } from "../../contract/index.ts";
import { entityKey } from "../../pipelines/contract.ts";
import type { Anomaly } from "../../pipelines/define.ts";
import { enumeration, field, nullableTime, type RecordSchema, share, timeField, top } from "../avro.ts";
import { type Check, compareText, sorted } from "../check.ts";
import type { Outline } from "../derive.ts";
import { anomalyTypes, type ForecastOutline } from "./forecast.ts";
import type { HistoryOutline } from "./history.ts";

export interface AnomalyOutline extends Pick<Outline, "steps" | "datums"> {
  /** What a verdict calls a true happening. */
  readonly event: string;
}

export function outlineAnomaly(
  { need }: Check,
  {
    fields,
    history,
    forecast,
  }: {
    readonly fields: ReadonlyMap<string, ObservationField>;
    readonly history: HistoryOutline;
    readonly forecast: ForecastOutline;
  },
  anomaly: Anomaly | undefined,
): AnomalyOutline {
  if (anomaly === undefined) return { steps: [], datums: {}, event: "" };
  const steps = Object.entries(anomaly.steps)
    .map(([field, { change, within_ms }]) => ({ field, change, within_ms }))
    .sort((a, b) => compareText(a.field, b.field));
  for (const { field, change, within_ms } of steps) {
    const place = `anomaly.steps.${field}`;
    need(
      history.history_values.includes(`${field}_mean`),
      place,
      `"${field}_mean" among history.values`,
      field,
    );
    need(change > 0 && within_ms > 0, place, "a change and a span above 0", { change, within_ms });
  }

  for (const [target, [low, high]] of Object.entries(anomaly.datums)) {
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

  need(/^[a-z][a-z_]*$/.test(anomaly.event), "anomaly.event", "a word in snake_case", anomaly.event);
  return { steps, datums: sorted(anomaly.datums), event: anomaly.event };
}

/** Written at each turn of an anomaly's life; ts/store and whoever sends alerts read it. */
export function anomaliesSchema(outline: Outline): RecordSchema {
  return top(
    outline,
    "anomalies",
    "One turn in the life of an anomaly of one key and type: opened, confirmed, resolved, under one id.",
    [
      field(
        "id",
        "string",
        "First 32 hex digits of SHA-256 over namespace|pipeline|key|anomaly_type|opened|plan_epoch|revision of the row that opened it.",
      ),
      field(entityKey(outline), "string", "Whose windows were flagged."),
      field("anomaly_type", anomalyTypes(outline.event), "What kind."),
      field(
        "state",
        enumeration("anomaly_state", ["opened", "confirmed", "resolved"]),
        "What it became: confirmed by a flagged window that shares no observation with the one that opened it.",
      ),
      field(
        "cause",
        enumeration("anomaly_cause", ["flagged", "clear", "silent"]),
        "What moved it: a flagged window, one that is clear, or that the key fell silent and was forgotten.",
      ),
      timeField(
        "timestamp",
        "When, UTC event time: the end of the window that moved it, the time of the partition when silent.",
      ),
      timeField("opened", "End of its first flagged window."),
      nullableTime("confirmed", "End of the window that confirmed it; null before."),
      nullableTime("resolved", "The timestamp of its end; null before."),
      timeField("last", "End of its newest flagged window so far."),
      timeField("peak", "End of the window of the highest score so far."),
      share("severity", "That score."),
      field("windows", "int", "Flagged windows so far, each counted once however often it was revised."),
      field("evidence", { type: "array", items: "string" }, "What was found at the peak."),
      field("method", "string", "What judged at the peak."),
      field("plan_epoch", "int", "Version of the feature row that moved it, first part; 0 when silent."),
      field("revision", "long", "The second part; 0 when silent."),
      field("feature_partition", "int", "Partition of that row."),
      field("feature_offset", "long", "Its offset; -1 when silent."),
    ],
  );
}
