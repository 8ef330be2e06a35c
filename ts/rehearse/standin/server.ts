// A server in the form of the feeds, for a machine without internet: Open-Meteo (present, past, names of places) and the National
// Weather Service. Its weather is made up (weather.ts), and every answer says so in a header.

import { createServer, type Server } from "node:http";
import { keyOfPlace } from "../../source/feeds/geocode.ts";
import { MADE_UP } from "../../source/poll/poll.ts";
import { type Weather, weatherAt } from "./weather.ts";

const QUARTER_MS = 900_000;
const HOUR_MS = 3_600_000;
/** The longest past that one request gets: what the forecast's own host has. */
const HOURS_MAX = 120 * 24;

/** Places and stations that a demo asks for by name; any other name gets a place of its own, on land or not. */
const CITIES: Readonly<Record<string, readonly [number, number, string]>> = {
  "new-york": [40.71427, -74.00597, "United States"],
  chicago: [41.85003, -87.65005, "United States"],
  denver: [39.73915, -104.9847, "United States"],
  seattle: [47.60621, -122.33207, "United States"],
  miami: [25.77427, -80.19366, "United States"],
  lisbon: [38.71667, -9.13333, "Portugal"],
  oslo: [59.91273, 10.74609, "Norway"],
  london: [51.50853, -0.12574, "United Kingdom"],
  tokyo: [35.6895, 139.69171, "Japan"],
  sydney: [-33.86785, 151.20732, "Australia"],
  knyc: [40.78333, -73.96667, "United States"],
  kbos: [42.36057, -71.00975, "United States"],
  kord: [41.96019, -87.93162, "United States"],
  kden: [39.84658, -104.65622, "United States"],
  ksea: [47.44472, -122.31361, "United States"],
};

const UNITS: Readonly<Record<keyof Weather, string>> = {
  temperature_2m: "°C",
  relative_humidity_2m: "%",
  pressure_msl: "hPa",
  wind_speed_10m: "km/h",
  wind_direction_10m: "°",
  precipitation: "mm",
};

const minute = (ms: number): string => new Date(ms).toISOString().slice(0, 16);

/** What is answered to a path; null for a path that no feed of ours has. */
export function answerTo(path: string, now_ms: number): object | null {
  const url = new URL(path, "http://stand-in");
  const get = (name: string): string => url.searchParams.get(name) ?? "";
  const station = /^\/stations\/([A-Za-z0-9]+)(\/observations)?$/.exec(url.pathname);
  if (station !== null) return stationAnswer(station[1]!, station[2] === undefined, now_ms);
  if (url.pathname === "/v1/search") return { results: [placeNamed(get("name"))] };
  if (url.pathname !== "/v1/forecast" && url.pathname !== "/v1/archive") return null;
  const numbers = (name: string): number[] => get(name).split(",").map(Number);
  const longitudes = numbers("longitude");
  const answers = numbers("latitude").map((latitude, i) =>
    placeAnswer(latitude, longitudes[i] ?? 0, (name) => get(name), now_ms),
  );
  return answers.length === 1 ? answers[0]! : answers;
}

function placeAnswer(
  latitude: number,
  longitude: number,
  get: (name: string) => string,
  now_ms: number,
): object {
  const at = (time_ms: number) => weatherAt(latitude, longitude, time_ms);
  const answer: Record<string, unknown> = {
    latitude,
    longitude,
    utc_offset_seconds: 0,
    timezone: "GMT",
    elevation: 20,
  };
  const names = (list: string) => list.split(",").filter((name): name is keyof Weather => name in UNITS);
  const units = (list: string) => ({
    time: "iso8601",
    ...Object.fromEntries(names(list).map((name) => [name, UNITS[name]])),
  });
  const columns = (list: string, times: readonly number[], amounts: number) => ({
    time: times.map(minute),
    ...Object.fromEntries(
      names(list).map((name) => [
        name,
        times.map((t) => (name === "precipitation" ? amounts * at(t)[name] : at(t)[name])),
      ]),
    ),
  });
  const quarter = Math.floor(now_ms / QUARTER_MS) * QUARTER_MS;
  if (get("current") !== "") {
    const now = at(quarter);
    answer["current_units"] = { ...units(get("current")), interval: "seconds" };
    answer["current"] = {
      time: minute(quarter),
      interval: 900,
      ...Object.fromEntries(names(get("current")).map((name) => [name, now[name]])),
    };
  }
  if (get("minutely_15") !== "") {
    const count = Math.min(96, Number(get("past_minutely_15")) || 0);
    const times = Array.from({ length: count + 1 }, (_, i) => quarter - (count - i) * QUARTER_MS);
    answer["minutely_15_units"] = units(get("minutely_15"));
    answer["minutely_15"] = columns(get("minutely_15"), times, 1);
  }
  if (get("hourly") !== "") {
    const first = Date.parse(`${get("start_date")}T00:00Z`);
    const last = Date.parse(`${get("end_date")}T23:00Z`);
    const count = Math.min(HOURS_MAX, Math.max(0, Math.floor((last - first) / HOUR_MS) + 1)) || 0;
    answer["hourly_units"] = units(get("hourly"));
    answer["hourly"] = columns(
      get("hourly"),
      Array.from({ length: count }, (_, i) => first + i * HOUR_MS),
      4,
    );
  }
  return answer;
}

function placeNamed(name: string) {
  const known = CITIES[keyOfPlace(name)];
  if (known !== undefined) return { name, latitude: known[0], longitude: known[1], country: known[2] };
  const sum = [...name].reduce((total, letter) => (total * 31 + letter.codePointAt(0)!) % 100_003, 7);
  return { name, latitude: (sum % 120) - 55, longitude: (sum % 359) - 179, country: "nowhere" };
}

/** A station of the National Weather Service: five readings, ten minutes apart. */
function stationAnswer(code: string, itself: boolean, now_ms: number): object {
  const { latitude, longitude } = placeNamed(code);
  const geometry = { type: "Point", coordinates: [longitude, latitude] };
  if (itself) return { type: "Feature", geometry, properties: { stationIdentifier: code, name: code } };
  const newest = Math.floor(now_ms / 600_000) * 600_000;
  const measured = (value: number, unit: string) => ({
    unitCode: `wmoUnit:${unit}`,
    value,
    qualityControl: "V",
  });
  const features = Array.from({ length: 5 }, (_, i) => {
    const time_ms = newest - i * 600_000;
    const w = weatherAt(latitude, longitude, time_ms);
    return {
      type: "Feature",
      geometry,
      properties: {
        station: `https://api.weather.gov/stations/${code}`,
        timestamp: new Date(time_ms).toISOString(),
        temperature: measured(w.temperature_2m, "degC"),
        relativeHumidity: measured(w.relative_humidity_2m, "percent"),
        barometricPressure: measured(100 * w.pressure_msl, "Pa"),
        windSpeed: measured(w.wind_speed_10m, "km_h-1"),
        windDirection: measured(w.wind_direction_10m, "degree_(angle)"),
      },
    };
  });
  return { type: "FeatureCollection", features };
}

/** Answers on 127.0.0.1 until closed. */
export async function startStandin(port: number, nowMs: () => number = Date.now): Promise<Server> {
  const server = createServer((request, response) => {
    const value = request.method === "GET" ? answerTo(request.url ?? "/", nowMs()) : null;
    const status = value === null ? 404 : 200;
    response.writeHead(status, { "content-type": "application/json", [MADE_UP]: "yes" });
    response.end(
      JSON.stringify(value ?? { title: "Not Found", detail: "This is a stand-in for live feeds" }),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  return server;
}
