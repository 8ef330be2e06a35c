import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PipelineError } from "./errors.ts";
import { converter, isUnit, UNITS, unitNamed, unitRule, unitWord } from "./units.ts";

describe("converter()", () => {
  // Expected values from the definitions of the units, not from the table.
  it.each([
    ["K", "degC", 273.15, 0],
    ["degF", "degC", 212, 100],
    ["degF", "degC", -40, -40],
    ["kn", "m/s", 3600, 1852],
    ["mph", "m/s", 1, 0.44704],
    ["km/h", "m/s", 36, 10],
    ["Pa", "hPa", 101_325, 1013.25],
    ["inHg", "hPa", 29.92, 1013.2],
    ["in", "mm", 1, 25.4],
    ["m", "km", 1500, 1.5],
    ["1", "%", 0.61, 61],
    ["rad", "deg", Math.PI, 180],
    ["W", "kW", 250, 0.25],
  ])("turns %s into %s", (from, to, value, wanted) =>
    expect(converter(from, to)(value)).toBeCloseTo(wanted, 1),
  );

  it.each([
    ["Celsius", "degC", 21, 21],
    ["°F", "degC", 50, 10],
    ["kelvin", "degC", 273.15, 0],
    ["knots", "m/s", 3600, 1852],
    ["KT", "m/s", 3600, 1852],
    ["m s-1", "m/s", 3, 3],
    ["HPA", "hPa", 1000, 1000],
    ["mb", "hPa", 1000, 1000],
    ["percent", "%", 61, 61],
    ["fraction", "%", 0.61, 61],
    ["inches", "mm", 1, 25.4],
  ])("knows %s by its other word, as %s", (from, to, value, wanted) =>
    expect(converter(from, to)(value)).toBeCloseTo(wanted, 6),
  );

  it("does not take one unit for another because of case", () => {
    expect([unitNamed("mW"), unitNamed("MW"), unitNamed("Mm")]).toEqual(["mW", "MW", "Mm"]);
  });

  it("is exact for the same unit", () => expect(converter("degC", "degC")(0.1 + 0.2)).toBe(0.1 + 0.2));

  it("goes there and back", () => {
    const there = converter("degF", "K");
    const back = converter("K", "degF");
    fc.assert(
      fc.property(
        fc.double({ min: -500, max: 5000, noNaN: true }),
        (x) => Math.abs(back(there(x)) - x) < 1e-9,
      ),
    );
  });

  it.each([
    ["K", "hPa"],
    ["furlong", "m"],
    ["m", "furlong"],
    ["furlong", "furlong"],
    ["constructor", "m"],
    ["toString", "m"],
  ])("refuses %s to %s, naming both", (from, to) => {
    const convert = () => converter(from, to);
    expect(convert).toThrow(PipelineError);
    expect(convert).toThrow(new RegExp(`"${from}" to "${to}"`));
  });
});

describe("the table of units", () => {
  it("knows the slope of every unit that has one, and no foreign unit", () => {
    for (const { per_hour } of Object.values(UNITS))
      if (per_hour !== null) expect(isUnit(per_hour)).toBe(true);
    expect(isUnit("degF")).toBe(false);
    expect(isUnit("celsius")).toBe(false);
    expect(unitRule("inHg")).toBeUndefined();
    expect(isUnit("toString")).toBe(false);
  });
});

it("unitWord() is the word that names carry", () => {
  expect(["%", "m/s", "degC", null].map(unitWord)).toEqual(["pct", "m_per_s", "degC", "1"]);
});
