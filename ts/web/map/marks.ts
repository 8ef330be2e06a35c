// What the map draws for each station. Pure.

import type { Station } from "../api.ts";
import { bearingOf, columnValue, type Direction } from "../field.ts";
import type { Scale } from "../scale.ts";
import type { StateKind } from "../state.ts";
import { errorText, forecastText, valueText, withUnit } from "../words.ts";
import type { Mark } from "./drawing.tsx";
import type { Look, Row } from "./look.ts";

/** How a station does, as a colour of its own; the shape says it too. */
const STATE_COLOUR: Readonly<Record<StateKind, string | null>> = {
  well: "var(--well)",
  anomaly: "var(--anomaly)",
  stale: "var(--stale)",
  quiet: null,
};

function arrowOf(station: Station, direction: Direction | null, most: number): Mark["arrow"] {
  if (!direction || !(most > 0)) return null;
  const [bearing, magnitude] = [bearingOf(station, direction), columnValue(station, direction.magnitude)];
  return bearing === null || magnitude === null || magnitude <= 0
    ? null
    : { bearing, share: Math.sqrt(magnitude / most) };
}

export function marksOf(
  rows: readonly Row[],
  { field, way, forecast, direction }: Look,
  scale: Scale | null,
  hrefOf: (station_id: string) => string,
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
        href: hrefOf(station_id),
        colour: scale ? (number === null ? null : scale.colour(number)) : STATE_COLOUR[state.kind],
        label: number === null ? "" : label,
        title: `${name}: ${way === "health" || number === null ? state.text : `${withUnit(label, unit)}, ${state.text.toLowerCase()}`}`,
        arrow: arrowOf(station, direction, most),
      },
    ];
  });
}
