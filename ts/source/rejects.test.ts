import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { pipelineOf } from "../pipelines/index.ts";
import { mended, type Reject, rejectId } from "./rejects.ts";

const { contract } = pipelineOf("weather");
const CLOCK = Date.UTC(2017, 0, 1);
const rejectOf = (given: Partial<Reject> = {}): Reject => ({
  topic: "weather-raw",
  partition: 3,
  offset: 1042,
  field: null,
  reason: "undecodable",
  detail: "",
  schema_id: null,
  key: Buffer.from("new-york"),
  value: null,
  headers: { clock: Buffer.from(String(CLOCK)) },
  append_time: CLOCK,
  rejected_time: CLOCK,
  ...given,
});
const sound = { station_id: "new-york", timestamp: CLOCK, temperature: 1, humidity: 50 };

describe("rejectId()", () => {
  it("is one word with the field behind it", () => {
    expect(rejectId(rejectOf())).toBe("weather-raw/3/1042");
    expect(rejectId(rejectOf({ field: "temperature" }))).toBe("weather-raw/3/1042/temperature");
  });
});

describe("mended()", () => {
  it("sends a record as it was when it is sound by now", () => {
    expect(mended(rejectOf({ reason: "unknown_schema" }), sound, {}, contract)).toMatchObject(sound);
  });

  it("leaves out fields that only the writer knew", () => {
    expect(mended(rejectOf(), { ...sound, visibility: 9 }, {}, contract)).not.toHaveProperty("visibility");
    expect(() => mended(rejectOf(), sound, { visibility: 9 }, contract)).toThrow(/"visibility"/);
  });

  it("takes the station from the record's key when the bytes hold none", () => {
    expect(mended(rejectOf(), null, { timestamp: CLOCK, humidity: "40" }, contract)).toMatchObject({
      station_id: "new-york",
      humidity: 40,
      temperature: null,
    });
  });

  it("of a refused field sends that field alone, whatever the others are", () => {
    const value = fc.option(fc.integer({ min: -200, max: 200 }));
    fc.assert(
      fc.property(value, value, fc.integer({ min: -90, max: 60 }), (temperature, wind_speed, mend) => {
        const reject = rejectOf({ field: "temperature", reason: "out_of_range" });
        const record = mended(reject, { ...sound, temperature, wind_speed }, { temperature: mend }, contract);
        const { station_id, timestamp, ...measured } = record;
        expect({ station_id, timestamp }).toEqual({ station_id: "new-york", timestamp: CLOCK });
        expect(Object.entries(measured).filter(([, v]) => v !== null)).toEqual([["temperature", mend]]);
      }),
    );
  });

  it("refuses what would be refused again", () => {
    const of =
      (reject: Reject, observation: object | null, changes = {}) =>
      () =>
        mended(reject, observation as Record<string, unknown> | null, changes, contract);
    expect(of(rejectOf(), null)).toThrow(/--value FILE/);
    expect(of(rejectOf({ key: null }), null, { timestamp: CLOCK })).toThrow(/"station_id" expected a name/);
    expect(of(rejectOf(), { ...sound, temperature: 61 })).toThrow(
      /"temperature" from -90 to 60 degC, got 61/,
    );
    expect(of(rejectOf({ field: "temperature" }), { ...sound, temperature: null })).toThrow(
      /--set temperature=VALUE/,
    );
    // An emptied time is nothing, as the first cell that the process reads as well.
    for (const timestamp of ["", " ", null])
      expect(of(rejectOf(), sound, { timestamp })).toThrow(/"timestamp" expected a time, got nothing/);
    expect(of(rejectOf(), sound, { station_id: "" })).toThrow(/"station_id" expected a name/);
    expect(of(rejectOf(), sound, { temperature: "warm" })).toThrow(/"temperature" expected a number/);
    expect(of(rejectOf({ field: "temperature" }), { ...sound, humidity: Number.NaN })).not.toThrow();
    const late = CLOCK + contract.lead_ms;
    expect(of(rejectOf(), { ...sound, timestamp: late })).not.toThrow();
    expect(of(rejectOf(), { ...sound, timestamp: late + 1 })).toThrow(/ahead of its clock/);
    expect(of(rejectOf({ headers: {} }), { ...sound, timestamp: late + 1 })).toThrow(/ahead of its clock/);
  });
});
