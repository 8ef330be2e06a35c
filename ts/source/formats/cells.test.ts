import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { parseObservation } from "../../contract/index.ts";
import { pipelineOf } from "../../pipelines/index.ts";
import { type BadCell, epochMs, isBad, type MapperOptions, mapperOf } from "./cells.ts";

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
    "0001-01-01T00:00:00+14:00",
    "0001-01-01T00:00:00+00:01",
    "9999-12-31T23:59:59-14:00",
    "9999-12-31t23:59:59.999-00:01",
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

  it("takes the first and the last moment of its years in any offset", () => {
    expect(epochMs("0001-01-01T14:00:00+14:00")).toBe(Date.parse("0001-01-01T00:00:00Z"));
    expect(epochMs("9999-12-31T09:59:59.999-14:00")).toBe(Date.parse("9999-12-31T23:59:59.999Z"));
  });

  it.each(["", null, undefined])("refuses %j as the first cell that it ever sees", async (cell) => {
    vi.resetModules();
    const fresh = await import("./cells.ts");
    expect(fresh.epochMs(cell)).toBe("expected a time, got nothing");
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
      // Its own year is 0, that of UTC is 1.
      { examples: [[-62135527200001, -1160]] },
    );
  });
});

describe("mapperOf()", () => {
  const good = { station_id: "a", timestamp: "2016-12-01T00:00:00Z" };
  const mapped = (cells: object, options: MapperOptions = {}) => {
    const bad: BadCell[] = [];
    const row = mapperOf(contract, options)({ ...good, ...cells }, (cell) => bad.push(cell));
    return { row, bad, record: isBad(row) ? null : row.record };
  };
  const units = { temperature: "K", wind_speed: "kn", pressure: "hPa" };

  it("converts at the edge and fills what is absent with null", () => {
    const { row, record, bad } = mapped(
      { temperature: "273.15", wind_speed: "3600", humidity: "" },
      { units },
    );
    expect(row).toMatchObject({ key: "a", time: 1_480_550_400_000 });
    expect(record).toMatchObject({ humidity: null, pressure: null, precipitation: null });
    expect(record!["temperature"]).toBeCloseTo(0, 9);
    expect(record!["wind_speed"]).toBeCloseTo(1852, 9);
    expect(bad).toEqual([]);
  });

  it.each([
    [{ station_id: "" }, "station_id", "expected a name, got nothing"],
    [{ station_id: " \r" }, "station_id", "expected a name, got nothing"],
    [{ timestamp: "now" }, "timestamp", 'expected RFC 3339 with an offset or epoch milliseconds, got "now"'],
    [{ timestamp: " " }, "timestamp", "expected a time, got nothing"],
    [{ temp: "1" }, "temp", expect.stringContaining("expected one of station_id, timestamp")],
  ])("says which column costs the row %j and why", (cells, column, reason) => {
    expect(mapped(cells).row).toEqual({ column, reason });
  });

  it.each([
    [{ temperature: "12,5" }, "temperature", 'expected a number or nothing, got "12,5"'],
    [{ temperature: "NaN" }, "temperature", 'expected a number or nothing, got "NaN"'],
    [{ humidity: Number.POSITIVE_INFINITY }, "humidity", "expected a finite number, got Infinity"],
    [{ humidity: "0x10" }, "humidity", 'expected a number or nothing, got "0x10"'],
    [{ humidity: [1] }, "humidity", "expected a number or nothing, got [1]"],
    [{ humidity: true }, "humidity", "expected a number or nothing, got true"],
    [{ wind_speed: "1e309" }, "wind_speed", 'expected a number or nothing, got "1e309"'],
  ])("nulls the cell of %j and says why; the rest of its row lives", (cells, column, reason) => {
    const { record, bad } = mapped({ pressure: "1000", ...cells });
    expect(bad).toEqual([{ column, reason }]);
    expect(record).toMatchObject({ [column]: null, pressure: 1000 });
  });

  it("nulls a value that its unit carries out of the numbers", () => {
    const { record, bad } = mapped({ precipitation: "1e308" }, { units: { precipitation: "mi" } });
    expect(record).toMatchObject({ precipitation: null });
    expect(bad).toEqual([{ column: "precipitation", reason: "expected a finite number, got Infinity" }]);
  });

  it("takes names and times without the white space around them", () => {
    expect(mapped({ station_id: "alpha\r" }).row).toMatchObject({
      key: "alpha",
      record: { station_id: "alpha" },
    });
    expect(mapped({ station_id: " São Paulo\t", timestamp: " 2016-12-01T00:00:00Z\r" }).row).toMatchObject({
      key: "São Paulo",
      time: 1_480_550_400_000,
    });
  });

  it.each(["\u200Balpha", "alpha\u200E\u00A0", "\uFEFFalpha\u00AD"])(
    "takes %j for the name it looks like",
    (id) => {
      expect(mapped({ station_id: id }).row).toMatchObject({ key: "alpha" });
    },
  );

  // Latin-1 bytes become U+FFFD, halves of pairs do on the wire.
  it.each(["Z\uFFFDrich", "\uD800", "a\uDC00b", "al\u0000pha", "al\u001Bpha", "x".repeat(1_001)])(
    "refuses %j, which is no name that could be told from others and asked for",
    (id) => {
      expect(mapped({ station_id: id }).row).toMatchObject({
        column: "station_id",
        reason: expect.stringContaining("in UTF-8"),
      });
    },
  );

  it("takes names of any script, of several lines, and as long as they can be served", () => {
    for (const id of [
      "Zürich",
      "東京",
      "می\u200Cخواهم",
      "👩‍👩‍👧",
      "two\nlines",
      "雨".repeat(1_000),
      "a/b%2F",
    ])
      expect(mapped({ station_id: id }).row).toMatchObject({ key: id });
  });

  it("refuses a word for nothing of a column that there is none of", () => {
    for (const word of ["temprature=-9999", "station_id=x"])
      expect(() => mapperOf(contract, { nulls: [word] })).toThrow(`got "${word.split("=")[0]}"`);
  });

  it("takes words for nothing as nothing: in any case, numbers in any spelling and before their unit", () => {
    const options = { units, nulls: ["na", "-9999", "wind_speed=999.9"] };
    const cells = { temperature: -9999, humidity: " NA ", pressure: "-9999.00", wind_speed: "999.90" };
    const { record, bad } = mapped(cells, options);
    expect(record).toMatchObject({ temperature: null, humidity: null, pressure: null, wind_speed: null });
    expect(bad).toEqual([]);
    expect(mapped({ pressure: "999.9", humidity: "M" }, options)).toMatchObject({
      record: { pressure: 999.9, humidity: null },
      bad: [{ column: "humidity" }],
    });
  });

  it("leaves ranges to Spark", () => expect(mapped({ humidity: "4000" }).record!["humidity"]).toBe(4000));

  it("refuses a unit that cannot become the contract's, naming both, and a name that has none", () => {
    const of = (units: Record<string, string>) => () => mapperOf(contract, { units });
    expect(of({ temperature: "m/s" })).toThrow(/"temperature" in "m\/s".*"degC"/);
    expect(of({ station_id: "K" })).toThrow(/"station_id"/);
    expect(of({ timestamp: "s" })).toThrow(/"timestamp"/);
  });
});

