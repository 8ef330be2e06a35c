// What was forecast for each moment, some hours before, against what came.

import type { ComponentType } from "preact";
import { route, show } from "../navigate.ts";
import { TableBehind } from "../table.tsx";
import { utcText } from "../time.ts";
import {
  aheadText,
  errorText,
  forecastText,
  rangeText,
  titleOf,
  unitText,
  valueText,
  withUnit,
} from "../words.ts";
import type { ChartProps } from "./chart.tsx";
import { asIssued, type Point } from "./series.ts";
import { bandPoints, lineOf, truthMark, type View } from "./view.ts";

/** A line for each horizon has a colour of its own. */
const AHEAD_COLOURS = ["--ahead-1", "--ahead-2", "--ahead-3", "--ahead-4"] as const;

export function IssuedChart({
  view,
  Chart,
}: {
  readonly view: View;
  readonly Chart: ComponentType<ChartProps> | null;
}) {
  const { pipeline: one, field, record, observed, from_ms, now_ms, truths } = view;
  const { forecasts, unit } = field;
  const query = route.value.query["ahead"];
  const chosen = forecasts.find(({ horizon }) => horizon === query) ?? forecasts[0]!;
  const within = (points: readonly Point[]) => points.filter(({ t_ms }) => t_ms >= from_ms && t_ms <= now_ms);
  const all = forecasts.map((forecast) => within(asIssued(record.issued, forecast)));
  const own = all[forecasts.indexOf(chosen)]!;
  const level = one.bands.at(-1) ?? 0;
  const percent = Math.round(level * 100);
  const met = truths.filter(({ horizon_h, t_ms }) => horizon_h === chosen.horizon_h && t_ms >= from_ms);
  const value = new Map(observed);
  const colourOf = (i: number) => AHEAD_COLOURS[i % AHEAD_COLOURS.length]!;
  return (
    <section class="card">
      <div class="card-head">
        <h3>What had been forecast, and what came</h3>
        <fieldset class="choice small">
          <legend class="heard">Band and truths of</legend>
          {forecasts.map(({ horizon, horizon_h }) => (
            <label key={horizon} class={horizon === chosen.horizon ? "chosen" : ""}>
              <input
                type="radio"
                name="issued"
                checked={horizon === chosen.horizon}
                onChange={() => show({ ahead: horizon })}
              />
              {aheadText(horizon_h)} before
            </label>
          ))}
        </fieldset>
      </div>
      <div class="chart-box">
        {Chart && (
          <Chart
            label={`${titleOf(field.name)} as it was forecast ${forecasts.map(({ horizon_h }) => aheadText(horizon_h)).join(", ")} before, and as it came; the table below has the numbers.`}
            unit={unitText(unit)}
            lines={[
              ...forecasts.map(({ horizon_h }, i) => ({
                name: `${aheadText(horizon_h)} before`,
                colour: colourOf(i),
                points: lineOf(all[i]!),
                dash: [6, 4],
                width: forecasts[i] === chosen ? 2.4 : 1.3,
              })),
              { name: "Observed", colour: "--text", points: observed },
            ]}
            areas={[
              {
                name: `${percent} % band, ${aheadText(chosen.horizon_h)} before`,
                colour: colourOf(forecasts.indexOf(chosen)),
                alpha: 0.2,
                points: bandPoints(own, level),
              },
            ]}
            marks={met.map(truthMark)}
            keys={
              met.length > 0
                ? [
                    { name: "Truth inside the band", shape: "dot", colour: "--good" },
                    { name: "Truth outside", shape: "cross", colour: "--bad" },
                  ]
                : []
            }
            from_ms={from_ms}
            to_ms={now_ms}
            now_ms={null}
            text={(number) => withUnit(valueText(number, unit), unit)}
          />
        )}
      </div>
      <TableBehind
        title="As a table"
        heads={[
          "For, UTC",
          `Forecast ${aheadText(chosen.horizon_h)} before`,
          `${percent} % band`,
          "Observed",
          "Off by",
        ]}
        rows={() =>
          own.toReversed().map(({ t_ms, value: forecast, bands }) => {
            const truth = value.get(t_ms) ?? null;
            return [
              utcText(t_ms),
              forecastText(forecast, unit, bands.at(-1)),
              rangeText(bands.at(-1), unit),
              valueText(truth, unit),
              errorText(truth === null ? null : forecast - truth, unit),
            ];
          })
        }
      />
    </section>
  );
}
