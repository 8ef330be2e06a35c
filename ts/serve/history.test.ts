// The routes that answer from the store, on a real PostgreSQL that a sink has filled from a Kafka in memory.

import { parse } from "csv-parse/sync";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PipelineError } from "../contract/index.ts";
import { fakeKafka } from "../test/fakes/kafka.ts";
import { startPostgres, type TestDatabase } from "../test/postgres.ts";
import { app, HOUR_MS, NOW_MS, prediction, T0_MS, verification } from "../test/served/weather.ts";
import { type Stored, stored } from "../test/stored.ts";
import { iso } from "./forecast.ts";
import { xmlOf } from "./routes/anomalies_atom.ts";
import type { ServedStore } from "./store.ts";
import { storeWhenAsked } from "./store.ts";
import { Verified } from "./verified.ts";

type Json = Readonly<Record<string, unknown>>;

const MINUTE_MS = 60_000;
const DAY_MS = 24 * HOUR_MS;
const WINDOWS = 40;
/** From T0 on, every five minutes. */
const at = (i: number) => T0_MS + i * 5 * MINUTE_MS;
const flagged = (type: string, score: number) => ({
  anomaly: { is_anomaly: true, anomaly_score: score, anomaly_type: type, evidence: ["x"], method: "rules" },
});

let database: TestDatabase;
let s: Stored;
let api: ReturnType<typeof app>["app"];
const verified = () => new Verified(s.contract);

beforeAll(async () => {
  database = await startPostgres();
  s = await stored(
    database.settings,
    fakeKafka(() => NOW_MS),
  );
  await s.send([
    ...Array.from({ length: WINDOWS }, (_, i) =>
      s.record("predictions", "denver", {
        timestamp: at(i),
        window_start: at(i) - 5 * MINUTE_MS,
        ...(i >= 10 && i < 14 ? flagged("range", i === 12 ? 3 : 1.5) : {}),
      }),
    ),
    s.record("predictions", "denver", { timestamp: at(3), revision: 200, model_version: "4" }),
    s.record("predictions", "=sum(a)", { timestamp: at(0), ...flagged("step", 2) }),
    ...Array.from({ length: WINDOWS }, (_, i) =>
      s.record("features", "denver", { window_end: at(i), temperature_mean: i }),
    ),
    ...["denver", "seattle"].flatMap((station) => Array.from({ length: 30 }, (_, i) => judged(station, i))),
  ]);
  await s.fill();
  ({ app: api } = app({ contract: s.contract, store: s.store }));
}, 120_000);
afterAll(async () => {
  await s?.remove();
  await database?.remove();
}, 60_000);

const JUDGED = (i: number) => ({
  ...verification({ valid: T0_MS + i * HOUR_MS, in_sample: i === 7 }),
  model: { ...verification().model, error: i % 3, covered_50: i % 2 === 0 },
});
const judged = (station: string, i: number) => s.record("verifications", station, JUDGED(i));

const get = async (path: string, headers: Readonly<Record<string, string>> = {}) => {
  const response = await api.request(path, { headers });
  return { response, status: response.status, text: await response.text() };
};
const json = async (path: string) => {
  const { status, text } = await get(path);
  expect(status, text).toBe(200);
  return JSON.parse(text) as Json;
};
async function expectProblem(path: string, status: number, code: string): Promise<string> {
  const { response, text } = await get(path);
  expect([response.status, response.headers.get("content-type")]).toEqual([
    status,
    "application/problem+json",
  ]);
  expect(JSON.parse(text)).toMatchObject({ code, status });
  return (JSON.parse(text) as { detail: string }).detail;
}

/** Every page by the header Link. */
async function pages<T>(path: string, rows: (body: Json) => readonly T[]): Promise<T[][]> {
  const all: T[][] = [];
  for (let next: string | null = path; next !== null; ) {
    const { response, text } = await get(next);
    expect(response.status, text).toBe(200);
    const body = JSON.parse(text) as Json;
    all.push([...rows(body)]);
    next = /^<([^>]+)>; rel="next"$/.exec(response.headers.get("link") ?? "")?.[1] ?? null;
    expect(next === null).toBe(body["next"] === null);
  }
  return all;
}

const HISTORY = "/predictions/denver/history";
const WINDOWS_PATH = "/stations/denver/observations";

