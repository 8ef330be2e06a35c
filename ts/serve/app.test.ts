import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, it } from "vitest";
import { ENTITY_ID_LENGTH_MAX, PipelineError } from "../contract/index.ts";
import { PIPELINE } from "../pipelines/rules.ts";
import { CONTRACT as GAUGES } from "../test/pipelines/generated/gauges.ts";
import {
  app,
  arrival,
  caughtUp,
  contract,
  features,
  HOUR_MS,
  NOW_MS,
  prediction,
  served,
  verification,
} from "../test/served/weather.ts";
import { documentOf } from "./app.ts";
import type { ServedContract } from "./records.ts";
import { FAILURE, REFUSAL } from "./status.ts";

type Json = Readonly<Record<string, unknown>>;

const json = async (response: Response) => (await response.json()) as Json;
/** The description of an app over a contract. */
function described(of: ServedContract = contract): Json {
  const { app: api, effects } = app({ contract: of });
  return documentOf(api, effects);
}
const document = described();
/** Every path of the default pipeline and of all, ready to be asked. */
const PATHS = Object.keys(document["paths"] as Json)
  .filter((path) => !path.startsWith("/weather"))
  .map((path) => path.replace("{station_id}", "new-york"));

/** Fails unless the body is what the description says of that schema. */
function expectSchema(what: string, body: unknown): void {
  const { schemas } = document["components"] as { schemas: Json };
  const name = what in schemas ? what : `Weather${what}`;
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  ajv.addFormat("date-time", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  ajv.addSchema(document, "api");
  const validate = ajv.getSchema(`api#/components/schemas/${name}`);
  expect(validate, `schema ${name}`).toBeDefined();
  validate?.(body);
  expect(validate?.errors ?? []).toEqual([]);
}

async function expectProblem(response: Response, status: number, code: string): Promise<Json> {
  expect(response.status).toBe(status);
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  const body = await json(response);
  expectSchema("Problem", body);
  expect(body).toMatchObject({ code, status, type: `urn:millrace:problem:${code}` });
  return body;
}

describe("GET /predictions/{station_id}", () => {
  it("answers the newest forecast in the promised shape, with units, intervals, age and provenance", async () => {
    const { app: api, latest } = app();
    latest.predicted("new-york", prediction(), arrival(7));
    const response = await api.request("/predictions/new-york");
    expect(response.status).toBe(200);
    expect(response.headers.get("cache-control")).toBe("no-cache");
    const body = await json(response);
    expectSchema("Forecast", body);
    expect(body).toMatchObject({
      station_id: "new-york",
      timestamp: "2016-12-04T13:05:00.000Z",
      predictions: { temperature_6h: 3.1, temperature_12h: 3.1, humidity_6h: 61, pressure_6h: 1021.4 },
      anomaly: { is_anomaly: false, anomaly_score: 0.1, anomaly_type: null, method: "rules", evidence: [] },
      confidence: { temperature_confidence: 0.8, overall_confidence: 0.7 },
      model_version: "3",
      intervals: { temperature_6h: { lower: 1.1, upper: 5.6, level: 0.9 } },
      bands: {
        temperature_6h: [
          { lower: 2.1, upper: 4.1, level: 0.5 },
          { lower: 1.6, upper: 4.6, level: 0.8 },
          { lower: 1.1, upper: 5.6, level: 0.9 },
        ],
      },
      units: { temperature_6h: "degC", humidity_24h: "%", pressure_12h: "hPa" },
      valid_at: { "6h": "2016-12-04T19:05:00.000Z" },
      in_sample: false,
      age_s: 2,
      behind_s: 0,
      stale: false,
      version: { plan_epoch: 1, revision: 100 },
      provenance: { feature_offset: 41, prediction_partition: 2, prediction_offset: 7 },
      stages: { commit_time: "2026-01-10T07:59:58.000Z" },
      latency_ms: 1_000,
    });
  });

  it("shows what is usual at the valid time, and null for a forecast from before it was recorded", async () => {
    const { app: api, latest } = app();
    const usual = { mean: 4, lower: -1, upper: 9 };
    const record = prediction();
    const names = Object.keys(record.predictions);
    const climatology = { ...Object.fromEntries(names.map((name) => [name, usual])), pressure_6h: null };
    latest.predicted("denver", { ...record, climatology }, arrival(1));
    latest.predicted("seattle", record, arrival(2));
    const body = await json(await api.request("/predictions/denver"));
    expectSchema("Forecast", body);
    expect(body).toMatchObject({
      climatology: { temperature_6h: { ...usual, level: 0.9 }, pressure_6h: null },
    });
    const before = await json(await api.request("/predictions/seattle"));
    expectSchema("Forecast", before);
    expect(before["climatology"]).toBeNull();
  });

  it("sends null where the model gave nothing, never a missing key", async () => {
    const { app: api, latest } = app();
    const whole = prediction();
    latest.predicted(
      "denver",
      prediction({
        predictions: { ...whole.predictions, humidity_6h: null },
        quantiles: { ...whole.quantiles, humidity_6h: null },
      }),
      arrival(1),
    );
    const body = await json(await api.request("/predictions/denver"));
    expectSchema("Forecast", body);
    expect(body).toMatchObject({ predictions: { humidity_6h: null }, intervals: { humidity_6h: null } });
  });

  it("shows the bands that a record from before the inner levels has", async () => {
    const { app: api, latest } = app();
    const whole = prediction();
    const before = { q05: 1, q50: 2, q95: 3, q10: null, q25: null, q75: null, q90: null };
    latest.predicted(
      "denver",
      prediction({ quantiles: { ...whole.quantiles, humidity_6h: before, humidity_12h: null } }),
      arrival(1),
    );
    const body = await json(await api.request("/predictions/denver"));
    expectSchema("Forecast", body);
    expect(body).toMatchObject({
      bands: { humidity_6h: [{ lower: 1, upper: 3, level: 0.9 }], humidity_12h: [] },
    });
  });

  it("an unknown station is a problem that says where the stations are", async () => {
    const body = await expectProblem(
      await app().app.request("/predictions/atlantis"),
      404,
      "unknown_station",
    );
    expect(body["detail"]).toBe('No station "atlantis" is known to this pipeline');
    expect(body["next"]).toContain("GET /stations");
    expect(body["instance"]).toBe("/predictions/atlantis");
  });

  it("a known station without a forecast is told apart from an unknown one", async () => {
    await expectProblem(await app().app.request("/predictions/denver"), 404, "no_prediction");
  });

  it.each([
    "__proto__",
    "constructor",
    "%00",
    "..%2f..%2fetc",
    "%E0%A4%A",
    "x".repeat(ENTITY_ID_LENGTH_MAX + 1),
  ])("answers 404 to %s", async (id) => {
    await expectProblem(await app().app.request(`/predictions/${id}`), 404, "unknown_station");
  });

  it("before the catch-up ends answers 503 with a time to retry, and no old forecast", async () => {
    const { app: api, latest } = app({ feed: () => ({ ...caughtUp, caught_up: false }) });
    latest.predicted("new-york", prediction(), arrival(1));
    const response = await api.request("/predictions/new-york");
    expect(response.headers.get("retry-after")).toBe("1");
    await expectProblem(response, 503, "catching_up");
  });
});

describe("GET /stations", () => {
  it("lists every station of the contract and every one heard of, with values, age and units", async () => {
    const { app: api, latest } = app();
    latest.predicted("new-york", prediction(), arrival(1));
    latest.observed("new-york", features(), arrival(1));
    latest.observed("buoy-7", features(), arrival(2));
    const body = await json(await api.request("/stations"));
    expectSchema("Stations", body);
    expect(body).toMatchObject({
      count: 2,
      next: null,
      frontier: "2016-12-04T13:05:00.000Z",
      units: { values: { temperature_mean: "degC" }, predictions: { temperature_6h: "degC" } },
      stations: [
        {
          station_id: "buoy-7",
          name: "buoy-7",
          reported: true,
          forecast: null,
          age_s: null,
          observed: { measurement_count: 5 },
        },
        {
          station_id: "denver",
          name: "Denver",
          reported: false,
          observed: null,
          forecast: null,
          stale: false,
        },
        {
          station_id: "new-york",
          name: "New York",
          latitude: 40.71,
          observed: { values: { temperature_mean: 2.64, wind_speed_mean: null } },
          forecast: { predictions: { temperature_6h: 3.1 }, overall_confidence: 0.7, is_anomaly: false },
          age_s: 2,
          stale: false,
        },
        { station_id: "seattle" },
      ],
    });
  });

  it("shows a field that a contract has gained, by its first feature, though no model reads it", async () => {
    const gust = { field: "wind_gust", unit: "m/s" };
    const gained = {
      ...contract,
      fields: [...contract.fields, { name: "wind_gust", role: "measurement", unit: "m/s", support: null }],
      features: [
        ...contract.features,
        { column: "temperature_std", field: "temperature", unit: "degC" },
        { column: "wind_gust_max", ...gust },
        { column: "wind_gust_mean", ...gust },
      ],
    };
    const { app: api, latest } = app({ contract: gained });
    latest.observed("new-york", features({ wind_gust_max: 17.2 }), arrival(1));
    const body = await json(await api.request("/stations"));
    const columns = [...contract.history_values, "wind_gust_max"];
    expect(Object.keys((body["units"] as { values: Json }).values)).toEqual(columns);
    expect(await json(await api.request("/pipelines"))).toMatchObject({
      pipelines: [
        {
          values: expect.arrayContaining([
            {
              column: "wind_gust_max",
              field: "wind_gust",
              unit: "m/s",
              quantity: null,
              circular: false,
              magnitude: null,
            },
          ]),
        },
      ],
    });
  });

  it("pages without gap or repeat", async () => {
    const { app: api } = app();
    const seen: unknown[] = [];
    let after: string | null = "";
    for (let page = 0; after !== null && page < 10; page++) {
      const body = await json(await api.request(`/stations?limit=2&after=${after}`));
      seen.push(...(body["stations"] as Json[]).map((s) => s["station_id"]));
      after = body["next"] as string | null;
    }
    expect(seen).toEqual(["denver", "new-york", "seattle"]);
  });

  it("counts the stations that have reported, whichever page is asked for", async () => {
    const { app: api, latest } = app();
    latest.predicted("denver", prediction(), arrival(1));
    for (const query of ["", "?limit=1", "?limit=1&after=denver"])
      expect((await json(await api.request(`/stations${query}`)))["count"]).toBe(1);
  });

  it("lists no id that cannot be asked for: every page can be turned, every forecast fetched", async () => {
    const { app: api, latest } = app();
    const long = ["a".repeat(300), "雨".repeat(ENTITY_ID_LENGTH_MAX)];
    const unfit = ["b".repeat(ENTITY_ID_LENGTH_MAX + 1), "", ".", ".."];
    for (const [i, id] of [...long, ...unfit].entries()) {
      const outcome = latest.predicted(id, prediction(), arrival(i));
      expect([id.slice(0, 5), outcome]).toEqual([id.slice(0, 5), i < long.length ? "newest" : "refused"]);
    }
    const listed: string[] = [];
    let after: string | null = "";
    for (let page = 0; after !== null && page < 10; page++) {
      const query: string = encodeURIComponent(after);
      // Node takes 16 KiB for the head of a request.
      expect(query.length).toBeLessThan(12_000);
      const response = await api.request(`/stations?limit=1&after=${query}`);
      expect(response.status).toBe(200);
      const body = await json(response);
      listed.push(...(body["stations"] as Json[]).map((s) => String(s["station_id"])));
      after = body["next"] as string | null;
    }
    expect(listed).toEqual([long[0], "denver", "new-york", "seattle", long[1]]);
    for (const id of long) {
      const response = await api.request(`/predictions/${encodeURIComponent(id)}`);
      expect((await json(response))["station_id"]).toBe(id);
    }
  });

  it.each(["0", "-1", "1.5", "x", "10001", "", "1e2", "0x10", "+5", "%205", "5.0"])(
    "refuses limit=%s",
    async (limit) => {
      await expectProblem(await app().app.request(`/stations?limit=${limit}`), 400, "bad_parameter");
    },
  );
});

describe("GET /verifications", () => {
  it("answers scores beside the newest records, in the promised shape", async () => {
    const { app: api, verified } = app();
    const { model } = verification();
    const unknown = {
      error: null,
      pinball: null,
      winkler: null,
      covered_50: null,
      covered_80: null,
      covered_90: null,
    };
    verified.take("denver", verification());
    verified.take("boston", verification({ horizon_h: 24 }));
    verified.take(
      "denver",
      verification({
        status: "unverifiable",
        truth: null,
        truth_window_end: null,
        model: { ...model, ...unknown },
        persistence: { value: null, error: null },
        dap: { value: 5.6, error: null },
      }),
    );
    const body = await json(await api.request("/verifications"));
    expectSchema("Verifications", body);
    expect(body["scores"]).toHaveLength(18);
    expect(body).toMatchObject({ frontier: "2016-12-04T13:05:00.000Z", pipeline: "weather" });
    const some = await json(
      await api.request("/verifications?station=denver&target=temperature&horizon=6&limit=1"),
    );
    expectSchema("Verifications", some);
    expect(some).toMatchObject({
      scores: [
        { window: "24h", unit: "degC", pairs: 1, unverifiable: 1, mae: 1, skill_persistence: 0.5 },
        { window: "7d", coverage: { 50: 0, 80: 1, 90: 1 } },
      ],
      verifications: [{ station_id: "denver", status: "unverifiable", truth: null }],
    });
    expect((await json(await api.request("/verifications?limit=0")))["verifications"]).toEqual([]);
  });

  it.each([
    "limit=-1",
    "limit=1001",
    "limit=",
    "limit=x",
    "target=snow",
    "horizon=7",
    "horizon=",
    "horizon=0x6",
    "limit=1e2",
    `station=${"x".repeat(ENTITY_ID_LENGTH_MAX + 1)}`,
  ])("refuses %s", async (query) => {
    await expectProblem(await app().app.request(`/verifications?${query}`), 400, "bad_parameter");
  });

  it("has nothing to say before the first truth, and before the catch-up ends", async () => {
    const body = await json(await app().app.request("/verifications"));
    expectSchema("Verifications", body);
    expect(body).toMatchObject({ frontier: null, verifications: [] });
    const early = app({ feed: () => ({ ...caughtUp, caught_up: false }) });
    await expectProblem(await early.app.request("/verifications"), 503, "catching_up");
  });
});

describe("GET /stations as GeoJSON", () => {
  it.each([
    ["/stations?format=geojson", {}],
    ["/stations", { accept: "application/geo+json, application/json;q=0.5" }],
  ])("answers %s with %o", async (path, headers) => {
    const { app: api, latest } = app();
    latest.predicted("buoy-7", prediction(), arrival(1));
    const response = await api.request(path, { headers });
    expect(response.headers.get("content-type")).toBe("application/geo+json");
    const body = await json(response);
    expectSchema("StationsGeoJson", body);
    expect(body).toMatchObject({
      type: "FeatureCollection",
      features: [
        { id: "buoy-7", geometry: null, properties: { forecast: { predictions: { temperature_6h: 3.1 } } } },
        { id: "denver", geometry: { type: "Point", coordinates: [-104.98, 39.74] } },
        { id: "new-york", geometry: { coordinates: [-74.01, 40.71, 10] } },
        { id: "seattle" },
      ],
    });
  });

  it("names the next page in a Link, and JSON is what is answered where nothing is said", async () => {
    const { app: api } = app();
    const geo = await api.request("/stations?format=geojson&limit=1");
    expect(geo.headers.get("link")).toBe('</stations?limit=1&after=denver&format=geojson>; rel="next"');
    const plain = await api.request("/stations", { headers: { accept: "*/*" } });
    expect(plain.headers.get("content-type")).toBe("application/json");
    await expectProblem(await api.request("/stations?format=csv"), 400, "bad_parameter");
  });
});

describe("ETag", () => {
  const again = async (api: ReturnType<typeof app>["app"], path: string, etag: string | null) =>
    (await api.request(path, { headers: { "if-none-match": etag ?? "" } })).status;

  it.each([
    "/predictions/new-york",
    "/stations?limit=2",
    "/verifications",
    "/openapi.json",
    "/docs",
    "/web/page.css",
  ])("of %s is answered with 304 while nothing has changed", async (path) => {
    const { app: api, latest } = app();
    latest.predicted("new-york", prediction(), arrival(1));
    const response = await api.request(path);
    const etag = response.headers.get("etag");
    expect(etag).toMatch(/^(W\/)?"[^"]+"$/);
    expect(await again(api, path, etag)).toBe(304);
    expect(await again(api, path, `"other", ${etag}`)).toBe(304);
    expect(await again(api, path, "*")).toBe(304);
    expect(await again(api, path, '"other"')).toBe(200);
  });

  it("is another one once something else is known", async () => {
    const { app: api, latest, verified } = app();
    latest.predicted("new-york", prediction(), arrival(1));
    const paths = ["/predictions/new-york", "/stations", "/verifications"];
    const tags = await Promise.all(paths.map(async (path) => (await api.request(path)).headers.get("etag")));
    latest.predicted("new-york", prediction({ revision: 101 }), arrival(2));
    verified.take("new-york", verification());
    for (const [i, path] of paths.entries())
      expect([path, await again(api, path, tags[i]!)]).toEqual([path, 200]);
  });
});

describe("GET /models", () => {
  it("says which versions there are and which one serves", async () => {
    const body = await json(await app().app.request("/models"));
    expectSchema("Models", body);
    expect(body["models"]).toMatchObject([
      { pipeline: "weather", version: "3", serves: true, created: "2026-01-10T07:00:00.000Z" },
    ]);
  });

  it("is a problem while the registry of models is away", async () => {
    const away = new PipelineError("store_unreachable", "Cannot ask");
    const { app: api } = app({ models: () => Promise.reject(away) });
    await expectProblem(await api.request("/models"), 503, "store_unreachable");
  });
});

describe("pipelines of one namespace", () => {
  /** Weather, and gauges of another shape: other names, no rules, no places, horizons of minutes. */
  function two() {
    const gauges = served({ contract: GAUGES, needed_jobs: ["gauges-features"] });
    const weather = served();
    return { ...app({ pipelines: [weather, gauges] }), gauges, weather };
  }

  it("answer below their names, and the first one without a name as well, by the same words", async () => {
    const { app: api, gauges, weather } = two();
    weather.latest.predicted("new-york", prediction(), arrival(1));
    const { anomaly: _, ...record } = prediction({ predictions: { level_30m: 1.2 }, quantiles: {} });
    gauges.latest.predicted("g-1", record, arrival(1));
    const bare = await (await api.request("/predictions/new-york")).text();
    expect(await (await api.request("/weather/predictions/new-york")).text()).toBe(bare);
    expect(await json(await api.request("/gauges/predictions/g-1"))).toMatchObject({
      gauge: "g-1",
      predictions: { level_30m: 1.2 },
    });
    await expectProblem(await api.request("/predictions/g-1"), 404, "unknown_station");
    expect(await json(await api.request("/gauges/stations"))).toMatchObject({ pipeline: "gauges", count: 1 });
    expect(await json(await api.request("/gauges/verifications"))).toMatchObject({ pipeline: "gauges" });
    expect((await api.request("/gauges/")).headers.get("content-type")).toContain("text/html");
    await expectProblem(await api.request("/trams/stations"), 404, "unknown_route");
  });

  it("have one description, each with its own words", async () => {
    const { app: api, effects } = two();
    const described = documentOf(api, effects) as { paths: Json; components: { schemas: Json } };
    expect(Object.keys(described.paths)).toEqual(
      expect.arrayContaining([
        "/predictions/{station_id}",
        "/weather/predictions/{station_id}",
        "/gauges/predictions/{gauge}",
        "/health",
      ]),
    );
    expect(Object.keys(described.components.schemas)).toEqual(
      expect.arrayContaining(["WeatherForecast", "GaugesForecast", "Interval", "Problem"]),
    );
    const result = await new Validator().validate(structuredClone(described));
    expect(result.errors ?? []).toEqual([]);
    const html = await (await api.request("/docs")).text();
    expect(html).toContain("GET /gauges/predictions/{gauge}");
    expect(html).not.toContain("<script");
  });

  it("cannot be called as a path that is somebody else's", () => {
    const { effects, app: api } = two();
    const firsts = Object.keys(documentOf(api, effects)["paths"] as Json).map((path) => path.split("/")[1]!);
    for (const first of firsts.filter(
      (word) => /^[a-z]+$/.test(word) && !["weather", "gauges"].includes(word),
    ))
      expect([first, PIPELINE.holds(first)]).toEqual([first, false]);
  });

  it("are in one health, metrics and list of jobs; the jobs of one that was only applied are not missed", async () => {
    const { app: api } = two();
    const health = await json(await api.request("/health"));
    expectSchema("Health", health);
    expect(health).toMatchObject({
      status: "ok",
      event_time: { pipeline: "weather" },
      pipelines: [
        { pipeline: "weather", default: true, running: true },
        { pipeline: "gauges", default: false, running: false },
      ],
    });
    const metrics = await (await api.request("/metrics")).text();
    expect(metrics).toContain('millrace_stations{pipeline="gauges"} 0');
    expect(await json(await api.request("/jobs?pipeline=gauges"))).toMatchObject({ jobs: [] });
    await expectProblem(await api.request("/jobs?pipeline=trams"), 400, "bad_parameter");
  });

  it("has sensible answers without forecasts: what was observed, and no word of what is not there", async () => {
    const parts = contract.parts.filter((part) => part === "windows" || part === "serve");
    const bare = { ...contract, parts, targets: [], horizons_ms: [], bands: [], stations: {} };
    const { app: api, latest } = app({ contract: bare, needed_jobs: [] });
    latest.observed("buoy-7", features(), arrival(1));
    expect(await json(await api.request("/stations"))).toMatchObject({
      count: 1,
      units: { predictions: {}, values: { temperature_mean: "degC" } },
      stations: [
        {
          station_id: "buoy-7",
          observed: { values: { temperature_mean: 2.64 } },
          forecast: null,
          latitude: null,
        },
      ],
    });
    await expectProblem(await api.request("/predictions/buoy-7"), 404, "unknown_route");
    await expectProblem(await api.request("/models"), 404, "unknown_route");
  });
});

describe("GET /jobs", () => {
  it("puts the newest heartbeat beside the supervisor's view", async () => {
    const { app: api, progress } = app();
    const report = {
      job: "weather-features",
      submission: "weather-features-1",
      state: "running",
      timestamp: NOW_MS - 1_500,
      error_code: null,
      message: null,
      counters: { input_rows: 20 },
    };
    progress.report(report);
    progress.report({ ...report, timestamp: NOW_MS - 9_000, counters: { input_rows: 10 } });
    progress.report({ ...report, job: "weather-train", state: "succeeded" });
    const body = await json(await api.request("/jobs"));
    expectSchema("Jobs", body);
    expect(body["jobs"]).toMatchObject([
      { name: "weather-features", state: "running", heartbeat: { age_s: 1.5, counters: { input_rows: 20 } } },
      { name: "weather-infer", heartbeat: null },
      { name: "weather-train", state: "succeeded", desired: false, heartbeat: { state: "succeeded" } },
    ]);
  });

  it("tells of a batch what it last reported: why it failed, and that a silent one is not known to run", async () => {
    const { app: api, progress } = app();
    const report = { submission: "s", timestamp: NOW_MS - 3_600_000, error_code: null, counters: {} };
    progress.report({ ...report, job: "weather-backfill", state: "failed", message: "Cannot read x" });
    progress.report({ ...report, job: "weather-seed", state: "running", message: null });
    const { jobs } = (await json(await api.request("/jobs"))) as { jobs: Json[] };
    const of = (name: string) => jobs.find((job) => job["name"] === name);
    expect(of("weather-backfill")).toMatchObject({ state: "failed", reason: "Cannot read x" });
    expect(of("weather-seed")).toMatchObject({
      state: "unknown",
      reason: 'last reported "running" 3600 s ago',
    });
  });
});

describe("GET /health", () => {
  const down = {
    name: "spark",
    address: "http://127.0.0.1:8080",
    up: false,
    detail: "refused",
    next: "Run: x",
  };

  it("is 200 and ok when all is well", async () => {
    const response = await app().app.request("/health");
    expect(response.status).toBe(200);
    const body = await json(response);
    expectSchema("Health", body);
    expect(body).toMatchObject({ status: "ok", ready: true });
  });

  it("is 503 when a needed engine is down, and says what to do", async () => {
    const response = await app({ engines: async () => [{ ...down, needed: true }] }).app.request("/health");
    expect(response.status).toBe(503);
    const body = await json(response);
    expectSchema("Health", body);
    expect(body).toMatchObject({
      status: "down",
      engines: [{ name: "spark", status: "down", next: "Run: x" }],
    });
  });

  it("is 200 and degraded when only something not needed is down", async () => {
    const response = await app({ engines: async () => [{ ...down, needed: false }] }).app.request("/health");
    expect(response.status).toBe(200);
    expect(await json(response)).toMatchObject({ status: "degraded" });
  });

  it("is ok when an optional engine was never started, and says so", async () => {
    const off = { ...down, name: "hdfs-namenode", needed: false, off: true };
    const response = await app({ engines: async () => [off] }).app.request("/health");
    const body = await json(response);
    expectSchema("Health", body);
    expect(body).toMatchObject({ status: "ok", engines: [{ name: "hdfs-namenode", status: "off" }] });
  });

  it.each(["succeeded", "failed", "stopped", "running"])(
    "is no business of a batch that ended long ago: %s",
    async (state) => {
      const { app: api, progress } = app();
      progress.report({
        job: "weather-backfill",
        submission: "weather-backfill-1",
        state,
        timestamp: NOW_MS - 3_600_000,
        error_code: null,
        message: null,
        counters: {},
      });
      const body = await json(await api.request("/health"));
      expect(body["status"]).toBe("ok");
      expect((body["jobs"] as Json[]).map((job) => [job["name"], job["status"]])).toEqual([
        ["weather-features", "up"],
        ["weather-infer", "up"],
      ]);
    },
  );

  it("shows a batch while it runs, and a finished replay no more", async () => {
    const job = {
      engine: "process",
      desired: true,
      reason: null,
      submission: "s",
      restarts: 0,
      gave_up: false,
      pipeline: "weather",
      schedule: null,
      due_ms: null,
      last: null,
    };
    const { app: api, progress } = app({
      needed_jobs: [],
      jobs: async () => [{ ...job, name: "weather-replay", state: "succeeded" }],
    });
    const report = { submission: "s", error_code: null, message: null, counters: {} };
    progress.report({ ...report, job: "weather-train", state: "starting", timestamp: NOW_MS - 1_000 });
    expect(await json(await api.request("/health"))).toMatchObject({
      status: "ok",
      jobs: [{ name: "weather-train", status: "up" }],
    });
  });

  it("is 503 when a needed job was never submitted", async () => {
    const response = await app({ jobs: async () => [] }).app.request("/health");
    expect(response.status).toBe(503);
    expect(await json(response)).toMatchObject({
      jobs: [
        { name: "weather-features", status: "down", next: "Run: millrace submit weather-features" },
        { name: "weather-infer" },
      ],
    });
  });

  it("says when the watermark has run away from the clock, and what to do; a replay of the past is fine", async () => {
    const { app: api, progress } = app();
    const report = (watermark_ms: number) =>
      progress.report({
        job: "weather-features",
        submission: "weather-features-1",
        state: "running",
        timestamp: NOW_MS,
        error_code: null,
        message: null,
        counters: { watermark_ms },
      });
    for (const fine of [0, Date.UTC(2017, 0, 1), NOW_MS + 3_600_000]) {
      report(fine);
      const body = await json(await api.request("/health"));
      expect(body["status"]).toBe("ok");
      expect(body["event_time"]).toMatchObject({ pipeline: "weather", status: "ok", next: null });
    }
    expect(await (await api.request("/metrics")).text()).toContain(
      'millrace_event_time_ahead_seconds{pipeline="weather"} 3600',
    );
    report(Date.UTC(2073, 0, 1));
    const response = await api.request("/health");
    expect(response.status).toBe(503);
    expect((await json(response))["event_time"]).toMatchObject({
      status: "ahead",
      watermark: "2073-01-01T00:00:00.000Z",
      ahead_s: (Date.UTC(2073, 0, 1) - NOW_MS) / 1000,
      next: "Run: millrace submit weather-features, which goes on from a new checkpoint",
    });
  });

  it("does not believe RUNNING of a job that fell silent", async () => {
    const { app: api, progress } = app();
    progress.report({
      job: "weather-infer",
      submission: "weather-infer-1",
      state: "running",
      timestamp: NOW_MS - 91_000,
      error_code: null,
      message: null,
      counters: {},
    });
    const response = await api.request("/health");
    expect(response.status).toBe(503);
    expect((await json(response))["jobs"]).toMatchObject([
      { name: "weather-features", status: "up" },
      {
        name: "weather-infer",
        status: "down",
        detail: "no heartbeat for 91 s",
        next: "Run: millrace logs weather-infer",
      },
    ]);
  });

  it("says of a job that only waits since when and for what, and is not ok for ever", async () => {
    const report = {
      job: "weather-infer",
      submission: "weather-infer-1",
      state: "starting",
      error_code: null,
      message: 'actor 0: waiting for a champion of model "weather"',
      counters: {},
    };
    const infer = async (since_s: number, last: object = {}) => {
      const { app: api, progress } = app();
      progress.report({ ...report, timestamp: NOW_MS - since_s * 1000 });
      progress.report({ ...report, timestamp: NOW_MS - 1_000, ...last });
      const body = await json(await api.request("/health"));
      expectSchema("Health", body);
      return { ...body, job: (body["jobs"] as Json[]).find(({ name }) => name === "weather-infer") };
    };
    expect(await infer(120)).toMatchObject({ status: "ok", job: { status: "up" } });
    expect(await infer(121)).toMatchObject({
      status: "degraded",
      job: {
        status: "waiting",
        state: "running",
        detail: `waiting since ${new Date(NOW_MS - 121_000).toISOString()}: ${report.message}`,
        next: "Run: millrace logs weather-infer",
      },
    });
    // Another state, or another submission, begins anew.
    expect(await infer(121, { state: "running", message: null })).toMatchObject({
      status: "ok",
      job: { detail: "running" },
    });
    expect(await infer(121, { submission: "weather-infer-2" })).toMatchObject({ status: "ok" });
  });

  it("live answers while everything else is down; ready follows the feed alone", async () => {
    const { app: api } = app({
      engines: async () => [{ ...down, needed: true }],
      feed: () => ({ ...caughtUp, caught_up: false }),
    });
    expect((await api.request("/health/live")).status).toBe(200);
    const ready = await api.request("/health/ready");
    expect(ready.status).toBe(503);
    expectSchema("Ready", await json(ready));
    const well = await app({ engines: async () => [{ ...down, needed: true }] }).app.request("/health/ready");
    expect(well.status).toBe(200);
  });
});

describe("GET /metrics", () => {
  it("speaks of jobs, engines, stations, lag, rejects and its own latency", async () => {
    const { app: api, latest, verified, progress, metrics } = app();
    latest.predicted("new-york", prediction(), arrival(1));
    verified.take("new-york", verification());
    metrics.rejected("out_of_range");
    metrics.predicted(1_000);
    progress.report({
      job: "weather-features",
      submission: "s",
      state: "running",
      timestamp: NOW_MS,
      error_code: null,
      message: null,
      counters: { input_rows: 1234, batch_ms: 410, "odd name": 1 },
    });
    await api.request("/predictions/new-york");
    const response = await api.request("/metrics");
    expect(response.headers.get("content-type")).toContain("text/plain");
    const lines = (await response.text()).split("\n");
    for (const line of [
      'millrace_job_input_rows{job="weather-features"} 1234',
      'millrace_job_batch_ms{job="weather-features"} 410',
      'millrace_job_odd_name{job="weather-features"} 1',
      'millrace_job_state{job="weather-features",state="running"} 1',
      'millrace_job_state{job="weather-features",state="failed"} 0',
      'millrace_engine_up{engine="kafka"} 1',
      'millrace_station_age_seconds{pipeline="weather",station="new-york"} 2',
      'millrace_station_stale{pipeline="weather",station="new-york"} 0',
      'millrace_consumer_lag{group="ray-ml-inference",topic="weather-features",partition="0"} 7',
      'millrace_feed_lag{topic="weather-predictions"} 0',
      'millrace_rejects_total{reason="out_of_range"} 1',
      'millrace_verification_forecasts{pipeline="weather",target="temperature",horizon_h="6",window="24h",status="verified"} 1',
      'millrace_verification_mae{pipeline="weather",target="temperature",horizon_h="6",window="7d",unit="degC",source="dap"} 1.5',
      'millrace_verification_coverage_ratio{pipeline="weather",target="temperature",horizon_h="6",window="24h",band="90"} 1',
      'millrace_verification_skill_ratio{pipeline="weather",target="temperature",horizon_h="6",window="24h",against="persistence"} 0.5',
      'millrace_verification_width{pipeline="weather",target="temperature",horizon_h="6",window="24h",unit="degC"} 4.5',
      'millrace_http_request_duration_seconds_count{method="GET",route="/predictions/{station_id}",status="200"} 1',
      "millrace_prediction_latency_seconds_count 1",
    ])
      expect(lines).toContain(line);
  });
});

describe("every route", () => {
  it.each(PATHS)("refuses another method on %s with 405 and what is allowed", async (path) => {
    const response = await app().app.request(path, { method: "POST" });
    expect(response.headers.get("allow")).toBe("GET, HEAD");
    await expectProblem(response, 405, "method_not_allowed");
  });

  it.each([...PATHS, "/web/assets/main-12345678.js", "/web/page.css", "/nothing"])(
    "HEAD answers on %s like GET, without a body",
    async (path) => {
      const { app: api, latest } = app();
      latest.predicted("new-york", prediction(), arrival(1));
      const [get, head] = [await api.request(path), await api.request(path, { method: "HEAD" })];
      expect(head.status).toBe(get.status);
      expect(head.headers.get("content-type")).toBe(get.headers.get("content-type"));
      expect(await head.text()).toBe("");
    },
  );

  it("refuses another method on the page's files with 405 too", async () => {
    const response = await app().app.request("/web/assets/main-12345678.js", { method: "POST" });
    expect(response.headers.get("allow")).toBe("GET, HEAD");
    await expectProblem(response, 405, "method_not_allowed");
  });

  it("a path that is none is a problem", async () => {
    await expectProblem(await app().app.request("/forecast"), 404, "unknown_route");
  });

  it("an engine's failure keeps its code; any other failure tells nothing of itself", async () => {
    const { app: known } = app({
      jobs: () => Promise.reject(new PipelineError("kafka_unreachable", 'Cannot reach "x"')),
    });
    const body = await expectProblem(await known.request("/jobs"), 503, "kafka_unreachable");
    expect(body["detail"]).toBe('Cannot reach "x"');
    const { app: broken, errors } = app({ jobs: () => Promise.reject(new Error("secret")) });
    const internal = await expectProblem(await broken.request("/jobs"), 500, "internal");
    expect(JSON.stringify(internal)).not.toContain("secret");
    expect(errors).toHaveLength(1);
  });

  it("every refusal and failure says what to do", () => {
    for (const answer of [...Object.values(REFUSAL), ...Object.values(FAILURE)])
      expect(answer.next.length).toBeGreaterThan(10);
  });
});

describe("GET /openapi.json", () => {
  it("is valid OpenAPI 3.1 and describes every route that is mounted", async () => {
    const { app: api } = app();
    const served = await json(await api.request("/openapi.json"));
    expect(served).toEqual(document);
    const result = await new Validator().validate(structuredClone(served));
    expect(result.errors ?? []).toEqual([]);
    expect(result.valid).toBe(true);
    const mounted = api.routes
      .filter((r) => r.method === "GET")
      .map((r) => r.path.replace(/:(\w+)/g, "{$1}"));
    expect(Object.keys(served["paths"] as Json).sort()).toEqual([...new Set(mounted)].sort());
  });

  it("the validator refuses a document with a fault", async () => {
    const result = await new Validator().validate({
      ...structuredClone(document),
      paths: { "/x": { get: { responses: 3 } } },
    });
    expect(result.valid).toBe(false);
  });

  it("carries the meaning of the confidence and the units of each forecast", () => {
    const text = JSON.stringify(document);
    expect(text).toContain("One paragraph on confidence.");
    expect(text).toContain('"unit":"degC"');
  });

  it("says what a forecast can be, where its quantity has a support", () => {
    const { WeatherForecast: Forecast } = (document["components"] as { schemas: Record<string, Json> })
      .schemas;
    const { predictions, intervals, bands } = Forecast!["properties"] as Record<string, Json>;
    const of = (part: Json | undefined, name: string) => (part!["properties"] as Record<string, Json>)[name];
    const percent = { minimum: 0, maximum: 100 };
    expect(of(predictions, "humidity_6h")).toMatchObject({ ...percent, type: ["number", "null"] });
    const ends = { properties: { lower: percent, upper: percent } };
    expect(of(intervals, "humidity_6h")).toMatchObject({ anyOf: [ends, { type: "null" }] });
    expect(of(bands, "humidity_6h")).toMatchObject({ items: ends });
    for (const part of [predictions, intervals, bands])
      expect(JSON.stringify(of(part, "temperature_6h"))).not.toMatch(/minimum|maximum/);
    const open = contract.fields.map((f) =>
      f.name === "pressure" ? { ...f, support: [0, null] as const } : f,
    );
    const half = described({ ...contract, fields: open });
    const text = JSON.stringify(
      (half["components"] as { schemas: Record<string, Json> }).schemas["WeatherForecast"],
    );
    expect(text).toContain('"minimum":0,"description":"Median, in hPa.","unit":"hPa"}');
  });

  it("leaves out what belongs to a part that is absent, and so does the API", async () => {
    const bare = { ...contract, parts: [], targets: [], horizons_ms: [], bands: [], history_values: [] };
    const { paths, components } = described(bare) as {
      paths: Json;
      components: { schemas: Json };
    };
    expect(Object.keys(paths)).toEqual([
      "/pipelines",
      "/stream",
      "/jobs",
      "/alerts",
      "/system",
      "/health",
      "/health/live",
      "/health/ready",
      "/metrics",
      "/openapi.json",
      "/docs",
      ...["/", "/weather/", "/stations/{station_id}", "/weather/stations/{station_id}"],
      ...["/pages/alerts", "/weather/pages/alerts", "/pages/system", "/weather/pages/system"],
    ]);
    expect(Object.keys(components.schemas)).not.toContain("WeatherForecast");
    const { app: api } = app({ contract: bare });
    await expectProblem(await api.request("/stations"), 404, "unknown_route");
    expect((await api.request("/jobs")).status).toBe(200);
  });

  it("says of forecasts without rules no word of a verdict, and so does the API", async () => {
    const parts = contract.parts.filter((part) => part !== "anomaly");
    const unjudged = { ...contract, parts };
    const { components } = described(unjudged) as { components: { schemas: Json } };
    const words = /is_anomaly|anomaly_|"evidence"|"anomaly":/;
    for (const name of ["WeatherForecast", "WeatherStation"])
      expect(JSON.stringify(components.schemas[name])).not.toMatch(words);
    const { app: api, latest } = app({ contract: unjudged });
    const { anomaly: _, ...record } = prediction();
    latest.predicted("new-york", record, arrival(1));
    expect(await (await api.request("/predictions/new-york")).text()).not.toMatch(words);
    const stations = await (await api.request("/stations")).text();
    expect(stations).not.toMatch(words);
    expect(JSON.parse(stations)).toMatchObject({ parts });
    const html = await (await api.request("/")).text();
    expect(html).not.toContain("Anomaly");
  });

  it("serves what is generated for a pipeline without rules", async () => {
    const { app: api, latest } = app({ contract: GAUGES });
    const { anomaly: _, ...record } = prediction({ predictions: { level_30m: 1.2 }, quantiles: {} });
    latest.predicted("g-1", record, arrival(1));
    expect(await (await api.request("/predictions/g-1")).json()).toMatchObject({
      gauge: "g-1",
      predictions: { level_30m: 1.2, level_90m: null, level_3h: null },
      units: { level_30m: "m" },
    });
  });

  it("takes and names horizons of less than whole hours", async () => {
    const half = { ...contract, horizons_ms: [HOUR_MS / 2, HOUR_MS * 1.5] };
    const { app: api, latest, verified } = app({ contract: half });
    const values = { temperature_30m: 1, temperature_90m: 2 };
    latest.predicted("new-york", prediction({ predictions: values, quantiles: {} }), arrival(1));
    verified.take("new-york", verification({ horizon_h: 1.5 }));
    expect(await (await api.request("/predictions/new-york")).json()).toMatchObject({
      predictions: values,
      units: { temperature_90m: "degC" },
      valid_at: { "30m": "2016-12-04T13:35:00.000Z", "90m": "2016-12-04T14:35:00.000Z" },
    });
    const of = async (horizon: string) => (await api.request(`/verifications?horizon=${horizon}`)).json();
    expect(await of("1.5")).toMatchObject({ verifications: [{ horizon_h: 1.5 }] });
    expect(await of("0.5")).toMatchObject({ verifications: [] });
    await expectProblem(await api.request("/verifications?horizon=1.50"), 400, "bad_parameter");
    expect(await json(await api.request("/pipelines"))).toMatchObject({
      pipelines: [{ forecasts: expect.arrayContaining([expect.objectContaining({ horizon: "90m" })]) }],
    });
    const { components } = described(half) as { components: { schemas: Json } };
    expect(components.schemas["WeatherScore"]).toMatchObject({
      properties: { horizon_h: { type: "number" } },
    });
  });

  it("names the station as the contract does", () => {
    const other = described({ ...contract, key: "vehicle_id" });
    expect(Object.keys(other["paths"] as Json)).toContain("/predictions/{vehicle_id}");
    const grouped = described({ ...contract, by: "route" });
    expect(Object.keys(grouped["paths"] as Json)).toContain("/predictions/{route}");
    expect(JSON.stringify(grouped)).toContain("How many observations the window holds.");
  });
});

describe("the page", () => {
  it.each([
    "/",
    "/weather/",
    "/stations/new-york",
    "/weather/stations/x%2Fy",
    "/pages/alerts",
    "/pages/scoreboard",
    "/pages/system",
  ])("is the same file at %s", async (path) => {
    const response = await app().app.request(path);
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("text/html; charset=utf-8");
    expect(response.headers.get("content-security-policy")).toContain("default-src 'none'");
    expect(await response.text()).toContain("<title>Millrace</title>");
  });

  it("keeps for good what is named by its content, and asks about the rest", async () => {
    const { app: api } = app();
    const of = async (path: string) => (await api.request(path)).headers.get("cache-control");
    expect(await of("/web/assets/main-12345678.js")).toContain("immutable");
    expect(await of("/web/page.css")).toBe("no-cache");
    expect(await of("/")).toBe("no-cache");
    expect((await api.request("/web/../serve/app.ts")).status).toBe(404);
  });
});

describe("GET /pipelines", () => {
  it("says how to read what is served", async () => {
    const body = await json(await app().app.request("/pipelines"));
    expectSchema("Pipelines", body);
    expect(body).toMatchObject({
      pipelines: [
        { pipeline: "weather", default: true, entity: "station", key: "station_id", bands: [0.5, 0.8, 0.9] },
      ],
      links: [{ name: "Spark" }],
    });
    const [{ values, forecasts }] = body["pipelines"] as [{ values: Json[]; forecasts: Json[] }];
    expect(values.map(({ column }) => column)).toEqual(contract.history_values);
    expect(forecasts[0]).toEqual({
      name: "temperature_6h",
      target: "temperature",
      unit: "degC",
      horizon: "6h",
      horizon_h: 6,
      column: "temperature_mean",
    });
  });
});