describe("mapperOf() with attributes", () => {
  const path = join(import.meta.dirname, "../../test/pipelines/works/works_notice.avsc");
  const notice = parseObservation(readFileSync(path, "utf8"), path);
  const good = { site_id: "7", reported_at: "2024-02-01T00:00:00Z", state: "open" };
  const mapped = (cells: object, options: MapperOptions = {}) => {
    const bad: BadCell[] = [];
    const row = mapperOf(notice, options)({ ...good, ...cells }, (cell) => bad.push(cell));
    return { row, columns: bad.map(({ column }) => column), record: isBad(row) ? null : row.record };
  };

  it.each([
    ["text of a CSV", { blocked: "TRUE", lanes: "2", until: "2024-02-29", note: " two words " }],
    ["JSON", { blocked: true, lanes: 2, until: "2024-02-29", note: " two words " }],
    ["Avro", { blocked: true, lanes: 2, until: 19_782, note: " two words " }],
  ])("reads %s", (_, cells) =>
    expect(mapped({ ...cells, state: " open " })).toMatchObject({
      columns: [],
      record: { state: "open", blocked: true, lanes: 2, until: 19_782, note: " two words " },
    }),
  );

  it("takes an empty cell for nothing", () =>
    expect(mapped({ blocked: "", lanes: " ", until: null, note: "" }).record).toEqual({
      site_id: "7",
      reported_at: 1_706_745_600_000,
      state: "open",
      blocked: null,
      lanes: null,
      until: null,
      note: null,
    }));

  it("costs a value that is not accepted, and no more", () => {
    const cells = { blocked: "maybe", lanes: "2.5", until: "2024-02-30", note: "x".repeat(501) };
    const { columns, record } = mapped(cells);
    expect(columns).toEqual(["blocked", "lanes", "until", "note"]);
    expect(record).toMatchObject({ state: "open", blocked: null, lanes: null, until: null, note: null });
    expect(mapped({ blocked: 1, lanes: 13, until: "1999-12-31", note: 5 }).columns).toEqual(columns);
  });

  it.each(["", "ended", null, 1])("refuses a row whose required attribute is %j", (state) =>
    expect(mapped({ state }).row).toMatchObject({ column: "state" }),
  );

  it("knows the words for no value, and no unit of an attribute", () => {
    expect(mapped({ lanes: "-1", note: "NA" }, { nulls: ["NA", "lanes=-1"] })).toMatchObject({
      columns: [],
      record: { lanes: null, note: null },
    });
    expect(() => mapperOf(notice, { units: { lanes: "mm" } })).toThrow("expected a measurement");
  });
});
