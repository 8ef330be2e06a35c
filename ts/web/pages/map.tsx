// All stations: on a map where they have places, and as a list that says the same. Which field, coloured by what, at which moment, is in
// the address.

import { useMemo, useState } from "preact/hooks";
import type { Pipeline, Station } from "../api.ts";
import { type Misses, useMisses } from "../errors.ts";
import { bearingOf, columnValue, type Direction, directionsOf, type Field, fieldsOf } from "../field.ts";
import { PageLink } from "../link.tsx";
import { Drawing, type Mark } from "../map/drawing.tsx";
import { shown } from "../moment.ts";
import { linkTo, route, show } from "../navigate.ts";
import { useClock } from "../now.tsx";
import { circleScale, differenceScale, legendColours, type Scale, valueScale } from "../scale.ts";
import { Slider } from "../slider.tsx";
import { type StateKind, type StationState, stateOf } from "../state.ts";
import { lastHeard, pipeline } from "../store.ts";
import {
  aheadText,
  errorText,
  forecastText,
  NONE,
  rangeText,
  titleOf,
  unitText,
  valueText,
  withUnit,
} from "../words.ts";

const WAYS = ["value", "forecast", "error", "health"] as const;
type Way = (typeof WAYS)[number];
const WAY_TEXT: Readonly<Record<Way, string>> = {
  value: "Value",
  forecast: "Forecast",
  error: "Error",
  health: "Health",
};

/** How a station does, as a colour of its own; the shape says it too. */
const STATE_COLOUR: Readonly<Record<StateKind, string | null>> = {
  well: "var(--well)",
  anomaly: "var(--anomaly)",
  stale: "var(--stale)",
  quiet: null,
};

/** One station with everything that is said of it. */
interface Row {
  readonly station: Station;
  readonly state: StationState;
  readonly value: number | null;
  readonly forecast: number | null;
  readonly error: number | null;
}

type SortKey = "name" | "value" | "forecast" | "error";

/** A number that is not there comes last, whichever way it is sorted. */
function sorted(rows: readonly Row[], key: SortKey, descending: boolean): Row[] {
  const sign = descending ? -1 : 1;
  return rows.toSorted((a, b) => {
    if (key === "name") return sign * a.station.name.localeCompare(b.station.name);
    const [x, y] = [a[key], b[key]];
    if (x === null || y === null) return x === y ? 0 : x === null ? 1 : -1;
    return sign * (x - y);
  });
}

function Choice({
  legend,
  name,
  options,
  value,
  onChoose,
}: {
  readonly legend: string;
  readonly name: string;
  readonly options: readonly (readonly [value: string, text: string])[];
  readonly value: string;
  readonly onChoose: (value: string) => void;
}) {
  return (
    <fieldset class="choice">
      <legend>{legend}</legend>
      {options.map(([one, text]) => (
        <label key={one} class={one === value ? "chosen" : ""}>
          <input type="radio" name={name} checked={one === value} onChange={() => onChoose(one)} />
          {text}
        </label>
      ))}
    </fieldset>
  );
}

function Legend({
  scale,
  unit,
  title,
}: {
  readonly scale: Scale;
  readonly unit: string;
  readonly title: string;
}) {
  const colours = legendColours(scale, 24);
  const text = (value: number) =>
    withUnit(Number.isInteger(value) ? valueText(value, "%") : valueText(value, unit), unit);
  return (
    <p class="legend">
      <span>{title}</span>
      <span class="ends">{text(scale.low)}</span>
      <svg width="140" height="12" viewBox="0 0 24 1" preserveAspectRatio="none" aria-hidden="true">
        {colours.map((colour, i) => (
          <rect key={`${i}${colour}`} x={i} width="1.05" height="1" fill={colour} />
        ))}
      </svg>
      <span class="ends">{text(scale.high)}</span>
    </p>
  );
}

