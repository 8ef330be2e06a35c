// All stations: on a map where they have places, and as a list that says the same. Which field, coloured by what, at which moment, is in
// the address.

import { useMemo, useState } from "preact/hooks";
import { Choice, FieldChoice } from "../choice.tsx";
import { useMisses } from "../errors.ts";
import { Drawing } from "../map/drawing.tsx";
import { Legend, Shapes } from "../map/legend.tsx";
import { List, Summary } from "../map/list.tsx";
import { lookOf, rowsOf, scaleOf, type Way } from "../map/look.ts";
import { marksOf } from "../map/marks.ts";
import { shown } from "../moment.ts";
import { linkTo, route, show } from "../navigate.ts";
import { useClock } from "../now.tsx";
import { Slider } from "../slider.tsx";
import { stateOf } from "../state.ts";
import { lastHeard, pipeline } from "../store.ts";
import { aheadText, titleOf } from "../words.ts";

const WAY_TEXT: Readonly<Record<Way, string>> = {
  value: "Value",
  forecast: "Forecast",
  error: "Error",
  health: "Health",
};

export function MapPage() {
  const now_ms = useClock(5_000);
  const [hovered, setHovered] = useState<string | null>(null);
  const { value: one } = pipeline;
  const { stations, frontier_ms, at_ms } = shown.value;
  const look = useMemo(() => (one ? lookOf(one, route.value.query) : null), [one, route.value]);
  const misses = useMisses(
    one && look?.way === "error" && look.forecast
      ? { pipeline: one.pipeline, key: one.key, forecast: look.forecast, at_ms }
      : null,
    stations,
  );
  const heard_ms = lastHeard.value;
  const rows =
    one && look && stations
      ? rowsOf(stations, look, misses, (station) =>
          stateOf(station, {
            frontier_ms,
            silent_s: at_ms === null && heard_ms !== null ? (now_ms - heard_ms) / 1000 : null,
            rule: one.stale_after,
          }),
        )
      : [];
  const heard = rows.filter(({ state }) => state.kind !== "quiet");
  const field = look?.field ?? null;
  const way = look?.way ?? "value";
  const scale = field ? scaleOf(rows, field, way) : null;
  // A map that shows where nothing reports would be of somewhere else.
  const marks = look
    ? marksOf(heard.length > 0 ? heard : rows, look, scale, (station) => linkTo({ page: "station", station }))
    : [];
  const placed = marks.length > 0 || stations === null;
  const title =
    field === null
      ? ""
      : way === "value"
        ? titleOf(field.name)
        : way === "forecast"
          ? `${titleOf(field.name)} in ${aheadText(look?.forecast?.horizon_h ?? 0)}`
          : way === "error"
            ? `${titleOf(field.name)}: forecast minus truth, ${aheadText(look?.forecast?.horizon_h ?? 0)} ahead`
            : "";
  return (
    <>
      <div class="bar">
        <div>
          <h2>{titleOf(`${one?.entity ?? "station"}s`)}</h2>
          <Summary rows={rows} />
        </div>
        {/* Empty until it is known what there is to choose: what comes then moves nothing. */}
        <div class="tools">
          {look && (
            <>
              <FieldChoice
                fields={look.fields}
                value={field?.name ?? ""}
                onChoose={(field) => show({ field })}
              />
              <Choice
                legend="Coloured by"
                name="by"
                options={look.ways.map((name) => [name, WAY_TEXT[name]])}
                value={way}
                onChoose={(by) => show({ by: by === "value" ? "" : by })}
              />
              {look.forecast && (
                <Choice
                  legend="Ahead"
                  name="ahead"
                  options={(field?.forecasts ?? []).map(({ horizon, horizon_h }) => [
                    horizon,
                    aheadText(horizon_h),
                  ])}
                  value={look.forecast.horizon}
                  onChoose={(ahead) => show({ ahead })}
                />
              )}
            </>
          )}
        </div>
      </div>
      <div class={placed ? "stations" : "stations placeless"}>
        {placed && (
          <div class="ground">
            <Drawing marks={marks} hovered={hovered} onHover={setHovered} />
            <div class="legends">
              {stations && scale && field && <Legend scale={scale} unit={field.unit} title={title} />}
              {look?.directions[0] && (
                <label class="tick">
                  <input
                    type="checkbox"
                    checked={look.direction !== null}
                    onChange={(event) => show({ arrows: event.currentTarget.checked ? "" : "off" })}
                  />
                  <span>{titleOf(look.directions[0].name)}</span>
                </label>
              )}
              <Shapes />
            </div>
          </div>
        )}
        {look && <List rows={rows} look={look} hovered={hovered} onHover={setHovered} />}
        {!look && <div class="list" />}
      </div>
      <Slider />
    </>
  );
}
