import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { pipelineOf } from "../../pipelines/index.ts";
import { describeBad, type Row } from "../row.ts";
import { type KaggleOptions, kaggleInput, knownAnomalies } from "./kaggle.ts";

const { contract } = pipelineOf("weather");
const CITIES = [
  "City,Country,Latitude,Longitude",
  "Boston,United States,42.358429,-71.059769",
  "New York,United States,40.714272,-74.005966",
  "Jerusalem,Israel,31.769039,35.216331",
];
const TEMPERATURE = [
  "datetime,New York,Jerusalem,Boston",
  "2016-12-01 00:00:00,273.15,300.0,",
  "2016-12-01 01:00:00,280.65,300.0,281.15",
  "2016-12-01 02:00:00,283.15,300.0,283.15",
];
const HUMIDITY = ["datetime,Boston,New York", "2016-12-01 01:00:00,81.0,", "2016-12-01 03:00:00,80.0,70.0"];

/** A folder like the set's; a file of `files` replaces the one of that name, null takes it out. */
function folderOf(files: Readonly<Record<string, readonly string[] | null>> = {}): string {
  const folder = mkdtempSync(join(tmpdir(), "kaggle-"));
  mkdirSync(join(folder, "full"));
  const all = {
    "city_attributes.csv": CITIES,
    "full/temperature.csv.gz": TEMPERATURE,
    "humidity.csv": HUMIDITY,
    ...files,
  };
  for (const [name, lines] of Object.entries(all)) {
    if (lines === null) continue;
    const text = `${lines.join("\n")}\n`;
    writeFileSync(join(folder, name), name.endsWith(".gz") ? gzipSync(text) : text);
  }
  return folder;
}

async function read(folder: string, options: Partial<KaggleOptions> = {}) {
  const bad: string[] = [];
  const rows: Row[] = [];
  const input = kaggleInput({ folder, contract, onBad: (b) => bad.push(describeBad(b)), ...options });
  for await (const chunk of input.rows()) rows.push(...chunk);
  return { rows, bad };
}
const told = (rows: readonly Row[]) =>
  rows.map(({ key, time, record }) => {
    const { temperature, humidity } = record as { temperature: number | null; humidity: number | null };
    const degC = temperature === null ? null : Math.round(temperature * 1000) / 1000;
    return `${new Date(time).toISOString().slice(11, 13)} ${key} ${degC} ${humidity}`;
  });