function Shapes() {
  const shapes: readonly (readonly [StateKind, string])[] = [
    ["well", "reports"],
    ["anomaly", "anomaly"],
    ["stale", "stale"],
    ["quiet", "not heard of"],
  ];
  return (
    <p class="legend shapes">
      {shapes.map(([kind, text]) => (
        <span key={kind}>
          <i class={`shape ${kind}`} aria-hidden="true" /> {text}
        </span>
      ))}
    </p>
  );
}

/** What the address asks for, as far as the pipeline has it. */
function chosen(one: Pipeline) {
  const { query } = route.value;
  const fields = fieldsOf(one);
  const field = fields.find(({ name }) => name === query["field"]) ?? fields[0] ?? null;
  const ways = WAYS.filter(
    (way) => way === "value" || way === "health" || (field?.forecasts.length ?? 0) > 0,
  );
  const way = ways.find((name) => name === query["by"]) ?? "value";
  const forecast =
    field?.forecasts.find(({ horizon }) => horizon === query["ahead"]) ?? field?.forecasts[0] ?? null;
  const directions = directionsOf(one);
  const direction = query["arrows"] === "off" ? null : (directions[0] ?? null);
  return { fields, field, ways, way, forecast, directions, direction };
}

function rowsOf(
  stations: ReadonlyMap<string, Station>,
  { field, forecast }: ReturnType<typeof chosen>,
  misses: Misses | null,
  stateFor: (station: Station) => StationState,
): Row[] {
  return [...stations.values()].map((station) => ({
    station,
    state: stateFor(station),
    value: columnValue(station, field?.column ?? null),
    forecast: forecast ? (station.forecast?.predictions[forecast.name] ?? null) : null,
    error: misses?.get(station.station_id)?.error ?? null,
  }));
}

function scaleOf(rows: readonly Row[], field: Field, way: Way): Scale | null {
  if (way === "health") return null;
  const numbers = rows.flatMap((row) => {
    const number = row[way];
    return number === null ? [] : [number];
  });
  if (way === "error") return differenceScale(numbers);
  return field.circular ? circleScale() : valueScale(numbers);
}

function marksOf(
  rows: readonly Row[],
  { field, way, forecast, direction }: ReturnType<typeof chosen>,
  scale: Scale | null,
): Mark[] {
  const unit = field?.unit ?? "1";
  const most = Math.max(
    0,
    ...rows.map(({ station }) => columnValue(station, direction?.magnitude ?? null) ?? 0),
  );
  return rows.flatMap(({ station, state, ...numbers }) => {
    const { latitude, longitude, name, station_id } = station;
    if (latitude === null || longitude === null) return [];
    const number = way === "health" ? null : numbers[way];
    const interval = forecast ? station.forecast?.intervals[forecast.name] : null;
    const label =
      way === "health"
        ? ""
        : way === "error"
          ? errorText(number, unit)
          : way === "forecast"
            ? forecastText(number, unit, interval)
            : valueText(number, unit);
    return [
      {
        ...{ id: station_id, name, latitude, longitude, kind: state.kind },
        href: linkTo({ page: "station", station: station_id }),
        colour: scale ? (number === null ? null : scale.colour(number)) : STATE_COLOUR[state.kind],
        label: number === null ? "" : label,
        title: `${name}: ${way === "health" || number === null ? state.text : `${withUnit(label, unit)}, ${state.text.toLowerCase()}`}`,
        arrow: arrowOf(station, direction, most),
      },
    ];
  });
}

function arrowOf(station: Station, direction: Direction | null, most: number): Mark["arrow"] {
  if (!direction || !(most > 0)) return null;
  const [bearing, magnitude] = [bearingOf(station, direction), columnValue(station, direction.magnitude)];
  return bearing === null || magnitude === null || magnitude <= 0
    ? null
    : { bearing, share: Math.sqrt(magnitude / most) };
}

