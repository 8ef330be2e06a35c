import { Readable } from "node:stream";
import avsc from "avsc";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { pipelineOf } from "../../pipelines/index.ts";
import type { Cells } from "./cells.ts";
import { avroCells } from "./container.ts";

const { contract } = pipelineOf("weather");
const T = Date.UTC(2024, 2, 1);
const ID = { name: "station_id", type: "string" };
const TIME = { name: "timestamp", type: { type: "long", logicalType: "timestamp-millis" } };
const TEMPERATURE = { name: "temperature", type: ["null", "double"], default: null };
const timed = (type: unknown, more: object = {}) => [ID, { name: "timestamp", type, ...more }, TEMPERATURE];
const valued = (type: unknown, more: object = {}) => [ID, TIME, { name: "temperature", type, ...more }];

/** Longs of the tests may be bigints. */
const long = avsc.types.LongType.__with({
  fromBuffer: (bytes: Buffer) => bytes.readBigInt64LE(),
  toBuffer: (value: number | bigint) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(value));
    return bytes;
  },
  fromJSON: BigInt,
  toJSON: String,
  isValid: () => true,
  compare: () => 0,
});

const HEADER = avsc.Type.forSchema({
  type: "record",
  name: "header",
  fields: [
    { name: "magic", type: { type: "fixed", name: "magic_bytes", size: 4 } },
    { name: "meta", type: { type: "map", values: "bytes" } },
    { name: "sync", type: { type: "fixed", name: "marker", size: 16 } },
  ],
});
const BLOCK = avsc.Type.forSchema({
  type: "record",
  name: "block",
  fields: [
    { name: "count", type: "long" },
    { name: "data", type: "bytes" },
    { name: "sync", type: { type: "fixed", name: "marker", size: 16 } },
  ],
});

/** A container with the schema as it stands here: avsc's own encoder leaves out what a type does not need. */
async function container(
  fields: readonly object[],
  records: readonly object[],
  more: object = {},
): Promise<Buffer> {
  const schema = { type: "record", name: "obs", ...more, fields };
  const isLong = (part: unknown) => part === "long" || (part as { type?: unknown } | null)?.type === "long";
  const type = avsc.Type.forSchema(
    schema as avsc.Schema,
    { wrapUnions: "always", typeHook: (part: unknown) => (isLong(part) ? long : undefined) } as never,
  );
  const sync = Buffer.alloc(16, 7);
  const meta = { "avro.schema": Buffer.from(JSON.stringify(schema)) };
  const data = Buffer.concat(records.map((record) => type.toBuffer(record)));
  const block = BLOCK.toBuffer({ count: records.length, data, sync });
  return Buffer.concat([HEADER.toBuffer({ magic: Buffer.from("Obj\x01"), meta, sync }), block]);
}

async function read(bytes: Buffer): Promise<{ cells: Cells[]; units: object }> {
  let units: object = {};
  const cells: Cells[] = [];
  for await (const located of avroCells(Readable.from([bytes]), "f.avro", contract, (own) => {
    units = own;
  }))
    cells.push(...located.map((one) => one.cells!));
  return { cells, units };
}
const one = async (fields: readonly object[], record: object) =>
  (await read(await container(fields, [record]))).cells[0]!;

