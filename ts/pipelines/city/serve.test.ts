import { Validator } from "@seriousme/openapi-schema-validator";
import { describe, expect, it } from "vitest";
import { LinesReader } from "../../lines/reader.ts";
import { documentOf } from "../../serve/app.ts";
import { domainOf } from "../../serve/domain.ts";
import { cityFiles, publish } from "../../test/served/city.ts";
import { app, NOW_MS } from "../../test/served/weather.ts";
import { pipelineOf } from "../index.ts";

const FROM_MS = NOW_MS - 24 * 3_600_000;

/** What the tests look at, of any of the answers. */
interface Body {
  readonly cities: readonly object[];
  readonly hours: readonly { readonly hour: string }[];
  readonly series: readonly object[];
  readonly anomalies: readonly object[];
  readonly records: readonly { readonly city: string }[];
  readonly units: Readonly<Record<string, string>>;
  readonly next: string | null;
  readonly code: string;
}

async function served({ computed = true } = {}) {
  const files = await cityFiles(NOW_MS);
  if (computed) await publish(files, NOW_MS);
  const clock = { nowMs: () => NOW_MS };
  const { pipeline, contract } = pipelineOf("city");
  const lines = new LinesReader(files, "weather", clock);
  const { app: api, effects } = app({ contract, lines, domain: domainOf({ pipeline, folder: null })! });
  const get = async (path: string) => {
    const response = await api.request(path);
    return {
      status: response.status,
      etag: response.headers.get("etag"),
      body: (await response.json()) as Body,
    };
  };
  return { files, api, effects, get };
}

describe("routes of the city system", () => {
  it("answer what the newest run wrote, with its age, its range and the unit of every number", async () => {
    const { get } = await served();
    const { status, body } = await get("/api/city-statistics");
    expect(status).toBe(200);
    expect(body).toMatchObject({
      ...{ version: "run-7", age_s: 90, simulated: true, from: new Date(FROM_MS).toISOString() },
      units: { temperature_mean: "degC", humidity_mean: "%" },
    });
    expect(body.cities[1]).toEqual({
      ...{ city: "tokyo", name: "Tokyo", count: 10, temperature_mean: 4.25, temperature_min: -1 },
      ...{ temperature_max: 9, temperature_std: null, humidity_mean: 71, simulated_count: 4 },
    });
    const trends = (await get("/city/api/hourly-trends?city=london")).body;
    expect(trends.hours.map(({ hour }: { hour: string }) => hour)).toEqual([
      "2026-01-10T06:00:00.000Z",
      "2026-01-10T07:00:00.000Z",
    ]);
    expect(trends.units.wind_speed_mean).toBe("m/s");
    expect((await get("/api/anomalies")).body.anomalies).toEqual([
      {
        ...{ city: "tokyo", name: "Tokyo", time: "2026-01-10T07:10:00.000Z", field: "pressure", unit: "hPa" },
        ...{ value: 900, mean: 1010, std: 20, sigmas: -5.5 },
      },
    ]);
  });

  it("turn the hours round for a chart, null where a city has none", async () => {
    const { get } = await served();
    const { body } = await get("/api/temperature-chart");
    expect(body.hours).toHaveLength(2);
    expect(body.series).toEqual([
      { city: "london", name: "London", values: [4, 5] },
      { city: "tokyo", name: "Tokyo", values: [null, null] },
    ]);
    expect((await get("/api/humidity-chart")).body).toMatchObject({
      units: { values: "%" },
      series: [{ values: [70, 70] }, { values: [null, 70] }],
    });
  });

  it("page through the records by city and time", async () => {
    const { get } = await served();
    const first = (await get("/api/raw-data?limit=2")).body;
    expect(first.records.map(({ city }: { city: string }) => city)).toEqual(["london", "tokyo"]);
    expect(first.records[1]).toMatchObject({
      simulated: true,
      rain: null,
      description: "mist",
      name: "Tokyo",
    });
    const second = (await get(`/api/raw-data?limit=2&cursor=${first.next}`)).body;
    expect([second.records.length, second.next]).toEqual([1, null]);
    const range = `from=${new Date(NOW_MS).toISOString()}&city=london`;
    expect((await get(`/api/raw-data?${range}`)).body.records).toHaveLength(1);
    for (const bad of ["cursor=x", "cursor=1.2.3", "limit=0", "limit=1001", "city=nowhere", "from=yesterday"])
      expect([bad, (await get(`/api/raw-data?${bad}`)).status]).toEqual([bad, 400]);
  });

  it("are kept by their version: the same again costs no body", async () => {
    const { api, get } = await served();
    const { etag } = await get("/api/anomalies");
    const again = await api.request("/api/anomalies", { headers: { "if-none-match": etag! } });
    expect(again.status).toBe(304);
  });

  it("say what to do before the first run, and while HDFS is away", async () => {
    const { get } = await served({ computed: false });
    expect((await get("/api/hourly-trends")).body).toMatchObject({ code: "no_figures", status: 503 });
    expect((await get("/api/hourly-trends")).body.next).toContain("millrace submit city-analytics --now");
    const away = await served();
    away.files.away = true;
    for (const path of ["/api/raw-data", "/api/anomalies"]) {
      const { status, body } = await away.get(path);
      expect([path, status, body.code]).toEqual([path, 503, "store_unreachable"]);
    }
  });

  it("are described as every other route is", async () => {
    const { api, effects } = await served();
    const document = documentOf(api, effects);
    expect(Object.keys(document["paths"] as object)).toContain("/city/api/raw-data");
    expect((await new Validator().validate(structuredClone(document))).errors ?? []).toEqual([]);
  });
});