function SortHead({
  text,
  unit,
  name,
  sort,
  onSort,
}: {
  readonly text: string;
  readonly unit?: string;
  readonly name: SortKey;
  readonly sort: readonly [SortKey, boolean];
  readonly onSort: (sort: readonly [SortKey, boolean]) => void;
}) {
  const own = sort[0] === name;
  return (
    <th scope="col" aria-sort={own ? (sort[1] ? "descending" : "ascending") : "none"}>
      <button type="button" class="sort" onClick={() => onSort([name, own ? !sort[1] : name !== "name"])}>
        {text}
        <span aria-hidden="true">{own ? (sort[1] ? " ↓" : " ↑") : ""}</span>
      </button>
      <span class="unit">{unit ?? ""}</span>
    </th>
  );
}

function List({
  rows,
  choice,
  hovered,
  onHover,
}: {
  readonly rows: readonly Row[];
  readonly choice: ReturnType<typeof chosen>;
  readonly hovered: string | null;
  readonly onHover: (id: string | null) => void;
}) {
  const [sort, setSort] = useState<readonly [SortKey, boolean]>(["name", false]);
  const [wanted, setWanted] = useState("");
  const { field, way, forecast } = choice;
  const unit = field?.unit ?? "1";
  const found = rows.filter(({ station }) =>
    `${station.name} ${station.station_id}`.toLowerCase().includes(wanted.trim().toLowerCase()),
  );
  const shownRows = sorted(found, sort[0], sort[1]);
  const head = { sort, onSort: setSort };
  return (
    <div class="list">
      <label class="find">
        <span>Find</span>
        <input
          type="search"
          autocomplete="off"
          value={wanted}
          onInput={(event) => setWanted(event.currentTarget.value)}
        />
      </label>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: whoever has only a keyboard could not scroll it. */}
      <section class="scroll" aria-label="Stations" tabIndex={0}>
        <table>
          <thead>
            <tr>
              <SortHead text={titleOf(pipeline.value?.entity ?? "station")} name="name" {...head} />
              {way === "error" && <SortHead text="Error" unit={unitText(unit)} name="error" {...head} />}
              {field?.column && (
                <SortHead text={titleOf(field.name)} unit={unitText(unit)} name="value" {...head} />
              )}
              {forecast && (
                <SortHead
                  text={`In ${aheadText(forecast.horizon_h)}`}
                  unit={unitText(unit)}
                  name="forecast"
                  {...head}
                />
              )}
            </tr>
          </thead>
          <tbody>
            {shownRows.map(({ station, state, value, forecast: ahead, error }) => {
              const interval = forecast ? station.forecast?.intervals[forecast.name] : null;
              return (
                <tr
                  key={station.station_id}
                  class={station.station_id === hovered ? "hovered" : ""}
                  onPointerEnter={() => onHover(station.station_id)}
                  onPointerLeave={() => onHover(null)}
                >
                  <th scope="row">
                    <PageLink href={linkTo({ page: "station", station: station.station_id })}>
                      {station.name}
                    </PageLink>
                    <small class={state.kind} title={state.detail}>
                      <i class={`shape ${state.kind}`} aria-hidden="true" /> {state.text}
                    </small>
                  </th>
                  {way === "error" && <td>{errorText(error, unit)}</td>}
                  {field?.column && <td>{valueText(value, unit)}</td>}
                  {forecast && (
                    <td>
                      <b>{forecastText(ahead, unit, interval)}</b>
                      <small>{rangeText(interval, unit)}</small>
                    </td>
                  )}
                </tr>
              );
            })}
          </tbody>
        </table>
      </section>
      <p class="note">
        {wanted !== "" && found.length === 0
          ? `No ${pipeline.value?.entity ?? "station"} is called so.`
          : forecast
            ? `Below a forecast the interval that should hold ${Math.round((pipeline.value?.bands.at(-1) ?? 0) * 100)} % of outcomes.`
            : NONE}
      </p>
    </div>
  );
}

