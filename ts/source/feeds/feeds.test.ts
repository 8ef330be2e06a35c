// Each feed over answers in its form: those in fixtures, made for this, and recordings where FEED_SAMPLES names a folder of them (in it
// nws/*.json, open-meteo/*.json, openweathermap/*.json, *.pb). Held against an oracle of a few obvious lines a feed, which knows
// neither the table of units nor the loop.

import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import bindings from "gtfs-realtime-bindings";
import { describe, expect, it } from "vitest";
import { parseObservation } from "../../contract/index.ts";
import { type FeedName, pipelineOf } from "../../pipelines/index.ts";
import type { SourceContract } from "../formats/cells.ts";
import { observerOf, wantedOf } from "../poll/observe.ts";
import type { Observation } from "../row.ts";
import { type Asked, type Parsed, type Problem, Unusable } from "./feed.ts";
import { FEEDS } from "./index.ts";
import { historyRequest } from "./open_meteo.ts";

const { FeedMessage } = bindings.transit_realtime;
const weather: SourceContract = pipelineOf("weather").contract;
const vehicles: SourceContract = parseObservation(
  readFileSync(join(import.meta.dirname, "..", "..", "test", "feeds", "vehicle_position.avsc"), "utf8"),
  "vehicle_position",
);

const FIXTURES = join(import.meta.dirname, "fixtures");
const SAMPLES = process.env["FEED_SAMPLES"];

interface File {
  readonly name: string;
  readonly feed: FeedName;
  readonly path: string;
}

function filesIn(folder: string): File[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).flatMap((entry) => {
    const path = join(entry.parentPath, entry.name);
    const parts = path.split("/").slice(0, -1);
    const feed = (Object.keys(FEEDS) as FeedName[]).find((name) => parts.includes(name));
    if (!entry.isFile()) return [];
    if (entry.name.endsWith(".pb"))
      return [{ name: `gtfs-rt/${entry.name}`, feed: "gtfs-rt" as const, path }];
    return feed !== undefined && entry.name.endsWith(".json")
      ? [{ name: `${feed}/${entry.name}`, feed, path }]
      : [];
  });
}

const files = [...filesIn(FIXTURES), ...(SAMPLES ? filesIn(SAMPLES) : [])];

/** The bytes a server would answer with. */
function bodyOf({ feed, path }: File): Buffer {
  const bytes = readFileSync(path);
  if (feed !== "gtfs-rt" || path.endsWith(".pb")) return bytes;
  return Buffer.from(FeedMessage.encode(FeedMessage.fromObject(JSON.parse(bytes.toString()))).finish());
}

// biome-ignore lint/suspicious/noExplicitAny: the oracle reads answers as they are.
type Any = any;

/** What was asked for an answer to be this one. */
function askedFor({ feed }: File, body: Buffer): Asked {
  const of = (places: Asked["places"], now_ms: number): Asked => ({
    ...{ places, now_ms, since: new Map(), wanted: wantedOf(feed === "gtfs-rt" ? vehicles : weather) },
    origin: FEEDS[feed].origin ?? "",
  });
  if (feed === "gtfs-rt") return of([{ key: "", at: "https://agency.example/vehicles.pb" }], 4e12);
  const value: Any = JSON.parse(body.toString());
  if (feed === "nws") {
    const [first] = value.features ?? [value];
    const { station = "", stationId = "KAAA" } = first?.properties ?? {};
    return of([{ key: "a", at: station.split("/").at(-1) || stationId }], 4e12);
  }
  if (feed === "openweathermap")
    return of([{ key: "a", at: `${value.coord?.lat ?? 0},${value.coord?.lon ?? 0}` }], 4e12);
  const answers: Any[] = [value].flat();
  const [{ current, utc_offset_seconds = 0, hourly }] = answers;
  const end = current?.time ?? hourly?.time?.at(Math.floor(hourly.time.length / 2)) ?? "2026-06-01T00:00";
  return of(
    answers.map(({ latitude = 0, longitude = 0 }, i) => ({ key: `p${i}`, at: `${latitude},${longitude}` })),
    Date.parse(`${end}:00Z`) - utc_offset_seconds * 1000,
  );
}

const close = (value: unknown, wanted: number | null): void => {
  if (wanted === null) expect(value).toBeNull();
  else expect(value).toBeCloseTo(wanted, 6);
};

