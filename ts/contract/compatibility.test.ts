import { describe, expect, it } from "vitest";
import { assertCompatible, breaches } from "./compatibility.ts";
import { STREAM_FORMATS, schemaIn } from "./format.ts";

const field = (name: string, more: object = {}) => ({
  name,
  type: ["null", "double"],
  default: null,
  role: "measurement",
  quantity: "air_temperature",
  unit: "degC",
  range: [-90, 60],
  doc: "",
  ...more,
});
const schema = (...fields: object[]) => JSON.stringify({ type: "record", name: "reading", fields });
const id = { name: "id", type: "string", role: "key" };
const before = schema(id, field("temperature"));

describe("breaches()", () => {
  it.each([
    ["nothing", before],
    ["a doc", schema(id, field("temperature", { doc: "Better words." }))],
    ["a nullable field more", schema(id, field("temperature"), field("dew_point"))],
    ["a support that comes", schema(id, field("temperature", { support: [0, null] }))],
    ["the order", schema(field("temperature"), id)],
  ])("lets %s change", (_, after) => expect(breaches(before, after)).toEqual([]));

  it.each([
    ["unit", schema(id, field("temperature", { unit: "K" })), ["temperature", '"degC"', '"K"']],
    ["quantity", schema(id, field("temperature", { quantity: "dew_point" })), ["temperature", "quantity"]],
    ["range", schema(id, field("temperature", { range: [-90, 70] })), ["[-90,60]", "[-90,70]"]],
    ["role", schema(id, field("temperature", { role: "circular" })), ["temperature", "role"]],
    ["type", schema({ ...id, type: "int" }, field("temperature")), ["id", "string", "int"]],
    [
      "nullability",
      schema(id, field("temperature", { type: "double", default: undefined })),
      ["nullable double"],
    ],
    ["name", schema(id, field("temp")), ["temperature is gone"]],
    ["presence", schema(id), ["temperature is gone"]],
    [
      "a required field more",
      schema(id, field("temperature"), { name: "n", type: "int" }),
      ["n is new", "int"],
    ],
  ])("refuses a change of %s, naming the field and both sides", (_, after, words) => {
    for (const word of words)
      expect(() => assertCompatible("weather-raw-value", before, after)).toThrow(word);
    expect(() => assertCompatible("weather-raw-value", before, after)).toThrow('"weather-raw-value"');
  });

  it("lets no field of protobuf change its number, and no number its field", () => {
    const proto = (...fields: object[]) => schemaIn("protobuf", schema(...fields));
    const first = proto(id, field("temperature"));
    expect(breaches(first, proto(id, field("temperature"), field("dew_point")))).toEqual([]);
    expect(breaches(first, proto(field("temperature"), id))).toMatchObject([
      { field: "id", reason: expect.stringContaining("expected 1, got 2") },
      { field: "temperature", reason: expect.stringContaining("expected 2, got 1") },
    ]);
    expect(breaches(first, proto(id, field("dew_point"), field("temperature")))).toMatchObject([
      { field: "temperature", reason: expect.stringContaining("expected 2, got 3") },
    ]);
    // Its number would be the next one's.
    expect(breaches(first, proto(id, field("dew_point")))).toMatchObject([
      { field: "temperature", reason: expect.stringContaining("is gone") },
    ]);
  });

  it("sees a unit that changes in every format, and a format that changes", () => {
    const kelvin = schema(id, field("temperature", { unit: "K" }));
    for (const format of STREAM_FORMATS)
      expect(breaches(schemaIn(format, before), schemaIn(format, kelvin))).toMatchObject([
        { field: "temperature", reason: expect.stringContaining("unit") },
      ]);
    expect(breaches(before, schemaIn("json", before))).toMatchObject([
      { reason: expect.stringContaining("format") },
    ]);
  });

  it("looks into records, lists, maps and enumerations", () => {
    const nested = (symbols: string[], inner: string, items: string, values: string) =>
      schema(
        { name: "e", type: { type: "enum", name: "e", symbols } },
        { name: "r", type: { type: "record", name: "r", fields: [{ name: "x", type: inner }] } },
        { name: "l", type: { type: "array", items } },
        { name: "m", type: { type: "map", values } },
      );
    const first = nested(["a", "b"], "int", "int", "int");
    expect(breaches(first, nested(["a", "b", "c"], "int", "int", "int"))).toEqual([]);
    expect(breaches(first, nested(["b", "a"], "long", "long", "long")).map((b) => b.field)).toEqual([
      "e",
      "r.x",
      "l[]",
      "m{}",
    ]);
  });
});
