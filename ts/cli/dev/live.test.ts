// What a live demo stands on: names to places, their past and their present, from the stand-in a machine without internet has.

import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { get } from "../../ground/get.ts";
import { pipelineOf } from "../../pipelines/index.ts";
import { startStandin } from "../../rehearse/standin/server.ts";
import { keyOfPlace, parseGeocode } from "../../source/feeds/geocode.ts";
import type { Row } from "../../source/row.ts";
import { isOnline, locate, namedOf, namespaceOf, pastOf, sourceFor, sourceWords, wishOf } from "./live.ts";

const { contract } = pipelineOf("weather");
const HOUR_MS = 3_600_000;
let server: Server;
let standin: string;
beforeAll(async () => {
  server = await startStandin(0);
  standin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

describe("what is asked for", () => {
  it("is five cities or five stations, or what is named", () => {
    expect(namedOf(wishOf("open-meteo", [])).map(({ key }) => key)).toEqual([
      ...["new-york", "chicago", "denver", "seattle", "miami"],
    ]);
    for (const { key } of [...namedOf(wishOf("open-meteo", [])), ...namedOf(wishOf("nws", []))])
      expect(contract.stations[key]?.latitude, key).toBeTypeOf("number");
    expect(namedOf(wishOf("open-meteo", ["Lisbon, Oslo", "São Paulo"]))).toEqual([
      { key: "lisbon", name: "Lisbon" },
      { key: "oslo", name: "Oslo" },
      { key: "sao-paulo", name: "São Paulo" },
    ]);
    expect(namedOf(wishOf("nws", ["ksfo"]))).toEqual([{ key: "ksfo", name: "KSFO" }]);
  });
  it("is refused where nobody could look it up", () => {
    expect(() => wishOf("openweathermap", [])).toThrow(
      'Cannot show feed "openweathermap": expected one of open-meteo, nws',
    );
    expect(() => wishOf("open-meteo", ["Oslo, ?!"])).toThrow(
      'Cannot look up "?!": expected the name of a place',
    );
    expect(() => wishOf("nws", ["New York"])).toThrow("expected a station's code as in KNYC");
    expect(() => sourceFor(pipelineOf("meters").pipeline, "nws")).toThrow("it has none");
  });
  it("each in a namespace of its own, real or made up", () => {
    const [model, measured] = [wishOf("open-meteo", []), wishOf("nws", [])];
    expect([namespaceOf(model, true), namespaceOf(measured, true), namespaceOf(model, false)]).toEqual([
      ...["live", "live-nws", "made-up"],
    ]);
  });
  it("has keys that a URL can hold", () => {
    expect(["Kraków", "  St. John's ", "東京", "?"].map(keyOfPlace)).toEqual([
      "krakow",
      "st-john-s",
      "東京",
      "",
    ]);
  });
});

describe("places", () => {
  const effects = { feed: "open-meteo" as const, agent: "test", stations: contract.stations };
  it("are looked up, and say where they are", async () => {
    expect(await locate({ key: "lisbon", name: "Lisbon" }, { ...effects, standin })).toEqual({
      ...{ key: "lisbon", name: "Lisbon", latitude: 38.71667, longitude: -9.13333 },
      words: "Lisbon, Portugal (38.72, -9.13)",
    });
    expect(await locate({ key: "ksfo", name: "KSFO" }, { ...effects, feed: "nws", standin })).toMatchObject({
      key: "ksfo",
      name: "KSFO",
    });
  });
  it("that nobody knows are named", async () => {
    expect(parseGeocode(Buffer.from('{"generationtime_ms":0.6}'))).toBeNull();
    const nobody = async () => ({
      kind: "answer" as const,
      status: 200,
      headers: {},
      body: Buffer.from("{}"),
    });
    await expect(locate({ key: "x", name: "Xyzzy" }, { ...effects, standin }, nobody)).rejects.toThrow(
      'Cannot look up "Xyzzy": expected a place of that name, nobody knows one',
    );
  });
  it("are words of millrace produce", () => {
    const place = { key: "lisbon", name: "Lisbon", latitude: 38.7, longitude: -9.1, words: "" };
    expect(sourceWords("open-meteo", [place], null)).toEqual(["--place", "lisbon=38.7,-9.1"]);
    expect(sourceWords("nws", [{ ...place, key: "new-york", name: "KNYC" }], standin)).toEqual([
      ...["--place", "new-york=KNYC", "--url", standin],
    ]);
  });
});

describe("their past", () => {
  it("is every hour of the last 92 days up to the cut, by the contract, and ends where the present begins", async () => {
    const cut_ms = Math.floor(Date.now() / HOUR_MS) * HOUR_MS;
    const places = await Promise.all(
      namedOf(wishOf("open-meteo", ["Lisbon, Oslo"])).map((one) =>
        locate(one, { feed: "open-meteo", agent: "test", stations: {}, standin }),
      ),
    );
    const input = await pastOf(places, { cut_ms, standin, agent: "test", contract });
    const rows: Row[] = [];
    for await (const list of input.rows()) rows.push(...list);
    const hours = (cut_ms - rows[0]!.time) / HOUR_MS;
    expect(hours).toBeGreaterThanOrEqual(91 * 24);
    expect(rows).toHaveLength(2 * hours);
    expect(rows.at(-1)!.time).toBe(cut_ms - HOUR_MS);
    expect(rows.every(({ time }, i) => i === 0 || time >= rows[i - 1]!.time)).toBe(true);
    for (const { record } of rows) expect(Object.values(record).every((value) => value !== null)).toBe(true);
    const temperatures = rows.map(({ record }) => Number(record["temperature"]));
    expect(Math.max(...temperatures) - Math.min(...temperatures)).toBeGreaterThan(10);
  });
  it("that is not answered says what came", async () => {
    const busy = async () => ({ kind: "answer" as const, status: 503, headers: {}, body: Buffer.from("") });
    const place = { key: "a", name: "A", latitude: 1, longitude: 1, words: "" };
    await expect(
      pastOf([place], { cut_ms: Date.now(), standin: null, agent: "test", contract }, busy),
    ).rejects.toThrow("Cannot read the past of A: expected an answer, got HTTP 503");
  });
});

describe("the internet", () => {
  it("is there when Open-Meteo answers anything", async () => {
    expect(await isOnline("test", async () => ({ kind: "none", reason: "no" }))).toBe(false);
    expect(await isOnline("test", async ({ url: _, ...rest }) => get({ ...rest, url: `${standin}/` }))).toBe(
      true,
    );
  });
});
