import { describe, expect, it } from "vitest";
import { parseObservation } from "./observation.ts";
import { KEYS, PRIMITIVES, parseRecord, ROLES } from "./schema.ts";

const record = (...fields: unknown[]) => JSON.stringify({ type: "record", name: "r", fields });
const typed = (type: unknown, more: object = {}) => record({ name: "x", type, ...more });
const parse = (text: string) => parseRecord(text, "x.avsc");

describe("parseRecord()", () => {
  // What the generator knows. A word added here needs a rule in both writers and in both codecs.
  it("knows these words and no others", () => {
    expect(PRIMITIVES).toEqual(["boolean", "int", "long", "double", "string", "bytes"]);
    expect(KEYS).toEqual({
      record: ["type", "name", "namespace", "doc", "fields"],
      field: [
        "name",
        "type",
        "default",
        "doc",
        "quantity",
        "unit",
        "range",
        "support",
        "max_length",
        "pattern",
        "role",
        "magnitude",
      ],
      enum: ["type", "name", "namespace", "doc", "symbols"],
      array: ["type", "items"],
      map: ["type", "values"],
      primitive: ["type", "logicalType", "wide"],
    });
    expect(ROLES).toEqual(["key", "event_time", "measurement", "circular", "attribute"]);
  });

  it.each([...PRIMITIVES, { type: "long", logicalType: "timestamp-millis" }, { type: "long", wide: true }])(
    "reads %j, alone and nullable",
    (type) => {
      expect(parse(typed(type)).fields[0]!.name).toBe("x");
      expect(parse(typed(["null", type], { default: null })).fields[0]!.shape.kind).toBe("nullable");
    },
  );

  it("reads a named type again by its name", () => {
    const inner = { type: "record", name: "inner", fields: [{ name: "n", type: "int" }] };
    const { fields } = parse(record({ name: "a", type: inner }, { name: "b", type: ["null", "inner"] }));
    expect(fields[1]!.shape).toEqual({ kind: "nullable", of: fields[0]!.shape });
  });

  it.each([
    [
      [0, 1],
      [0, 1],
    ],
    [
      [0, null],
      [0, null],
    ],
    [
      [null, 1],
      [null, 1],
    ],
    [undefined, null],
  ])("reads support %j as %j", (support, wanted) =>
    expect(parse(typed("double", { support })).fields[0]!.support).toEqual(wanted),
  );

  it.each([
    ["float", typed("float")],
    ["fixed", typed({ type: "fixed", name: "f", size: 4 })],
    ["a union of two types", typed(["string", "int"])],
    ["a union of three", typed(["null", "string", "int"])],
    ["null last", typed(["string", "null"])],
    ["null alone", typed("null")],
    ["a decimal", typed({ type: "bytes", logicalType: "decimal", precision: 4 })],
    ["micros", typed({ type: "long", logicalType: "timestamp-micros" })],
    ["a wide int", typed({ type: "int", wide: true })],
    ["a default that is not null", typed("int", { default: 0 })],
    ["a default on what is not nullable", typed("string", { default: null })],
    ["aliases on a field", typed("int", { aliases: ["y"] })],
    ["an order", typed("int", { order: "ignore" })],
    ["an unknown name", typed("elsewhere")],
    ["a record in itself", typed(["null", "r"])],
    ["aliases on a record", JSON.stringify({ type: "record", name: "r", aliases: ["s"], fields: [] })],
    ["a default on an enum", typed({ type: "enum", name: "e", symbols: ["a"], default: "a" })],
    ["a name that is not snake_case", record({ name: "camelCase", type: "int" })],
    ["a field twice", record({ name: "x", type: "int" }, { name: "x", type: "int" })],
    ["a unit without a rule", typed("double", { unit: "furlong" })],
    ["a source's unit", typed("double", { unit: "degF" })],
    ["a role without a rule", typed("double", { role: "target" })],
    ["a quantity that is no word", typed("double", { quantity: "Air Temperature" })],
    ["a range upside down", typed("double", { range: [1, 0] })],
    ["a support upside down", typed("double", { support: [1, 0] })],
    ["a support of one point", typed("double", { support: [1, 1] })],
    ["a support that bounds nothing", typed("double", { support: [null, null] })],
    ["a support of one end", typed("double", { support: [0] })],
    ["a support of three ends", typed("double", { support: [0, 1, 2] })],
    ["a support in words", typed("double", { support: ["0", "1"] })],
    ["a support of a number", typed("double", { support: 100 })],
    ["a support that is null", typed("double", { support: null })],
    ["a misspelt key", typed("double", { units: "degC" })],
    ["a list at the top", "[]"],
    ["no JSON", "{"],
  ])("refuses %s, naming the file", (_, text) => expect(() => parse(text)).toThrow(/"x\.avsc"/));
});