describe("GET /predictions/{station_id}/history", () => {
  const times = (body: Json) => (body["predictions"] as { timestamp: string }[]).map((p) => p.timestamp);

  it("has every window once over pages, newest first or oldest first", async () => {
    const expected = Array.from({ length: WINDOWS }, (_, i) => iso(at(i)));
    const asc = await pages(`${HISTORY}?order=asc&limit=7`, times);
    expect(asc.flat()).toEqual(expected);
    expect(asc).toHaveLength(6);
    expect((await pages(`${HISTORY}?limit=9`, times)).flat()).toEqual(expected.toReversed());
  });

  it("is of a range, the beginning inclusive and the end exclusive, in any zone", async () => {
    const zone = encodeURIComponent("2016-12-04T14:10:00+01:00");
    expect(times(await json(`${HISTORY}?from=${zone}&to=${iso(at(3))}&order=asc`))).toEqual([
      iso(at(1)),
      iso(at(2)),
    ]);
  });

  it("shows the version that counts, or each", async () => {
    const range = `from=${iso(at(3))}&to=${iso(at(4))}&order=asc`;
    const versions = async (revision: string) => {
      const body = await json(`${HISTORY}?${range}&revision=${revision}`);
      return (body["predictions"] as { model_version: string }[]).map((p) => p.model_version);
    };
    expect(await versions("latest")).toEqual(["4"]);
    expect(await versions("all")).toEqual(["3", "4"]);
  });

  it("has units, bands and the horizon that was asked for", async () => {
    const body = await json(`${HISTORY}?limit=1&horizon=12`);
    expect(body).toMatchObject({
      station_id: "denver",
      units: { temperature_12h: "degC", humidity_12h: "%" },
      valid_after_ms: { "12h": 12 * HOUR_MS },
      from: null,
      predictions: [
        {
          timestamp: iso(at(WINDOWS - 1)),
          predictions: { temperature_12h: 3.1 },
          bands: { temperature_12h: [{ lower: 2.1, upper: 4.1, level: 0.5 }, {}, { level: 0.9 }] },
          overall_confidence: 0.7,
          version: { plan_epoch: 1, revision: 100 },
        },
      ],
    });
    expect(JSON.stringify(body)).not.toContain("_6h");
  });

  it("goes out as CSV by type or by word, the same rows, with a next page", async () => {
    const asked = `${HISTORY}?limit=2&horizon=6&order=asc`;
    const { response, text } = await get(asked, { accept: "text/csv" });
    expect(response.headers.get("content-type")).toMatch(/^text\/csv;/);
    expect(response.headers.get("link")).toContain("cursor=");
    expect((await get(`${asked}&format=csv`)).text).toBe(text);
    expect((await get(`${asked}&format=json`, { accept: "text/csv" })).text).toMatch(/^\{/);
    const rows = parse(text, { columns: true }) as Record<string, string>[];
    expect(rows).toHaveLength(2 * s.contract.targets.length);
    expect(rows[0]).toMatchObject({
      station_id: "denver",
      timestamp: iso(at(0)),
      target: "temperature",
      horizon_h: "6",
      valid_at: iso(at(0) + 6 * HOUR_MS),
      unit: "degC",
      prediction: "3.1",
      lower_90: "1.1",
      upper_90: "5.6",
    });
    const [formula] = parse((await get("/predictions/%3Dsum(a)/history?format=csv")).text, {
      columns: true,
    }) as Record<string, string>[];
    expect(formula!["station_id"]).toBe("'=sum(a)");
  });

  it("costs no body where nothing has changed", async () => {
    const { response } = await get(HISTORY);
    const etag = response.headers.get("etag")!;
    expect((await get(HISTORY, { "if-none-match": etag })).status).toBe(304);
    expect((await get(`${HISTORY}?format=csv`, { "if-none-match": etag })).status).toBe(200);
    expect((await get(`${HISTORY}?horizon=6`, { "if-none-match": etag })).status).toBe(200);
  });
});

describe("GET /stations/{station_id}/observations", () => {
  it("has every window once over pages, with each column and its unit", async () => {
    const rows = (body: Json) => body["observations"] as { window_end: string; values: Json }[];
    const all = (await pages(`${WINDOWS_PATH}?order=asc&limit=15`, rows)).flat();
    expect(all.map(({ window_end }) => window_end)).toEqual(
      Array.from({ length: WINDOWS }, (_, i) => iso(at(i))),
    );
    expect(all.map(({ values }) => values["temperature_mean"])).toEqual(
      Array.from({ length: WINDOWS }, (_, i) => i),
    );
    const body = await json(`${WINDOWS_PATH}?limit=1`);
    const columns = s.contract.features.map(({ column }) => column);
    expect(Object.keys(body["units"] as Json)).toEqual(columns);
    expect(Object.keys(rows(body)[0]!.values)).toEqual(columns);
    expect(body).toMatchObject({ units: { temperature_mean: "degC", wind_speed_max: "m/s" } });
  });

  it("goes out as CSV, units in the first line", async () => {
    const { text } = await get(`${WINDOWS_PATH}?limit=3&order=asc&format=csv`);
    const rows = parse(text, { columns: true }) as Record<string, string>[];
    expect(rows.map((row) => row["temperature_mean [degC]"])).toEqual(["0", "1", "2"]);
    expect(rows[0]).toMatchObject({ station_id: "denver", window_end: iso(at(0)), measurement_count: "5" });
  });
});

describe("GET /anomalies", () => {
  const found = async (query: string) =>
    ((await json(`/anomalies?${query}`))["anomalies"] as Json[]).map(({ station_id, type }) => [
      station_id,
      type,
    ]);

  it("are runs with peak, end and severity", async () => {
    const body = await json("/anomalies?station=denver");
    expect(body["anomalies"]).toMatchObject([
      {
        ...{ station_id: "denver", type: "range", opened: iso(at(10)), peak: iso(at(12)), last: iso(at(13)) },
        ...{ ended: iso(at(14)), severity: 3, windows: 4 },
      },
    ]);
  });

  it("are chosen by type, severity, time and whether they go on", async () => {
    expect(await found("order=asc")).toEqual([
      ["=sum(a)", "step"],
      ["denver", "range"],
    ]);
    expect(await found("type=step")).toEqual([["=sum(a)", "step"]]);
    expect(await found("severity=2.5")).toEqual([["denver", "range"]]);
    expect(await found("open=true")).toEqual([["=sum(a)", "step"]]);
    expect(await found(`station=denver&from=${iso(at(14))}`)).toEqual([]);
    expect(await found(`station=denver&to=${iso(at(11))}`)).toHaveLength(1);
    expect((await pages("/anomalies?limit=1", (body) => body["anomalies"] as Json[])).flat()).toHaveLength(2);
    expect(parse((await get("/anomalies?format=csv")).text, { columns: true })).toHaveLength(2);
  });
});

describe("GET /scoreboard", () => {
  it("says what GET /verifications says of the same records", async () => {
    const memory = verified();
    for (const station of ["denver", "seattle"]) for (let i = 0; i < 30; i++) memory.take(station, JUDGED(i));
    const scores = memory
      .scores({ station: null, target: "temperature", horizon_h: 6 })
      .map((score) => ({ station_id: null, day: null, ...score }));
    const body = await json("/scoreboard");
    expect(body).toMatchObject({
      frontier: iso(T0_MS + 29 * HOUR_MS),
      promised: { "50": 0.5, "80": 0.8, "90": 0.9 },
    });
    expect(body["scores"]).toEqual(scores);
    expect(scores[0]).toMatchObject({ window: "24h", pairs: 46 });
  });

  it("is by station or by day as well, and of one window", async () => {
    const rows = async (query: string) => (await json(`/scoreboard?${query}`))["scores"] as Json[];
    const stations = await rows("by=station&window=7d");
    expect(stations.map(({ station_id, pairs }) => [station_id, pairs])).toEqual([
      ["denver", 29],
      ["seattle", 29],
    ]);
    const days = await rows("by=day&window=7d&station=denver");
    expect(days.map(({ day }) => day)).toEqual(["2016-12-04T00:00:00.000Z", "2016-12-05T00:00:00.000Z"]);
  });
});

describe("GET /stations?at=", () => {
  it("is every station as of a moment, over pages, as GeoJSON as well", async () => {
    const station = (id: string) => async (moment: number) => {
      const body = await json(`/stations?at=${iso(moment)}`);
      return (body["stations"] as Json[]).find(({ station_id }) => station_id === id);
    };
    const denver = station("denver");
    expect(await denver(at(5) + MINUTE_MS)).toMatchObject({
      reported: true,
      observed: { window_end: iso(at(5)), values: { temperature_mean: 5 } },
      forecast: { timestamp: iso(at(5)), predictions: { temperature_6h: 3.1 } },
      age_s: null,
    });
    expect(await denver(T0_MS - 1)).toMatchObject({ reported: false, observed: null, forecast: null });
    expect(await station("=sum(a)")(at(5))).toMatchObject({ observed: null, forecast: { is_anomaly: true } });
    const moment = `at=${iso(at(2))}`;
    const all = await pages(`/stations?${moment}&limit=1`, (body) => body["stations"] as Json[]);
    expect(all.map(([one]) => one!["station_id"])).toEqual(["=sum(a)", "denver"]);
    expect(await json(`/stations?${moment}`)).toMatchObject({
      as_of: iso(at(2)),
      frontier: iso(at(2)),
      count: 2,
    });
    const geo = await json(`/stations?${moment}&format=geojson`);
    expect(geo["features"]).toHaveLength(2);
    const { response } = await get(`/stations?${moment}`);
    const etag = response.headers.get("etag")!;
    expect((await get(`/stations?${moment}`, { "if-none-match": etag })).status).toBe(304);
    await expectProblem(`/stations?${moment}&after=denver`, 400, "bad_parameter");
    await expectProblem("/stations?at=now", 400, "bad_parameter");
  });
});

describe("GET /anomalies.atom", () => {
  it("is a feed whose entries lead to their anomalies, and stays the same while they do", async () => {
    const { text, response } = await get("/anomalies.atom?station=denver");
    const { headers } = response;
    expect(headers.get("content-type")).toBe("application/atom+xml");
    const [one] = (await json("/anomalies?station=denver"))["anomalies"] as Json[];
    const id = String(one!["id"]);
    expect(text.match(/<entry>/g)).toHaveLength(1);
    for (const part of [
      "<title>Anomalies of weather</title>",
      `<id>urn:millrace:weather:anomaly:${id}</id>`,
      "<title>denver: range</title>",
      `<published>${one!["opened"]}</published>`,
      `href="/weather/anomalies/${id}"`,
      `<updated>${one!["ended"] ?? one!["last"]}</updated>`,
    ])
      expect(text).toContain(part);
    expect((await json(`/weather/anomalies/${id}`))["anomaly"]).toMatchObject({ id });
    expect((await get("/anomalies.atom?station=denver")).response.headers.get("etag")).toBe(
      headers.get("etag"),
    );
    expect((await get("/anomalies.atom")).text.match(/<entry>/g)).toHaveLength(2);
    expect((await get("/anomalies.atom?station=nowhere")).text).toContain("1970-01-01T00:00:00");
  });

  it("holds whatever a station is called", () => {
    expect(xmlOf('<a href="x">&\u0000\u0001\uffff\t\u{1f321}')).toBe(
      "&lt;a href=&quot;x&quot;&gt;&amp;\t\u{1f321}",
    );
  });
});

describe("GET /anomalies/{anomaly_id}", () => {
  const idOf = async () =>
    String(((await json("/anomalies?station=denver"))["anomalies"] as Json[])[0]!["id"]);

  it("has the anomaly with the windows before, in and after it", async () => {
    const body = await json(`/anomalies/${await idOf()}?around=3`);
    expect(body).toMatchObject({
      anomaly: { station_id: "denver", type: "range", windows: 4, opened: iso(at(10)), last: iso(at(13)) },
      cut: false,
    });
    const ends = (name: string) => (body[name] as Json[]).map(({ window_end }) => window_end);
    expect(ends("before")).toEqual([7, 8, 9].map((i) => iso(at(i))));
    expect(ends("during")).toEqual([10, 11, 12, 13].map((i) => iso(at(i))));
    expect(ends("after")).toEqual([14, 15, 16].map((i) => iso(at(i))));
    expect((body["during"] as Json[])[0]).toMatchObject({ values: { temperature_mean: 10 } });
    expect(body["units"]).toMatchObject({ temperature_mean: "degC" });
    const alone = await json(`/weather/anomalies/${await idOf()}?around=0`);
    expect([alone["before"], alone["after"]]).toEqual([[], []]);
  });

  it("is kept by whoever has it, and refuses what is no id of an anomaly", async () => {
    const path = `/anomalies/${await idOf()}`;
    const etag = (await get(path)).response.headers.get("etag")!;
    expect((await get(path, { "if-none-match": etag })).status).toBe(304);
    const other = `${(await idOf()).slice(0, -1)}${(await idOf()).endsWith("0") ? "1" : "0"}`;
    for (const id of [other, "x", "zzzzzzzzzzz-0123456789abcdef01234567", "%00", "..%2f", "a".repeat(64)])
      await expectProblem(`/anomalies/${id}`, 404, "unknown_anomaly");
    await expectProblem(`/anomalies/${"a".repeat(65)}`, 404, "unknown_anomaly");
    await expectProblem(`${path}?around=501`, 400, "bad_parameter");
  });
});

const PATHS = [HISTORY, WINDOWS_PATH, "/anomalies"];

describe("what may not be asked", () => {
  it.each(PATHS)("is refused with words: %s", async (path) => {
    const at_ms = (ms: number) => iso(ms);
    const turned = await expectProblem(
      `${path}?from=${at_ms(T0_MS)}&to=${at_ms(T0_MS - 1)}`,
      400,
      "bad_parameter",
    );
    expect(turned).toContain('Expected "from" before "to"');
    const long = await expectProblem(
      `${path}?from=${at_ms(T0_MS)}&to=${at_ms(T0_MS + 3653 * DAY_MS)}`,
      400,
      "bad_parameter",
    );
    expect(long).toContain("at most 367 days");
    for (const query of ["from=yesterday", "from=2016-13-01T00:00:00Z", "limit=1001", "limit=0", "order=up"])
      await expectProblem(`${path}?${query}`, 400, "bad_parameter");
  });

  it.each(PATHS)("is a cursor that is forged or another's: %s", async (path) => {
    const { next } = (await json(`${path}?limit=1`)) as unknown as { next: string };
    expect((await get(`${path}?limit=1&cursor=${next}`)).status).toBe(200);
    for (const forged of ["x", `${next}AA`, "%00", "A".repeat(9_000)])
      await expectProblem(`${path}?cursor=${forged}`, 400, "bad_parameter");
    for (const other of PATHS.filter((one) => one !== path))
      await expectProblem(`${other}?cursor=${next}`, 400, "bad_parameter");
    await expectProblem(`${path}?order=asc&cursor=${next}`, 400, "bad_parameter");
  });

  it("is a station that nobody has heard of; one that is only in the store is known", async () => {
    for (const path of [
      "/predictions/atlantis/history",
      "/stations/atlantis/observations",
      "/predictions/%00/history",
    ])
      await expectProblem(path, 404, "unknown_station");
    expect((await get(`/predictions/%3Dsum(a)/history?from=${iso(at(30))}`)).status).toBe(200);
    expect((await get("/predictions/new-york/history")).status).toBe(200);
  });
});

describe("a store that is away", () => {
  const down = (open: () => never): ServedStore => storeWhenAsked(open);
  const never = () => {
    throw new PipelineError("store_unreachable", 'Cannot reach "x"', { context: { next: "start it" } });
  };

  it("leaves the latest prediction as it is; history says what to do", async () => {
    const { app: alone, latest } = app({ store: down(never) });
    latest.predicted("denver", prediction(), { topic: "t", partition: 0, offset: 1, append_time_ms: NOW_MS });
    expect((await alone.request("/predictions/denver")).status).toBe(200);
    expect((await alone.request("/stations")).status).toBe(200);
    for (const path of [...PATHS, "/scoreboard", `/stations?at=${iso(T0_MS)}`]) {
      const response = await alone.request(path);
      expect(response.status).toBe(503);
      expect(await response.json()).toMatchObject({ code: "store_unreachable", next: "start it" });
    }
  });

  it("holds up nothing that is in memory while it does not answer", async () => {
    let answer = (_: { rows: []; next: null }) => {};
    const slow = new Promise<{ rows: []; next: null }>((resolve) => {
      answer = resolve;
    });
    const store = storeWhenAsked(() => ({ ...s.store, predictions: () => slow }));
    const { app: alone, latest } = app({ contract: s.contract, store });
    latest.predicted("denver", prediction(), { topic: "t", partition: 0, offset: 1, append_time_ms: NOW_MS });
    const seen: string[] = [];
    const history = Promise.resolve(alone.request(HISTORY)).then(() => seen.push("history"));
    expect((await alone.request("/predictions/denver")).status).toBe(200);
    seen.push("latest");
    answer({ rows: [], next: null });
    await history;
    expect(seen).toEqual(["latest", "history"]);
  });

  it("is asked again by the next question, and a wrong setting is no fault of the question", async () => {
    let tries = 0;
    const later = storeWhenAsked(() => {
      if (tries++ === 0) throw new PipelineError("config_invalid", "Cannot use setting X");
      return s.store;
    });
    const { app: alone } = app({ contract: s.contract, store: later });
    expect((await alone.request(HISTORY)).status).toBe(503);
    expect((await alone.request(HISTORY)).status).toBe(200);
  });
});
