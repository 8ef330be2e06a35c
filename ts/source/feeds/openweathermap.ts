// OpenWeatherMap, current weather: values of models and stations mixed, a key, a thousand calls a day. One place a request.
// Source: openweathermap.org/current and /full-price. What a place does not have (rain, gust) is absent in an answer.

import { coordinatesOf, type Feed, isNear, type Measured, Unusable } from "./feed.ts";
import { isObject, objectOf, parseJson } from "./json.ts";

const DAY_MS = 86_400_000;

export const openweathermap: Feed = {
  name: "openweathermap",
  summary: "OpenWeatherMap: current weather of any place, with a key and at most 1,000 calls a day",
  origin: "https://api.openweathermap.org",
  at: "coordinates",
  words: [
    ...["air_temperature", "relative_humidity", "air_pressure", "surface_air_pressure"],
    ...["wind_speed", "wind_from_direction", "wind_speed_of_gust", "cloud_area_fraction"],
    ...["visibility_in_air", "precipitation_amount_last_hour", "description"],
  ],
  places_max: 1,
  every_ms: 600_000,
  every_ms_min: 60_000,
  limits: [
    { calls: 60, per_ms: 60_000 },
    { calls: 1_000, per_ms: DAY_MS },
  ],
  cost: (places) => places,
  bytes_max: 500_000,
  stale_ms: 3_600_000,
  key: { parameter: "appid", secret: "openweathermap" },
  request({ origin, places }) {
    const { latitude, longitude } = coordinatesOf(places[0]!.at)!;
    return { url: `${origin}/data/2.5/weather?lat=${latitude}&lon=${longitude}` };
  },
  parse(body, { places }) {
    const { key, at } = places[0]!;
    const answer = parseJson(body);
    if (!isObject(answer)) throw new Unusable("expected an object, got another kind of JSON");
    // A number, in some answers a text.
    if (answer["cod"] !== undefined && Number(answer["cod"]) !== 200)
      throw new Unusable(`it says ${JSON.stringify(answer["cod"])}: ${JSON.stringify(answer["message"])}`);
    const { lat, lon } = objectOf(answer["coord"]);
    if (!isNear(at, lat, lon))
      throw new Unusable(`expected an answer about ${at}, got one about ${lat},${lon}`);
    const dt = answer["dt"];
    if (typeof dt !== "number" || !Number.isInteger(dt))
      throw new Unusable(`expected a time "dt" in epoch seconds, got ${JSON.stringify(dt)}`);
    const [main, wind, rain, snow] = ["main", "wind", "rain", "snow"].map((part) => objectOf(answer[part]));
    const [first] = Array.isArray(answer["weather"]) ? answer["weather"] : [];
    const description = objectOf(first)["description"];
    const measured = (value: unknown, unit: string): Measured => ({ value: value ?? null, unit });
    const values = {
      air_temperature: measured(main!["temp"], "K"),
      relative_humidity: measured(main!["humidity"], "%"),
      air_pressure: measured(main!["sea_level"] ?? main!["pressure"], "hPa"),
      surface_air_pressure: measured(main!["grnd_level"], "hPa"),
      wind_speed: measured(wind!["speed"], "m/s"),
      wind_from_direction: measured(wind!["deg"], "deg"),
      wind_speed_of_gust: measured(wind!["gust"], "m/s"),
      cloud_area_fraction: measured(objectOf(answer["clouds"])["all"], "%"),
      visibility_in_air: measured(answer["visibility"], "m"),
      precipitation_amount_last_hour: measured(fallen(rain!["1h"], snow!["1h"]), "mm"),
      description: typeof description === "string" ? description : null,
    };
    return { readings: [{ key, time: dt * 1000, values }], problems: [] };
  },
};

/** Rain and snow of the last hour together; null when neither is said. */
function fallen(...parts: readonly unknown[]): unknown {
  const said = parts.filter((part) => part !== undefined && part !== null);
  return said.length < 2 ? (said[0] ?? null) : said.reduce((sum: number, part) => sum + Number(part), 0);
}
