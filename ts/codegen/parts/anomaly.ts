// The rules that judge a window. They bring no record of their own: the verdict is part of a forecast.

import type { ObservationField } from "../../contract/index.ts";
import type { Anomaly } from "../../pipelines/define.ts";
import { type Check, compareText, sorted } from "../check.ts";
import type { Outline } from "../derive.ts";
import type { ForecastOutline } from "./forecast.ts";
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
