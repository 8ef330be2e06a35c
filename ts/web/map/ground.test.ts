import { describe, expect, it } from "vitest";
import { stations } from "../../pipelines/weather/stations.ts";
import { bearingIn, groundOf, type Place, projectionOf, standing } from "./ground.ts";

const placed = (prefix: boolean): Place[] =>
  Object.entries(stations).flatMap(([id, { latitude, longitude }]) =>
    latitude === null || longitude === null || id.startsWith("sg-") !== prefix
      ? []
      : [{ latitude, longitude }],
  );
const us = placed(false);
const singapore = placed(true);

describe("groundOf()", () => {
  it("is the states for cities of theirs, the world for anything else", () => {
    expect(groundOf(us)).toBe("us");
    expect(groundOf(singapore)).toBe("world");
    expect(groundOf([...us, ...singapore])).toBe("world");
    expect(groundOf([{ latitude: 21.3, longitude: -157.9 }])).toBe("us");
    expect(groundOf([])).toBe("world");
  });
});

describe("projectionOf()", () => {
  it.each([
    ["cities of the states", us],
    ["one island", singapore],
    ["both at once", [...us, ...singapore]],
    [
      "both sides of the date line",
      [
        { latitude: -18, longitude: 178 },
        { latitude: -14, longitude: -171 },
      ],
    ],
    ["one place", us.slice(0, 1)],
    ["the same place twice", [us[0]!, us[0]!]],
  ])("holds %s within the picture, and uses it", (_, places) => {
    const projection = projectionOf(groundOf(places), places, 800, 500);
    const points = places.map(({ longitude, latitude }) => projection([longitude, latitude])!);
    for (const [x, y] of points) {
      expect(x).toBeGreaterThan(20);
      expect(x).toBeLessThan(780);
      expect(y).toBeGreaterThan(20);
      expect(y).toBeLessThan(480);
    }
    const spread = (axis: 0 | 1) =>
      Math.max(...points.map((p) => p[axis])) - Math.min(...points.map((p) => p[axis]));
    if (places.length > 2) expect(Math.max(spread(0) / 640, spread(1) / 400)).toBeGreaterThan(0.95);
    else if (places.length === 1) expect(points[0]![0]).toBeCloseTo(400, 3);
  });
  it("without places is the earth", () =>
    expect(projectionOf("world", [], 800, 500)([0, 0])![0]).toBeCloseTo(400, 3));
});

it("bearingIn() follows the picture's north, which leans towards the middle of a cone", () => {
  const middle = projectionOf("world", singapore, 800, 500);
  expect(bearingIn(middle, singapore[0]!, 90)).toBeCloseTo(90, 3);
  const states = projectionOf("us", us, 800, 500);
  const [east, west] = [
    bearingIn(states, { longitude: -74, latitude: 41 }, 0),
    bearingIn(states, { longitude: -122, latitude: 45 }, 0),
  ];
  expect(east).toBeLessThan(-5);
  expect(west).toBeGreaterThan(5);
});

it("standing() lets no label hide another or a mark, and takes the first place that is free", () => {
  const box = (x: number, y: number) => ({ x, y, width: 30, height: 15 });
  const mark = box(100, 100);
  expect(
    standing([[box(0, 0)], [box(20, 5), box(20, 16)], [box(20, 12)], [box(110, 100), box(140, 100)]], [mark]),
  ).toEqual([box(0, 0), box(20, 16), null, box(140, 100)]);
});