/** One line on all of them. */
function Summary({ rows }: { readonly rows: readonly Row[] }) {
  const count = (kind: StateKind) => rows.filter(({ state }) => state.kind === kind).length;
  const reporting = rows.length - count("quiet");
  const parts = [
    `${reporting} reporting`,
    ...(pipeline.value?.parts.includes("anomaly") ? [`${count("anomaly")} with an anomaly`] : []),
    `${count("stale")} stale`,
    ...(count("quiet") > 0 ? [`${count("quiet")} not heard of`] : []),
  ];
  return <p class="summary">{rows.length === 0 ? "Nothing has reported yet" : parts.join(" · ")}</p>;
}

export function MapPage() {
  const now_ms = useClock(5_000);
  const [hovered, setHovered] = useState<string | null>(null);
  const { value: one } = pipeline;
  const { stations, frontier_ms, at_ms } = shown.value;
  const choice = useMemo(() => (one ? chosen(one) : null), [one, route.value]);
  const misses = useMisses(
    one && choice?.way === "error" && choice.forecast
      ? { pipeline: one.pipeline, key: one.key, forecast: choice.forecast, at_ms }
      : null,
    stations,
  );
  const heard_ms = lastHeard.value;
  const rows =
    one && choice && stations
      ? rowsOf(stations, choice, misses, (station) =>
          stateOf(station, {
            frontier_ms,
            silent_s: at_ms === null && heard_ms !== null ? (now_ms - heard_ms) / 1000 : null,
            rule: one.stale_after,
          }),
        )
      : [];
  const heard = rows.filter(({ state }) => state.kind !== "quiet");
  const field = choice?.field ?? null;
  const way = choice?.way ?? "value";
  const scale = field ? scaleOf(rows, field, way) : null;
  // A map that shows where nothing reports would be of somewhere else.
  const marks = choice ? marksOf(heard.length > 0 ? heard : rows, choice, scale) : [];
  const placed = marks.length > 0 || stations === null;
  const title =
    field === null
      ? ""
      : way === "value"
        ? titleOf(field.name)
        : way === "forecast"
          ? `${titleOf(field.name)} in ${aheadText(choice?.forecast?.horizon_h ?? 0)}`
          : way === "error"
            ? `${titleOf(field.name)}: forecast minus truth, ${aheadText(choice?.forecast?.horizon_h ?? 0)} ahead`
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
          {choice && (
            <>
              <label>
                <span>Field</span>
                <select
                  value={field?.name ?? ""}
                  onChange={(event) => show({ field: event.currentTarget.value })}
                >
                  {choice.fields.map(({ name }) => (
                    <option key={name} value={name}>
                      {titleOf(name)}
                    </option>
                  ))}
                </select>
              </label>
              <Choice
                legend="Coloured by"
                name="by"
                options={choice.ways.map((name) => [name, WAY_TEXT[name]])}
                value={way}
                onChoose={(by) => show({ by: by === "value" ? "" : by })}
              />
              {choice.forecast && (
                <Choice
                  legend="Ahead"
                  name="ahead"
                  options={(field?.forecasts ?? []).map(({ horizon, horizon_h }) => [
                    horizon,
                    aheadText(horizon_h),
                  ])}
                  value={choice.forecast.horizon}
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
              {choice?.directions[0] && (
                <label class="tick">
                  <input
                    type="checkbox"
                    checked={choice.direction !== null}
                    onChange={(event) => show({ arrows: event.currentTarget.checked ? "" : "off" })}
                  />
                  <span>{titleOf(choice.directions[0].name)}</span>
                </label>
              )}
              <Shapes />
            </div>
          </div>
        )}
        {choice && <List rows={rows} choice={choice} hovered={hovered} onHover={setHovered} />}
        {!choice && <div class="list" />}
      </div>
      <Slider />
    </>
  );
}
