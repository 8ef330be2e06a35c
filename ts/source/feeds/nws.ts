// The National Weather Service of the United States (api.weather.gov): a station's own readings, each value with its unit and the
// verdict of a quality control. One station a request; no key, but whoever asks says who it is (User-Agent).
// Source: weather.gov/documentation/services-web-api; the codes are MADIS's (madis.ncep.noaa.gov/madis_sfc_qc_notes.shtml).

import { epochMs } from "../formats/cells.ts";
import {
  type Asked,
  type Feed,
  type Measured,
  type Parsed,
  type Place,
  type Problem,
  type Reading,
  Unusable,
} from "./feed.ts";
import { isObject, type Json, objectOf, parseJson } from "./json.ts";

const QUANTITIES: Readonly<Record<string, string>> = {
  temperature: "air_temperature",
  dewpoint: "dew_point_temperature",
  relativeHumidity: "relative_humidity",
  // The altimeter setting, reduced to sea level; stations report the other one seldom, and a station must not change between two.
  barometricPressure: "air_pressure",
  seaLevelPressure: "air_pressure_at_sea_level",
  windSpeed: "wind_speed",
  windDirection: "wind_from_direction",
  windGust: "wind_speed_of_gust",
  visibility: "visibility_in_air",
  // Of the last hour, whenever the station reported before: not what fell since then.
  precipitationLastHour: "precipitation_amount_last_hour",
};

/** Verdicts after which a value is null: rejected, questioned, judged bad by hand, virtual temperature that could not be made. */
const REFUSED: Readonly<Record<string, string>> = {
  X: "rejected",
  Q: "questioned",
  B: "judged bad",
  T: "not to be computed",
};
/** Not controlled, coarse, screened, verified, judged good by hand. */
const ACCEPTED: readonly string[] = ["Z", "C", "S", "V", "G"];

/** Readings of a station that are looked at: what came while a poll was missed. */
const LIMIT = 6;

export const nws: Feed = {
  name: "nws",
  summary: "US National Weather Service: what stations measured, every 5 to 60 minutes, no key",
  origin: "https://api.weather.gov",
  at: "code",
  words: Object.values(QUANTITIES),
  places_max: 1,
  every_ms: 60_000,
  every_ms_min: 15_000,
  limits: [],
  cost: (places) => places,
  bytes_max: 2_000_000,
  // Most report by the hour, some 20 minutes late.
  stale_ms: 7_200_000,
  request: ({ origin, places }) => ({
    url: `${origin}/stations/${encodeURIComponent(places[0]!.at)}/observations?limit=${LIMIT}`,
    headers: { Accept: "application/geo+json" },
  }),
  parse(body, asked) {
    const value = parseJson(body);
    if (!isObject(value)) throw new Unusable("expected an object, got another kind of JSON");
    const { features, type } = value;
    if (type === "Feature") return readAll([value], asked);
    if (Array.isArray(features) && features.length > 0) return readAll(features, asked);
    const got = Array.isArray(features) ? "an empty list" : JSON.stringify(features ?? null);
    const problem = { key: asked.places[0]!.key, field: null, reason: `expected observations, got ${got}` };
    return { readings: [], problems: [problem] };
  },
};

function readAll(features: readonly unknown[], { places }: Asked): Parsed {
  const place = places[0]!;
  const problems: Problem[] = [];
  const readings = features.flatMap(
    (feature) => readingOf(objectOf(objectOf(feature)["properties"]), place, problems) ?? [],
  );
  return { readings: readings.sort((a, b) => a.time - b.time), problems };
}

function readingOf(properties: Json, { key, at }: Place, problems: Problem[]): Reading | null {
  const bad = (field: string | null, reason: string): null => {
    problems.push({ key, field, reason });
    return null;
  };
  const station = String(properties["station"] ?? properties["stationId"] ?? "")
    .split("/")
    .at(-1)!;
  if (station !== "" && station.toUpperCase() !== at.toUpperCase())
    return bad(null, `expected an observation of ${at}, got one of "${station}"`);
  const time = epochMs(properties["timestamp"]);
  if (typeof time === "string") return bad(null, time);
  const values: Record<string, Measured> = {};
  for (const [name, word] of Object.entries(QUANTITIES)) {
    const quantity = properties[name];
    if (!isObject(quantity)) continue;
    const { value = null, unitCode, qualityControl } = quantity;
    // Where there is no value its unit and verdict say nothing.
    if (value === null) continue;
    const refusal = refusalOf(qualityControl);
    if (refusal !== null) bad(word, refusal);
    else values[word] = { value, unit: unitOf(unitCode) };
  }
  return { key, time, values };
}

function refusalOf(code: unknown): string | null {
  if (code === undefined || code === null || ACCEPTED.includes(String(code))) return null;
  const why = REFUSED[String(code)];
  return `its provider says qualityControl ${JSON.stringify(code)}${why === undefined ? ", a word that is not known" : ` (${why})`}`;
}

/** `wmoUnit:km_h-1`, in older answers `unit:km_h-1`, without its vocabulary. */
const unitOf = (code: unknown): string => String(code ?? "").replace(/^(?:wmoUnit|unit|uc):/, "");