describe("parseObservation()", () => {
  const key = { name: "id", type: "string", role: "key" };
  const time = {
    name: "at",
    type: { type: "long", logicalType: "timestamp-millis" },
    role: "event_time",
    unit: "ms",
  };
  const value = (more: object = {}) => ({
    name: "v",
    type: ["null", "double"],
    default: null,
    role: "measurement",
    quantity: "voltage",
    unit: "V",
    range: [0, 1],
    ...more,
  });
  const observe = (...fields: unknown[]) => parseObservation(record(...fields), "x.avsc");

  it("finds key, time and measurements", () =>
    expect(observe(key, time, value())).toMatchObject({ name: "r", key: "id", event_time: "at" }));

  it.each([
    [
      [0, 1],
      [0, 1],
    ],
    [
      [0.5, null],
      [0.5, null],
    ],
    [
      [null, 0.5],
      [null, 0.5],
    ],
    [undefined, null],
  ])("takes support %j within the range [0, 1]", (support, wanted) =>
    expect(observe(key, time, value({ support })).fields[2]).toMatchObject({ support: wanted }),
  );

  it.each([
    ["no key", [time, value()], "one field of role key"],
    ["two keys", [key, { ...key, name: "other" }, time, value()], "got 2"],
    ["no time", [key, value()], "role event_time"],
    ["a time in seconds", [key, { ...time, unit: "s" }, value()], '"ms"'],
    ["a pattern on a measurement", [key, time, value({ pattern: "a" })], "on an attribute only"],
    ["a field without a role", [key, time, value(), { name: "note", type: "string" }], "a role"],
    [
      "a measurement that cannot be null",
      [key, time, value({ type: "double", default: undefined })],
      "nullable double",
    ],
    ["a measurement without a unit", [key, time, value({ unit: undefined })], "a unit"],
    ["a measurement in a slope's unit", [key, time, value({ unit: "V/h" })], "a unit"],
    ["a measurement without a quantity", [key, time, value({ quantity: undefined })], "a quantity"],
    ["a measurement without a range", [key, time, value({ range: undefined })], "a range"],
    [
      "a direction of half a circle",
      [key, time, value({ role: "circular", unit: "deg", range: [0, 180] })],
      "[0, 360]",
    ],
    [
      "a support on the key",
      [{ ...key, support: [0, 1] }, time, value()],
      "a support on a measurement only, got one on role key",
    ],
    [
      "a support on the time",
      [key, { ...time, support: [0, null] }, value()],
      "a support on a measurement only, got one on role event_time",
    ],
    [
      "a support on a direction",
      [key, time, value({ role: "circular", unit: "deg", range: [0, 360], support: [0, 360] })],
      "a support on a measurement only, got one on role circular",
    ],
    [
      "a magnitude on a measurement",
      [key, time, value({ magnitude: "value" })],
      "a magnitude on a direction only, got one on role measurement",
    ],
    [
      "a magnitude that is no field",
      [key, time, value({ role: "circular", unit: "deg", range: [0, 360], magnitude: "speed" })],
      'a magnitude that is a measurement of this contract, got "speed"',
    ],
    [
      "a magnitude that is no name",
      [key, time, value({ role: "circular", unit: "deg", range: [0, 360], magnitude: 7 })],
      "a magnitude that names a field",
    ],
    [
      "a support above the range",
      [key, time, value({ support: [0, 2] })],
      "within the range [0,1], got [0,2]",
    ],
    ["a support below the range", [key, time, value({ support: [-1, 1] })], "within the range [0,1]"],
    ["a support beside the range", [key, time, value({ support: [2, null] })], "within the range [0,1]"],
    ["a support at an edge only", [key, time, value({ support: [1, null] })], "within the range [0,1]"],
  ])("refuses %s", (_, fields, words) => expect(() => observe(...fields)).toThrow(words));
});
