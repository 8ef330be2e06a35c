// The stations as a list: what the map says, in the order of the keyboard, to be found and sorted.

import { useState } from "preact/hooks";
import { PageLink } from "../link.tsx";
import { linkTo } from "../navigate.ts";
import { Scrolled } from "../scroll.tsx";
import type { StateKind } from "../state.ts";
import { pipeline } from "../store.ts";
import {
  aheadText,
  errorText,
  forecastText,
  NONE,
  rangeText,
  titleOf,
  unitText,
  valueText,
} from "../words.ts";
import type { Look, Row } from "./look.ts";

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

export function List({
  rows,
  look,
  hovered,
  onHover,
}: {
  readonly rows: readonly Row[];
  readonly look: Look;
  readonly hovered: string | null;
  readonly onHover: (id: string | null) => void;
}) {
  const [sort, setSort] = useState<readonly [SortKey, boolean]>(["name", false]);
  const [wanted, setWanted] = useState("");
  const { field, way, forecast } = look;
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
      <Scrolled name="Stations">
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
      </Scrolled>
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
export function Summary({ rows }: { readonly rows: readonly Row[] }) {
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