describe("kaggleInput()", () => {
  it("joins the variables by hour and city, in degC, with null for what a city has not", async () => {
    const { rows, bad } = await read(folderOf());
    expect(told(rows)).toEqual([
      "00 new-york 0 null",
      "01 boston 8 81",
      "01 new-york 7.5 null",
      "02 boston 10 null",
      "02 new-york 10 null",
      "03 boston null 80",
      "03 new-york null 70",
    ]);
    expect(bad).toEqual([]);
    expect(Object.keys(rows[0]!.record).sort()).toEqual(contract.fields.map((f) => f.name).sort());
  });

  it("keeps from inclusive and to exclusive, and takes the folder full/ itself", async () => {
    const folder = folderOf();
    const from_ms = Date.parse("2016-12-01T01:00:00Z");
    const { rows } = await read(folder, { from_ms, to_ms: from_ms + 3_600_000 });
    expect(told(rows)).toEqual(["01 boston 8 81", "01 new-york 7.5 null"]);
    expect(told((await read(join(folder, "full"))).rows)).toHaveLength(5);
  });

  it("leaves out lines that are no rows and cells that are no numbers, and says which", async () => {
    const { rows, bad } = await read(
      folderOf({
        "full/temperature.csv.gz": [
          ...TEMPERATURE.slice(0, 2),
          "2016-12-01 01:00,1,1,1",
          "2016-12-01 01:00:00,280.65,300.0",
          "2016-12-01 01:00:00,n/a,n/a,281.15",
          "2016-12-01 00:00:00,1,1,1",
        ],
        "humidity.csv": null,
      }),
    );
    expect(told(rows)).toEqual(["00 new-york 0 null", "01 boston 8 null"]);
    expect(bad).toEqual([
      'temperature.csv.gz:3 column "datetime": expected YYYY-MM-DD HH:MM:SS, got "2016-12-01 01:00"',
      "temperature.csv.gz:4: expected 4 cells, got 3",
      'temperature.csv.gz:5 column "New York": expected a number or nothing, got "n/a"',
      'temperature.csv.gz:6 column "datetime": expected rows in time order, got "2016-12-01 00:00:00" after a later one',
    ]);
  });

  it("leaves out a row of the future and goes on", async () => {
    const { rows, bad } = await read(
      folderOf({
        "full/temperature.csv.gz": [
          ...TEMPERATURE.slice(0, 2),
          "2073-01-01 00:00:00,1,1,1",
          "2016-12-01 01:00:00,280.65,300.0,281.15",
        ],
        "humidity.csv": null,
      }),
    );
    expect(told(rows)).toHaveLength(3);
    expect(bad).toEqual([
      'temperature.csv.gz:3 column "datetime": expected rows in time order, got "2073-01-01 00:00:00" before earlier ones',
    ]);
  });

  it("reads by the header that stands above a row, whatever white space is in it", async () => {
    const again = [
      ...TEMPERATURE.slice(0, 2),
      "datetime, Boston ,New York,Jerusalem",
      "2016-12-01 01:00:00,281.15,280.65,300.0",
    ];
    const { rows, bad } = await read(folderOf({ "full/temperature.csv.gz": again, "humidity.csv": null }));
    expect(told(rows)).toEqual(["00 new-york 0 null", "01 boston 8 null", "01 new-york 7.5 null"]);
    expect(bad).toEqual([]);
    const twice = ["datetime,Boston,New York,Boston ", "2016-12-01 01:00:00,1,2,3"];
    await expect(read(folderOf({ "full/temperature.csv.gz": twice }))).rejects.toThrow('"Boston" twice');
  });

  it.each(["2016-02-30 00:00:00", "2016-11-30 24:00:00", "2016-11-31 01:00:00", "0000-01-01 00:00:00"])(
    "takes %s for no time",
    async (time) => {
      const lines = [TEMPERATURE[0]!, `${time},1,1,1`, ...TEMPERATURE.slice(1)];
      const { rows, bad } = await read(folderOf({ "full/temperature.csv.gz": lines, "humidity.csv": null }));
      expect(told(rows)).toHaveLength(5);
      expect(bad).toEqual([
        `temperature.csv.gz:2 column "datetime": expected YYYY-MM-DD HH:MM:SS, got "${time}"`,
      ]);
    },
  );

  it("refuses a city that stands nowhere: no latitude is not 0", async () => {
    const nowhere = ["City,Country,Latitude,Longitude", "Boston,United States,,-71.059769"];
    await expect(read(folderOf({ "city_attributes.csv": nowhere }))).rejects.toThrow("got NaN, -71.059769");
  });

  it("refuses a folder without the set, and a city that stands elsewhere than the pipeline's", async () => {
    const none = { "full/temperature.csv.gz": null, "humidity.csv": null };
    await expect(read(folderOf(none))).rejects.toThrow("expected files like full/temperature.csv.gz");
    await expect(read(folderOf({ "city_attributes.csv": null }))).rejects.toThrow("city_attributes.csv");
    const maine = ["City,Country,Latitude,Longitude", "Boston,United States,52.97,-0.02"];
    await expect(read(folderOf({ "city_attributes.csv": maine }))).rejects.toThrow("got 52.97, -0.02");
    await expect(
      read(folderOf({ "full/temperature.csv.gz": ["time,Boston", "2016-12-01 00:00:00,280"] })),
    ).rejects.toThrow("expected a header of datetime and cities");
  });

  it("has a fingerprint of the files and of the span", async () => {
    const folder = folderOf();
    const of = (options: Partial<KaggleOptions> = {}) =>
      kaggleInput({ folder, contract, ...options }).fingerprint();
    expect(await of()).toBe(await of());
    expect(await of({ to_ms: 1 })).not.toBe(await of());
    const other = folderOf({ "humidity.csv": [...HUMIDITY, "2016-12-01 04:00:00,1,1"] });
    expect(await kaggleInput({ folder: other, contract }).fingerprint()).not.toBe(await of());
  });
});

describe("knownAnomalies()", () => {
  it("gives one stretch a station and field, of those the pipeline knows", async () => {
    const folder = folderOf({
      "known-anomalies.csv": [
        "kind,variable,city,start,end,hours,detail",
        'frozen_feed,temperature+soil,New York,2016-12-01 01:00:00,2016-12-01 03:00:00,3,"T, repeated"',
        "spike,humidity,Jerusalem,2016-12-01 01:00:00,2016-12-01 01:00:00,1,x",
      ],
    });
    expect(await knownAnomalies(folder, contract)).toEqual([
      {
        station: "new-york",
        field: "temperature",
        kind: "frozen_feed",
        from_ms: Date.parse("2016-12-01T01:00:00Z"),
        to_ms: Date.parse("2016-12-01T03:00:00Z"),
      },
    ]);
  });

  it("is null without a list, and refuses a line that is no anomaly", async () => {
    expect(await knownAnomalies(folderOf(), contract)).toBeNull();
    const broken = ["kind,variable,city,start,end,hours,detail", "spike,humidity,Boston,soon,later,1,x"];
    await expect(knownAnomalies(folderOf({ "known-anomalies.csv": broken }), contract)).rejects.toThrow(
      "line 2: expected an anomaly",
    );
  });
});
