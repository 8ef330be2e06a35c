// Open-Meteo: model values of any place on earth every quarter of an hour, no key. Several places a request. Asks for `current`, and
// for the quarters of an hour that were missed; for the past whole hours (history). What lies after its own `current` is the
// provider's forecast and no observation.
// Source: open-meteo.com/en/docs and /en/docs/historical-weather-api; /en/pricing for what counts as a call.

import {
  type Asked,
  coordinatesOf,
  type Feed,
  isNear,
  type Measured,
  type Parsed,
  type Place,
  type Problem,
  type Reading,
  Unusable,
} from "./feed.ts";
import { isObject, type Json, objectOf, parseJson } from "./json.ts";

/** Its variables, each by the quantity it is. Legacy names are read and never asked for. */
const VARIABLES: Readonly<Record<string, { readonly word: string; readonly unit: string }>> = {
  temperature_2m: { word: "air_temperature", unit: "degC" },
  relative_humidity_2m: { word: "relative_humidity", unit: "%" },
  pressure_msl: { word: "air_pressure", unit: "hPa" },
  surface_pressure: { word: "surface_air_pressure", unit: "hPa" },
  wind_speed_10m: { word: "wind_speed", unit: "km/h" },
  wind_direction_10m: { word: "wind_from_direction", unit: "deg" },
  wind_gusts_10m: { word: "wind_speed_of_gust", unit: "km/h" },
  precipitation: { word: "precipitation_amount", unit: "mm" },
  cloud_cover: { word: "cloud_area_fraction", unit: "%" },
};
const LEGACY: Readonly<Record<string, string>> = {
  relativehumidity_2m: "relative_humidity_2m",
  windspeed_10m: "wind_speed_10m",
  winddirection_10m: "wind_direction_10m",
  windgusts_10m: "wind_gusts_10m",
  cloudcover: "cloud_cover",
};

const QUARTER_MS = 900_000;
const DAY_MS = 86_400_000;
/** Most quarters of an hour that are asked for again after an outage: a day. */
const MISSED_MAX = 96;

export const ARCHIVE_ORIGIN = "https://archive-api.open-meteo.com";
/** How far back the forecast's own host has hours; before that it is the archive's. */
export const PAST_DAYS_MAX = 92;

export const openMeteo: Feed = {
  name: "open-meteo",
  summary: "Open-Meteo: values of weather models for any place, every 15 minutes, no key",
  origin: "https://api.open-meteo.com",
  at: "coordinates",
  words: [...new Set(Object.values(VARIABLES).map(({ word }) => word))],
  places_max: 50,
  every_ms: QUARTER_MS,
  every_ms_min: 60_000,
  // For use that is not commercial. Each place counts as a call of its own.
  limits: [
    { calls: 600, per_ms: 60_000 },
    { calls: 5_000, per_ms: 3_600_000 },
    { calls: 10_000, per_ms: DAY_MS },
  ],
  cost: (places) => places,
  bytes_max: 5_000_000,
  stale_ms: 3_600_000,
  request(asked) {
    const missed = missedOf(asked);
    const names = variablesOf(asked.wanted);
    return {
      url: urlOf(`${asked.origin}/v1/forecast`, asked.places, {
        current: names,
        ...(missed > 0
          ? { minutely_15: names, past_minutely_15: String(missed), forecast_minutely_15: "1" }
          : {}),
      }),
    };
  },
  parse: (body, asked) => parseAnswer(body, asked),
};

/** Hours of the past, oldest first: one request a batch of places. `to_ms` is exclusive; days are whole and in UTC. */
export function historyRequest(asked: Asked, from_ms: number, to_ms: number): string {
  const hourly = variablesOf(asked.wanted);
  const range = { start_date: dayIn(from_ms), end_date: dayIn(to_ms - 1) };
  const recent = from_ms >= asked.now_ms - PAST_DAYS_MAX * DAY_MS;
  const archive = asked.origin === openMeteo.origin ? ARCHIVE_ORIGIN : asked.origin;
  return recent
    ? urlOf(`${asked.origin}/v1/forecast`, asked.places, { hourly, ...range })
    : urlOf(`${archive}/v1/archive`, asked.places, { hourly, ...range });
}

const dayIn = (ms: number): string => new Date(ms).toISOString().slice(0, 10);

function variablesOf(wanted: readonly string[]): string {
  const names = Object.entries(VARIABLES).filter(([, { word }]) => wanted.includes(word));
  return names.map(([name]) => name).join(",");
}

