import { describe, expect, it } from "vitest";
import {
  decimalsWithin,
  errorText,
  forecastText,
  NONE,
  percentText,
  rangeText,
  spanText,
  titleOf,
  valueText,
  withUnit,
} from "./words.ts";

const interval = (lower: number, upper: number) => ({ lower, upper, level: 0.9 });

describe("numbers", () => {
  it.each([
    [2.64, "degC", "2.6"],
    [-0.04, "degC", "0.0"],
    [-3.25, "degC", "−3.3"],
    [58.4, "%", "58"],
    [271.6, "deg", "272"],
    [null, "m/s", NONE],
    [undefined, "m/s", NONE],
  ])("of %s %s are said as %s", (value, unit, text) => expect(valueText(value, unit)).toBe(text));

  it("of a forecast have the digits that its interval leaves standing", () => {
    expect(forecastText(3.14, "degC", interval(1.1, 5.6))).toBe("3.1");
    expect(forecastText(431.27, "kW", interval(390, 480))).toBe("431");
    expect(forecastText(61.4, "%", interval(55, 70))).toBe("61");
    expect(forecastText(null, "degC", null)).toBe(NONE);
    expect(rangeText(interval(-1.14, 5.6), "degC")).toBe("−1.1 to 5.6");
    expect(rangeText(null, "degC")).toBe(NONE);
  });

  it("decimalsWithin() keeps the last digit within a tenth of the width", () => {
    expect([0.03, 0.3, 4.5, 18, 300, 0, Number.NaN].map(decimalsWithin)).toEqual([3, 2, 1, 0, 0, 1, 1]);
  });

  it("of an error have a sign, but for nothing", () =>
    expect([1.24, -1.24, 0.01, null].map((error) => errorText(error, "degC"))).toEqual([
      "+1.2",
      "−1.2",
      "0.0",
      NONE,
    ]));

  it("stand beside their unit", () => {
    expect(withUnit("3.1", "degC")).toBe("3.1 °C");
    expect(withUnit("272", "deg")).toBe("272°");
    expect(withUnit("7", "1")).toBe("7");
    expect(percentText(0.896)).toBe("90 %");
  });
});

it("spanText() and titleOf()", () => {
  expect([0.4, 119, 600, 9_000, 400_000].map(spanText)).toEqual(["0 s", "119 s", "10 min", "2.5 h", "5 d"]);
  expect(titleOf("wind_direction")).toBe("Wind direction");
});