/** Everything that can be observed in an answer, by the contract, and what could not be used. */
function observed(
  file: File,
  body = bodyOf(file),
  asked = askedFor(file, body),
): { rows: Observation[]; problems: Problem[] } {
  const parsed: Parsed = FEEDS[file.feed].parse(body, asked);
  const problems = [...parsed.problems];
  const observe = observerOf(file.feed === "gtfs-rt" ? vehicles : weather);
  return {
    rows: parsed.readings.flatMap((reading) => observe(reading, (p) => problems.push(p)) ?? []),
    problems,
  };
}

/** Null where the answer as a whole is of no use. */
function usable(file: File): ReturnType<typeof observed> | null {
  try {
    return observed(file);
  } catch (error) {
    expect(error, file.name).toBeInstanceOf(Unusable);
    expect((error as Error).message).toMatch(/^(?:expected .+, got .+|it says .+)/s);
    return null;
  }
}

const C = (value: number, unit: string): number =>
  unit.endsWith("F") ? ((value - 32) * 5) / 9 : unit === "K" ? value - 273.15 : value;
const MS: Readonly<Record<string, number>> = {
  "km/h": 1 / 3.6,
  "km_h-1": 1 / 3.6,
  "m_s-1": 1,
  "m/s": 1,
  mph: 0.44704,
};
const HPA: Readonly<Record<string, number>> = { Pa: 0.01, hPa: 1 };

describe.each(files)("$name", (file) => {
  it("is read as its oracle reads it", () => {
    const body = bodyOf(file);
    const read = usable(file);
    if (file.feed === "gtfs-rt") return judgeVehicles(body, read);
    const value: Any = JSON.parse(body.toString());
    if (file.feed === "nws") return judgeStations(value, read!);
    if (file.feed === "openweathermap") return judgePlace(value, read);
    return judgeModel(value, read, askedFor(file, body).now_ms);
  });
});

function judgeStations(value: Any, { rows, problems }: ReturnType<typeof observed>): void {
  const features: Any[] = value.type === "Feature" ? [value] : (value.features ?? []);
  if (features.length === 0) expect([rows.length, problems.length]).toEqual([0, 1]);
  const whole = features.filter(({ properties }) => properties?.timestamp);
  expect(rows.map(({ time }) => time)).toEqual(
    whole.map(({ properties }) => Date.parse(properties.timestamp)).sort((a, b) => a - b),
  );
  for (const { properties } of whole) {
    const { record } = rows.find(({ time }) => time === Date.parse(properties.timestamp))!;
    const said = (name: string, factor: (value: number, unit: string) => number): number | null => {
      const { value: given = null, unitCode = "", qualityControl = "V" } = properties[name] ?? {};
      const number = Number(given);
      if (given === null || given === "" || !"ZCSVG".includes(qualityControl) || !Number.isFinite(number))
        return null;
      const converted = factor(number, String(unitCode).split(":").at(-1)!);
      return Number.isFinite(converted) ? converted : null;
    };
    close(record["temperature"], said("temperature", C));
    close(
      record["humidity"],
      said("relativeHumidity", (v) => v),
    );
    close(
      record["pressure"],
      said("barometricPressure", (v, unit) => v * HPA[unit]!),
    );
    close(
      record["wind_speed"],
      said("windSpeed", (v, unit) => v * MS[unit]!),
    );
    close(
      record["wind_direction"],
      said("windDirection", (v, unit) => (unit === "degree_(angle)" ? v : Number.NaN)),
    );
    expect(record["precipitation"]).toBeNull();
  }
}

function judgePlace(value: Any, read: ReturnType<typeof observed> | null): void {
  if (value.dt === undefined || Number(value.cod ?? 200) !== 200) {
    expect(read).toBeNull();
    return;
  }
  const [{ time, record }] = read!.rows as [Observation];
  expect(time).toBe(value.dt * 1000);
  close(record["temperature"], value.main.temp - 273.15);
  close(record["humidity"], value.main.humidity ?? null);
  close(record["pressure"], value.main.sea_level ?? value.main.pressure ?? null);
  close(record["wind_speed"], value.wind?.speed ?? null);
  close(record["wind_direction"], value.wind?.deg ?? null);
  expect(record["precipitation"]).toBeNull();
}