function urlOf(path: string, places: readonly Place[], parameters: Readonly<Record<string, string>>): string {
  const at = places.map((place) => coordinatesOf(place.at)!);
  const all = {
    latitude: at.map(({ latitude }) => latitude).join(","),
    longitude: at.map(({ longitude }) => longitude).join(","),
    ...parameters,
    timezone: "GMT",
  };
  return `${path}?${Object.entries(all)
    .map(([name, value]) => `${name}=${value}`)
    .join("&")}`;
}

/** Whole quarters of an hour between what was sent of the places and now, beyond the one that `current` brings. */
function missedOf({ places, since, now_ms }: Asked): number {
  const newest = places.flatMap(({ key }) => since.get(key) ?? []);
  if (newest.length === 0) return 0;
  const gap = Math.floor((now_ms - Math.min(...newest)) / QUARTER_MS) - 1;
  return Math.min(MISSED_MAX, Math.max(0, gap));
}

function parseAnswer(body: Buffer, asked: Asked): Parsed {
  const value = parseJson(body);
  if (isObject(value) && value["error"] === true)
    throw new Unusable(`it says ${JSON.stringify(value["reason"])}`);
  // One place is answered by itself, several as a list in the order they were asked for.
  const answers = Array.isArray(value) ? value : [value];
  if (answers.length !== asked.places.length)
    throw new Unusable(`expected an answer for each of ${asked.places.length} places, got ${answers.length}`);
  const readings: Reading[] = [];
  const problems: Problem[] = [];
  for (const [at, place] of asked.places.entries()) {
    const answer = objectOf(answers[at]);
    const bad = (reason: string): void => void problems.push({ key: place.key, field: null, reason });
    if (!isNear(place.at, answer["latitude"], answer["longitude"]))
      bad(`expected an answer about ${place.at}, got one about ${answer["latitude"]},${answer["longitude"]}`);
    else readings.push(...readingsOf(place, answer, asked.now_ms, bad));
  }
  return { readings, problems };
}

/** Of one place, by time; of two blocks with the same time `current` counts. */
function readingsOf(place: Place, answer: Json, now_ms: number, bad: (reason: string) => void): Reading[] {
  const byTime = new Map<number, Reading>();
  const offset_ms = Number(answer["utc_offset_seconds"] ?? 0) * 1000;
  const current = answer["current"];
  let end_ms = now_ms;
  const add = (time: unknown, values: Reading["values"]): number | null => {
    const ms = timeOf(time, offset_ms);
    if (ms === null) bad(`expected a time, got ${JSON.stringify(time)}`);
    else byTime.set(ms, { key: place.key, time: ms, values });
    return ms;
  };
  if (isObject(current)) {
    const values = valuesIn(current, objectOf(answer["current_units"]), (cell) => cell);
    end_ms = add(current["time"], values) ?? now_ms;
  }
  for (const block of ["minutely_15", "hourly"]) {
    const columns = answer[block];
    if (!isObject(columns)) continue;
    const times = Array.isArray(columns["time"]) ? columns["time"] : [];
    for (const [row, time] of times.entries()) {
      const ms = timeOf(time, offset_ms);
      // What is still to come is a forecast.
      if (ms !== null && (ms > end_ms || ms > now_ms || byTime.has(ms))) continue;
      add(
        time,
        valuesIn(columns, objectOf(answer[`${block}_units`]), (cell) =>
          Array.isArray(cell) ? cell[row] : null,
        ),
      );
    }
  }
  if (byTime.size === 0) bad('expected values under "current", got none');
  return [...byTime.values()].sort((a, b) => a.time - b.time);
}

function valuesIn(block: Json, units: Json, cell: (column: unknown) => unknown): Record<string, Measured> {
  const values: Record<string, Measured> = {};
  for (const [name, column] of Object.entries(block)) {
    const variable = VARIABLES[LEGACY[name] ?? name];
    if (variable === undefined) continue;
    const unit = units[name];
    values[variable.word] = {
      value: cell(column) ?? null,
      unit: typeof unit === "string" ? unit : variable.unit,
    };
  }
  return values;
}

const LOCAL = /^(\d{4}-\d\d-\d\dT\d\d:\d\d)(?::\d\d)?$/;

/** A time without an offset, in the answer's own, or epoch seconds. */
function timeOf(time: unknown, offset_ms: number): number | null {
  if (typeof time === "number") return time * 1000;
  const local = typeof time === "string" ? LOCAL.exec(time) : null;
  const ms = local === null ? Number.NaN : Date.parse(`${local[1]}:00Z`) - offset_ms;
  return Number.isFinite(ms) ? ms : null;
}