describe("avroCells()", () => {
  it.each([
    [{ type: "long", logicalType: "timestamp-millis" }, T, {}],
    [{ type: "long", logicalType: "timestamp-micros" }, BigInt(T) * 1000n + 999n, {}],
    [{ type: "long", logicalType: "timestamp-nanos" }, BigInt(T) * 1_000_000n + 999_999n, {}],
    ["long", T, {}],
    ["long", T / 1000, { unit: "s" }],
    ["long", BigInt(T) * 1000n, { logicalType: "timestamp-micros" }],
    ["double", T, {}],
    [["null", { type: "long", logicalType: "timestamp-micros" }], { long: BigInt(T) * 1000n }, {}],
    [[{ type: "long", logicalType: "timestamp-micros" }, "string"], { long: BigInt(T) * 1000n }, {}],
  ])("reads a time of %j", async (type, value, more) => {
    const cells = await one(timed(type, more), { station_id: "a", timestamp: value, temperature: null });
    expect(cells["timestamp"]).toBe(T);
  });

  it("cuts what is finer than a millisecond towards the past, whatever the century", async () => {
    await fc.assert(
      fc.asyncProperty(fc.bigInt({ min: -(2n ** 62n), max: 2n ** 62n }), async (micros) => {
        const fields = timed({ type: "long", logicalType: "timestamp-micros" });
        const cells = await one(fields, { station_id: "a", timestamp: micros, temperature: null });
        const rest = ((micros % 1000n) + 1000n) % 1000n;
        expect(cells["timestamp"]).toBe(Number((micros - rest) / 1000n));
      }),
      { numRuns: 50 },
    );
  });

  it.each([
    { type: "long", logicalType: "local-timestamp-millis" },
    { type: "long", logicalType: "local-timestamp-micros" },
    { type: "long", logicalType: "local-timestamp-nanos" },
    { type: "long", logicalType: "time-micros" },
    { type: "long", logicalType: "timestamp-seconds" },
    { type: "int", logicalType: "date" },
    "int",
    "float",
    "boolean",
    ["null", { type: "long", logicalType: "local-timestamp-millis" }],
  ])("refuses a time of %j by name", async (type) => {
    await expect(read(await container(timed(type), []))).rejects.toThrow(/"timestamp" as a moment in UTC/);
  });

  it("refuses a time whose unit is not its logical type's, or none", async () => {
    await expect(read(await container(timed(TIME.type, { unit: "s" }), []))).rejects.toThrow(/"timestamp"/);
    await expect(read(await container(timed("long", { unit: "days" }), []))).rejects.toThrow(/"timestamp"/);
  });

  const decimal = { type: "bytes", logicalType: "decimal", precision: 6, scale: 2 };
  it.each([
    ["int", 21, 21],
    ["long", 21n, 21],
    ["float", 0.5, 0.5],
    ["double", 21.1, 21.1],
    ["string", "21.1", "21.1"],
    [["int", "null", "double"], { int: 21 }, 21],
    [["int", "null", "double"], { double: 21.5 }, 21.5],
    [["double", "long", "null"], { long: 21n }, 21],
    [["double", "long", "null"], null, null],
    [decimal, Buffer.from([0x07, 0xd0]), 20],
    [decimal, Buffer.from([0xf8, 0x30]), -20],
    [decimal, Buffer.from([0xff]), -0.01],
    [["null", decimal], { bytes: Buffer.from([0x08, 0x3d]) }, 21.09],
    [
      { type: "fixed", name: "d", size: 4, logicalType: "decimal", precision: 8, scale: 1 },
      Buffer.from([0, 0, 0, 211]),
      21.1,
    ],
  ])("reads a value of %j", async (type, value, wanted) => {
    const cells = await one(valued(type), { station_id: "a", timestamp: T, temperature: value });
    expect(cells["temperature"]).toBe(wanted);
  });

  it.each([
    "boolean",
    "bytes",
    { type: "enum", name: "e", symbols: ["warm", "cold"] },
    { type: "array", items: "double" },
    { type: "map", values: "double" },
    { type: "record", name: "r", fields: [{ name: "v", type: "double" }] },
    { type: "long", logicalType: "timestamp-millis" },
    { type: "int", logicalType: "date" },
    ["null", "double", "boolean"],
  ])("refuses a value of %j by name", async (type) => {
    await expect(read(await container(valued(type), []))).rejects.toThrow(/"temperature" as a number/);
  });

  it.each<[object, string | null]>([
    [{ uom: "degF" }, "degF"],
    [{ Unit: "K" }, "K"],
    [{ unit_of_measurement: "K" }, "K"],
    [{ doc: "Air temperature in degrees Fahrenheit" }, "degF"],
    [{ doc: "Air temperature (°F), 2 m above ground" }, "degF"],
    [{ doc: "Air temperature [K]" }, "K"],
    [{ doc: "temperature, celsius" }, "degC"],
    [{ doc: "a C of other letters, at 10 m, in the shade of 1013 hPa" }, null],
    [{ doc: "in kelvin", unit: "degC" }, "degC"],
    [{ type: ["null", { type: "double", doc: "in K" }] }, "K"],
  ])("finds the unit in %j", async (more, unit) => {
    const found = (
      await read(await container([ID, TIME, { name: "temperature", type: "double", ...more }], []))
    ).units;
    expect(found).toEqual(unit === null ? {} : { temperature: unit });
  });

  it("takes units that a schema lists for all its fields", async () => {
    const fields = [ID, TIME, { name: "temperature", type: "double" }];
    expect((await read(await container(fields, [], { units: { temperature: "degF" } }))).units).toEqual({
      temperature: "degF",
    });
  });

  it.each<[object, string]>([
    [
      {
        type: [
          { type: "float", unit: "degF" },
          { type: "double", unit: "degC" },
        ],
      },
      "one unit",
    ],
    [{ type: { type: "double", unit: "degF" }, unit: "degC" }, "one unit"],
    [{ doc: "in degC, was in degF" }, "degC and degF"],
    [{ type: "int", scale_factor: 0.1 }, "without scale_factor 0.1"],
    [{ type: { type: "int", scale: 1 } }, "without scale 1"],
    [{ add_offset: 273.15 }, "without add_offset"],
    [{ _FillValue: -9999 }, "without _FillValue -9999"],
  ])("refuses a number whose schema makes another of it: %j", async (more, seen) => {
    const bytes = await container([ID, TIME, { name: "temperature", type: "double", ...more }], []);
    await expect(read(bytes)).rejects.toThrow(seen);
  });

  it.each<[object, number]>([
    [{ doc: "epoch seconds" }, 2_000],
    [{ doc: "microseconds since the epoch, UTC" }, 0],
    [{ doc: "when it was observed" }, 2],
    [
      {
        type: { type: "long", logicalType: "timestamp-millis", "adjust-to-utc": true },
        doc: "to the second",
      },
      2,
    ],
    [{ timezone: "UTC" }, 2],
  ])("counts a moment in what its schema says: %j", async (more, ms) => {
    const fields = [
      ID,
      { name: "timestamp", type: "long", ...more },
      { name: "temperature", type: "double" },
    ];
    const record = { station_id: "a", timestamp: 2n, temperature: 1 };
    expect((await one(fields, record))["timestamp"]).toBe(ms);
  });

  it.each<object>([
    { type: { type: "long", logicalType: "timestamp-micros", "adjust-to-utc": false } },
    { timezone: "Europe/Berlin" },
    { tz: "+02:00" },
    { doc: "local time in ms" },
    { doc: "seconds or milliseconds" },
  ])("refuses a moment of another zone, or of two units: %j", async (more) => {
    const bytes = await container(
      [ID, { name: "timestamp", type: "long", ...more }, { name: "temperature", type: "double" }],
      [],
    );
    await expect(read(bytes)).rejects.toThrow('"timestamp"');
  });

  it("gives the units that the schema names, on the field or on its type", async () => {
    const fields = [
      ID,
      TIME,
      { ...TEMPERATURE, unit: "degF" },
      { name: "wind_speed", type: ["null", { type: "double", unit: "km/h" }], default: null },
      { name: "pressure", type: { type: "double", units: "kPa" } },
      { name: "humidity", type: ["null", "double"], default: null },
    ];
    expect((await read(await container(fields, []))).units).toEqual({
      temperature: "degF",
      wind_speed: "km/h",
      pressure: "kPa",
    });
  });

  it("takes names that are enums, types that are named elsewhere, and aliases", async () => {
    const fields = [
      { name: "station_id", type: { type: "enum", name: "site", symbols: ["alpha"] } },
      TIME,
      {
        name: "air_temp",
        aliases: ["temperature"],
        type: { type: "fixed", name: "hundredths", size: 2, logicalType: "decimal", precision: 4, scale: 2 },
      },
      { name: "humidity", type: ["null", "com.example.hundredths"], default: null },
    ];
    const records = [
      {
        station_id: "alpha",
        timestamp: T,
        air_temp: Buffer.from([7, 208]),
        humidity: { "com.example.hundredths": Buffer.from([7, 208]) },
      },
    ];
    const { cells } = await read(await container(fields, records, { namespace: "com.example" }));
    expect(cells).toEqual([{ station_id: "alpha", timestamp: T, temperature: 20, humidity: 20 }]);
  });

  it.each([
    [
      "a field of another name",
      [ID, TIME, TEMPERATURE, { name: "dew_point", type: "double" }],
      '"dew_point"',
    ],
    ["no time", [ID, TEMPERATURE], 'without "timestamp"'],
    ["no measurement", [ID, TIME], "at least one of temperature"],
    [
      "two fields for one",
      [ID, TIME, TEMPERATURE, { name: "t", aliases: ["temperature"], type: "double" }],
      '"temperature"',
    ],
    [
      "a name that is a number",
      [{ name: "station_id", type: "long" }, TIME, TEMPERATURE],
      '"station_id" as a string',
    ],
  ])("refuses a schema with %s before its first record", async (_, fields, seen) => {
    await expect(read(await container(fields, []))).rejects.toMatchObject({
      code: "config_invalid",
      message: expect.stringContaining(seen),
    });
  });
});