function judgeModel(value: Any, read: ReturnType<typeof observed> | null, now_ms: number): void {
  if (value.error === true) {
    expect(read).toBeNull();
    return;
  }
  for (const [i, answer] of [value].flat().entries()) {
    const rows = read!.rows.filter(({ key }) => key === `p${i}`);
    const { current, current_units: units = {}, utc_offset_seconds: offset = 0 } = answer;
    const time = (text: string): number => Date.parse(`${text}:00Z`) - offset * 1000;
    if (current !== undefined) {
      const { record } = rows.find((row) => row.time === time(current.time))!;
      const { temperature_2m: t = null, wind_speed_10m: w = null, relative_humidity_2m: h = null } = current;
      close(record["temperature"], t === null ? null : C(t, units.temperature_2m));
      close(record["wind_speed"], w === null ? null : w * MS[units.wind_speed_10m]!);
      close(record["humidity"], h);
      close(record["pressure"], current.pressure_msl ?? null);
      close(record["precipitation"], current.precipitation ?? null);
    }
    for (const block of ["minutely_15", "hourly"])
      for (const [at, text] of (answer[block]?.time ?? []).entries()) {
        const row = rows.find((known) => known.time === time(text));
        expect(row !== undefined).toBe(time(text) <= now_ms);
        const t = answer[block].temperature_2m?.[at] ?? null;
        if (row !== undefined && time(text) !== (current && time(current.time)))
          close(row.record["temperature"], t === null ? null : C(t, answer[`${block}_units`].temperature_2m));
      }
  }
}

function judgeVehicles(body: Buffer, read: ReturnType<typeof observed> | null): void {
  let message: Any;
  try {
    message = FeedMessage.toObject(FeedMessage.decode(body), { longs: Number, enums: String });
  } catch {
    expect(read).toBeNull();
    return;
  }
  const seen: Any[] = (message.entity ?? []).filter((entity: Any) => entity.vehicle && !entity.isDeleted);
  if (seen.length === 0 && (message.entity ?? []).length > 0) {
    expect(read).toBeNull();
    return;
  }
  const { rows, problems } = read!;
  const whole = seen.filter(({ vehicle: { position, vehicle, timestamp } }) => {
    const { latitude: north = Number.NaN, longitude: east = Number.NaN } = position ?? {};
    const placed = Math.abs(north) <= 90 && Math.abs(east) <= 180 && !(north === 0 && east === 0);
    // 3e9 s is the year 2065: refused by the loop, which knows the time; 1e14 is no year at all.
    return placed && (vehicle?.id || vehicle?.label) && (timestamp || message.header.timestamp) > 0;
  });
  expect(rows).toHaveLength(whole.length);
  expect(rows.length + problems.filter(({ field }) => field === null).length).toBe(seen.length);
  for (const {
    vehicle: { position, vehicle, timestamp, trip, occupancyStatus },
  } of whole) {
    const time = (timestamp || message.header.timestamp) * 1000;
    const row = rows.find((known) => known.key === (vehicle.id || vehicle.label) && known.time === time)!;
    close(row.record["latitude"], position.latitude);
    close(row.record["speed"], position.speed === undefined ? null : position.speed * 3.6);
    close(row.record["bearing"], position.bearing ?? null);
    expect(row.record["route_id"]).toBe(trip?.routeId || null);
    expect(row.record["occupancy_status"]).toBe(occupancyStatus ?? null);
  }
}

