// Observed, the fan of the newest forecast, and the one of a day before that the observed line has crossed since.

import type { ComponentType } from "preact";
import { TableBehind } from "../table.tsx";
import { utcText } from "../time.ts";
import {
  aheadText,
  forecastText,
  NONE,
  rangeText,
  spanText,
  titleOf,
  unitText,
  valueText,
  withUnit,
} from "../words.ts";
import type { Area, ChartProps, Line } from "./chart.tsx";
import { fanOf, type Issued, usualOf } from "./series.ts";
import { anomalyMarks, bandPoints, levelsOf, lineOf, truthMark, type View } from "./view.ts";

const HOUR_MS = 3_600_000;

export function FanChart({
  view,
  Chart,
}: {
  readonly view: View;
  readonly Chart: ComponentType<ChartProps> | null;
}) {
  const { pipeline: one, field, observed, newest, earlier, from_ms, now_ms, truths, record } = view;
  const { forecasts, unit } = field;
  const last = observed.at(-1)?.[1] ?? null;
  const measuredAt = (issued: Issued) => {
    const t_ms = Date.parse(issued.timestamp);
    return observed.find(([at_ms]) => at_ms === t_ms)?.[1] ?? null;
  };
  const fan = newest ? fanOf(newest, forecasts, measuredAt(newest) ?? last) : [];
  const before = earlier ? fanOf(earlier, forecasts, measuredAt(earlier)) : [];
  const levels = levelsOf(one);
  const ahead_h = forecasts.at(-1)?.horizon_h ?? 0;
  const usual = usualOf(record.issued, field.forecasts);
  const areas: Area[] = [
    ...(usual.length > 1
      ? [{ name: "Usual for the season", colour: "--soft", alpha: 0.16, points: usual }]
      : []),
    ...levels.map((level, i) => ({
      name: `${Math.round(level * 100)} % of outcomes`,
      colour: "--fan",
      alpha: i === 0 ? 0.2 : 0.36,
      points: bandPoints(fan, level),
    })),
    ...(before.length > 0 && levels[0] !== undefined
      ? [
          {
            name: `The same, issued ${aheadText(ahead_h)} ago`,
            colour: "--ahead-3",
            alpha: 0.16,
            points: bandPoints(before, levels[0]),
          },
        ]
      : []),
  ];
  const met = earlier ? truths.filter(({ forecast_id }) => forecast_id === earlier.id) : [];
  const lines: Line[] = [
    ...(before.length > 0
      ? [
          {
            name: `Forecast issued ${aheadText(ahead_h)} ago`,
            colour: "--ahead-3",
            points: lineOf(before),
            dash: [3, 4],
          },
        ]
      : []),
    ...(fan.length > 0 ? [{ name: "Forecast", colour: "--fan", points: lineOf(fan), dash: [7, 4] }] : []),
    { name: "Observed", colour: "--text", points: observed },
  ];
  const anomalies = anomalyMarks(view);
  const text = (value: number) => withUnit(valueText(value, unit), unit);
  const percent = Math.round((levels[0] ?? 0) * 100);
  return (
    <section class="card">
      <h3>
        {titleOf(field.name)} {forecasts.length > 0 ? "observed, and as it is forecast" : "observed"}
      </h3>
      <div class="chart-box">
        {Chart && (
          <Chart
            label={`${titleOf(field.name)} of the last ${spanText((now_ms - from_ms) / 1000)}${newest ? " and its forecast" : ""}; the table below has the numbers.`}
            unit={unitText(unit)}
            lines={lines}
            areas={areas}
            marks={[...met.map(truthMark), ...anomalies]}
            keys={[
              ...(met.length > 0
                ? [
                    { name: `Truth inside the ${percent} % band`, shape: "dot" as const, colour: "--good" },
                    { name: "Truth outside", shape: "cross" as const, colour: "--bad" },
                  ]
                : []),
              ...(anomalies.length > 0
                ? [{ name: "Anomaly", shape: "triangle" as const, colour: "--anomaly" }]
                : []),
            ]}
            from_ms={from_ms}
            to_ms={now_ms + (fan.length > 0 ? ahead_h * HOUR_MS * 1.04 : 0)}
            now_ms={now_ms}
            text={text}
          />
        )}
      </div>
      <TableBehind
        title="As a table"
        heads={[
          "Time, UTC",
          "Observed",
          "Forecast",
          ...levels.map((level) => `${Math.round(level * 100)} % band`),
        ]}
        rows={() => [
          ...fan
            .filter(({ t_ms }) => t_ms > now_ms)
            .toReversed()
            .map(({ t_ms, value, bands }) => [
              utcText(t_ms),
              NONE,
              forecastText(value, unit, bands.at(-1)),
              ...levels.map((level) =>
                rangeText(
                  bands.find((band) => band.level === level),
                  unit,
                ),
              ),
            ]),
          ...observed
            .toReversed()
            .map(([t_ms, value]) => [utcText(t_ms), valueText(value, unit), NONE, ...levels.map(() => NONE)]),
        ]}
      />
    </section>
  );
}
