import { describe, expect, it } from "vitest";
import { circleScale, differenceScale, legendColours, roundEnds, valueScale } from "./scale.ts";

describe("roundEnds()", () => {
  it.each([
    [
      [2.6, 17.1],
      [0, 20],
    ],
    [
      [-3.2, 4.4],
      [-4, 6],
    ],
    [[1019.3], [1019, 1020]],
    [
      [0, 0],
      [0, 1e-9],
    ],
    [[], [0, 1]],
  ])("of %j hold all of them on whole steps", (values, [low, high]) => {
    const [from, to] = roundEnds(values);
    expect(to).toBeGreaterThan(from);
    for (const value of values) expect(value >= from && value <= to).toBe(true);
    if (values.length > 1 && values[0] !== values[1]) {
      expect(from).toBeCloseTo(low!, 9);
      expect(to).toBeCloseTo(high!, 9);
    }
  });
});

describe("scales", () => {
  it("give their ends the ends of the ramp, and stay there beyond", () => {
    const scale = valueScale([0, 20]);
    expect(scale.colour(0)).toBe("rgb(72 54 140)");
    expect(scale.colour(20)).toBe("rgb(248 225 33)");
    expect(scale.colour(-5)).toBe(scale.colour(0));
    expect(scale.colour(99)).toBe(scale.colour(20));
  });
  it("of differences have nothing in the middle", () => {
    const scale = differenceScale([-1, 3]);
    expect([scale.low, scale.high]).toEqual([-3, 3]);
    expect(scale.colour(0)).toBe("rgb(236 236 222)");
  });
  it("of directions close", () => {
    const scale = circleScale();
    expect(scale.colour(360)).toBe(scale.colour(0));
    expect(scale.colour(-90)).toBe(scale.colour(270));
  });
  it("legends run from end to end", () => {
    const scale = valueScale([0, 20]);
    expect(legendColours(scale, 3)).toEqual([scale.colour(0), scale.colour(10), scale.colour(20)]);
  });
});