describe("what people read", () => {
  const fixture = (feed: FeedName, name: string): File => ({ feed, name, path: join(FIXTURES, feed, name) });
  const reasons = (file: File): string[] =>
    observed(file).problems.map(({ key, field, reason }) =>
      [key, field, reason].filter((w) => w !== null).join(": "),
    );

  it("nws: a value that its provider rejects is null, and says so", () => {
    expect(reasons(fixture("nws", "observations_unsorted.json"))).toEqual([
      'a: air_temperature: its provider says qualityControl "X" (rejected)',
      'a: relative_humidity: its provider says qualityControl "?", a word that is not known',
      'a: air_pressure: its provider says qualityControl "B" (judged bad)',
      'a: wind_from_direction: its provider says qualityControl "Q" (questioned)',
      'a: wind_direction: expected a unit that becomes "deg", got "furlong"',
    ]);
  });
  it("nws: no observation is a problem of the station", () => {
    expect(reasons(fixture("nws", "observations_none.json"))).toEqual([
      "a: expected observations, got an empty list",
    ]);
    expect(reasons(fixture("nws", "observations_null.json"))).toEqual(["a: expected observations, got null"]);
  });
  it("gtfs-rt: each vehicle that cannot be used says why", () => {
    expect(reasons(fixture("gtfs-rt", "vehicles.json"))).toEqual([
      "v3: expected a position, got 0,0: what a receiver without a fix says",
      "v4: expected a position on earth, got 100,-9.5",
      'expected the id of a vehicle, got none in entity "e6"',
      "v7: expected a position, got none",
    ]);
  });
  it.each([
    ["open-meteo", "", /expected JSON, got an empty body/],
    ["open-meteo", "<!DOCTYPE html><html>", /got a page of HTML or XML that begins "<!DOCTYPE/],
    ["open-meteo", '{"latitude": 38.7', /got JSON that ends in the middle/],
    ["nws", Buffer.from([0x7b, 0xff, 0xfe]), /expected JSON in UTF-8, got bytes of another encoding/],
    ["nws", "[]", /expected an object/],
    ["openweathermap", '{"cod":"404","message":"city not found"}', /it says "404": "city not found"/],
    [
      "openweathermap",
      '{"cod":200,"coord":{"lat":0,"lon":0}}',
      /expected a time "dt" in epoch seconds, got undefined/,
    ],
    [
      "gtfs-rt",
      "not valid pb data",
      /got 17 bytes that are none or end in the middle, beginning "not valid pb data"/,
    ],
    ["gtfs-rt", "", /got an empty body/],
  ] as const)("%s says what came instead: %o", (feed, body, reason) => {
    const asked: Asked = {
      ...{ places: [{ key: "a", at: "0,0" }], since: new Map(), wanted: [], now_ms: 0, origin: "" },
    };
    expect(() => FEEDS[feed].parse(Buffer.from(body as string), asked)).toThrow(reason);
  });
  it("open-meteo: an answer about another place, or for fewer of them, is not used", () => {
    const file = fixture("open-meteo", "current_two_places.json");
    const body = bodyOf(file);
    const asked = askedFor(file, body);
    const swapped = { ...asked, places: [...asked.places].reverse() };
    expect(observed(file, body, swapped).rows).toEqual([]);
    expect(observed(file, body, swapped).problems[0]!.reason).toBe(
      "expected an answer about 59.9375,10.75, got one about 38.75,-9.125",
    );
    expect(() => observed(file, body, { ...asked, places: asked.places.slice(1) })).toThrow(
      "expected an answer for each of 1 places, got 2",
    );
  });
});

describe("requests", () => {
  const now_ms = Date.parse("2026-06-01T12:20:00Z");
  const places = [
    { key: "lisbon", at: "38.72,-9.14" },
    { key: "oslo", at: "59.91,10.75" },
  ];
  const asked = (feed: FeedName, more: Partial<Asked> = {}): Asked => ({
    ...{ places, since: new Map(), wanted: wantedOf(weather), now_ms, origin: FEEDS[feed].origin! },
    ...more,
  });
  it("open-meteo asks for several places and for what the contract has, and for quarters of an hour it missed", () => {
    const variables =
      "temperature_2m,relative_humidity_2m,pressure_msl,wind_speed_10m,wind_direction_10m,precipitation";
    const first = FEEDS["open-meteo"].request(asked("open-meteo")).url;
    expect(first).toBe(
      `https://api.open-meteo.com/v1/forecast?latitude=38.72,59.91&longitude=-9.14,10.75&current=${variables}&timezone=GMT`,
    );
    const since = new Map([
      ["lisbon", Date.parse("2026-06-01T12:00:00Z")],
      ["oslo", Date.parse("2026-06-01T11:15:00Z")],
    ]);
    const later = FEEDS["open-meteo"].request(asked("open-meteo", { since })).url;
    expect(later).toContain(`&minutely_15=${variables}&past_minutely_15=3&`);
  });
  it("open-meteo has the last 92 days where the present is, and what was before in its archive", () => {
    const day = 86_400_000;
    expect(historyRequest(asked("open-meteo"), now_ms - 92 * day, now_ms)).toMatch(
      /^https:\/\/api\.open-meteo\.com\/v1\/forecast\?.*&hourly=temperature_2m,.*&start_date=2026-03-01&end_date=2026-06-01&timezone=GMT$/,
    );
    expect(historyRequest(asked("open-meteo"), now_ms - 400 * day, now_ms - 300 * day)).toMatch(
      /^https:\/\/archive-api\.open-meteo\.com\/v1\/archive\?/,
    );
  });
  it("nws and openweathermap ask for one place a request; a key is no part of one", () => {
    expect(FEEDS.nws.request(asked("nws", { places: [{ key: "a", at: "KNYC" }] })).url).toBe(
      "https://api.weather.gov/stations/KNYC/observations?limit=6",
    );
    expect(FEEDS.openweathermap.request(asked("openweathermap", { places: [places[0]!] })).url).toBe(
      "https://api.openweathermap.org/data/2.5/weather?lat=38.72&lon=-9.14",
    );
  });
});

it("every feed has fixtures of its own", () => {
  expect([...new Set(filesIn(FIXTURES).map(({ feed }) => feed))].sort()).toEqual(Object.keys(FEEDS).sort());
  expect(basename(FIXTURES)).toBe("fixtures");
});
