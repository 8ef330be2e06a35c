import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { pipelineOf } from "../../pipelines/index.ts";
import { epochMs, isBad, mapperOf } from "./cells.ts";

const { contract } = pipelineOf("weather");

describe("epochMs()", () => {
  it.each([
    ["2016-12-01T00:00:00Z", Date.UTC(2016, 11, 1)],
    ["2016-12-01T08:00:59+08:00", Date.UTC(2016, 11, 1, 0, 0, 59)],
    ["2016-11-30T19:30:00.5-04:30", Date.UTC(2016, 11, 1, 0, 0, 0, 500)],
    ["2016-12-01 00:00:00.123456789z", Date.UTC(2016, 11, 1, 0, 0, 0, 123)],
    ["2016-02-29T23:59:59Z", Date.UTC(2016, 1, 29, 23, 59, 59)],
    ["1480550400000", 1_480_550_400_000],
    ["-1", -1],
    [1_480_550_400_000, 1_480_550_400_000],
  ])("reads %s", (cell, ms) => {
    expect(epochMs(cell)).toBe(ms);
  });

  it.each([
    "2016-12-01T00:00:00",
    "2016-12-01",
    "2015-02-29T00:00:00Z",
    "2016-13-01T00:00:00Z",
    "2016-12-01T24:00:00Z",
    "2016-12-31T23:59:60Z",
    "2016-12-01T00:00:00+24:00",
    "0000-01-01T00:00:00Z",
    "99999999999999999",
    "9999999999999999",
    "yesterday",
    "",
    null,
    undefined,
    1.5,
    true,
  ])("refuses %s", (cell) => {
    expect(epochMs(cell)).toBeTypeOf("string");
  });

  it("gives back any time it was written as, in any offset", () => {
    const time = fc.integer({ min: Date.UTC(1, 0, 1) - 6e13, max: Date.UTC(9999, 0, 1) });
    fc.assert(
      fc.property(time, fc.integer({ min: -23 * 60, max: 23 * 60 }), (ms, offset_min) => {
        const local = new Date(ms + offset_min * 60_000).toISOString();
        fc.pre(local.length === 24 && new Date(ms).toISOString().length === 24);
        const size = Math.abs(offset_min);
        const two = (n: number): string => String(n).padStart(2, "0");
        const offset = `${offset_min < 0 ? "-" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}`;
        expect(epochMs(local.replace("Z", offset))).toBe(ms);
      }),
    );
  });
});

describe("mapperOf()", () => {
  const map = mapperOf(contract, { temperature: "K", wind_speed: "kn", pressure: "hPa" });
  const good = { station_id: "a", timestamp: "2016-12-01T00:00:00Z" };

  it("converts at the edge and fills what is absent with null", () => {
    const row = map({ ...good, temperature: "273.15", wind_speed: "3600", humidity: "" });
    expect(row).toMatchObject({ key: "a", time: 1_480_550_400_000 });
    expect(!isBad(row) && row.record).toMatchObject({
      humidity: null,
      pressure: null,
      precipitation: null,
    });
    expect(!isBad(row) && row.record["temperature"]).toBeCloseTo(0, 9);
    expect(!isBad(row) && row.record["wind_speed"]).toBeCloseTo(1852, 9);
  });

  it.each([
    [{ ...good, station_id: "" }, "station_id", "expected a name, got nothing"],
    [
      { ...good, timestamp: "now" },
      "timestamp",
      'expected RFC 3339 with an offset or epoch milliseconds, got "now"',
    ],
    [{ ...good, temperature: "12,5" }, "temperature", 'expected a number or nothing, got "12,5"'],
    [{ ...good, temperature: "NaN" }, "temperature", 'expected a number or nothing, got "NaN"'],
    [{ ...good, humidity: Number.POSITIVE_INFINITY }, "humidity", "expected a finite number, got Infinity"],
    [{ ...good, humidity: "0x10" }, "humidity", 'expected a number or nothing, got "0x10"'],
    [{ ...good, humidity: [1] }, "humidity", "expected a number or nothing, got [1]"],
    [{ ...good, temp: "1" }, "temp", expect.stringContaining("expected one of station_id, timestamp")],
  ])("says which column of %j is bad and why", (cells, column, reason) => {
    expect(map(cells)).toEqual({ column, reason });
  });

  it("leaves ranges to Spark", () => {
    const row = map({ ...good, humidity: "4000" });
    expect(!isBad(row) && row.record["humidity"]).toBe(4000);
  });

  it("refuses a unit that cannot become the contract's, naming both, and a name that has none", () => {
    expect(() => mapperOf(contract, { temperature: "m/s" })).toThrow(/"m\/s" to "degC"/);
    expect(() => mapperOf(contract, { station_id: "K" })).toThrow(/"station_id"/);
    expect(() => mapperOf(contract, { timestamp: "s" })).toThrow(/"timestamp"/);
  });
});
