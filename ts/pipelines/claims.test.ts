import { describe, expect, it } from "vitest";
import { assertUnclaimed, isClaimable, overlap } from "./claims.ts";

describe("overlap()", () => {
  it.each([
    ["/api/a", "/api/a", true],
    ["/api/{id}", "/api/{name}", true],
    ["/api/{id}", "/api/now", true],
    ["/api/{id}/x", "/api/b/{y}", true],
    ["/api/a", "/api/b", false],
    ["/api/a", "/api/a/b", false],
    ["/api/{id}/x", "/api/b/y", false],
  ])("%s and %s: %s", (one, other, both) => {
    expect(overlap(one, other)).toBe(both);
    expect(overlap(other, one)).toBe(both);
  });
});

describe("isClaimable()", () => {
  it.each(["/api", "/api/city-statistics", "/api/v1.2/{bus_id}/x"])("takes %s", (path) =>
    expect(isClaimable(path)).toBe(true),
  );
  it.each(["", "/", "api", "/api/", "//api", "/{id}", "/api/{}", "/api/x{id}", "/API", "/../x", "/api?x"])(
    "refuses %s",
    (path) => expect(isClaimable(path)).toBe(false),
  );
});

describe("assertUnclaimed()", () => {
  const city = (...paths: string[]) => ({ pipeline: "city", paths });
  const others = [
    { pipeline: "weather", paths: [] },
    { pipeline: "buses", paths: ["/api/buses/{bus_id}"] },
  ];

  it("lets a pipeline have paths of its own", () => {
    expect(() => assertUnclaimed(city("/api/city-statistics", "/api/buses"), others)).not.toThrow();
    expect(() => assertUnclaimed(city(), others)).not.toThrow();
  });

  it.each([
    [["/api/buses/{id}"], 'route "/api/buses/{id}".*"/api/buses/{bus_id}" of pipeline "buses"'],
    [["/api/buses/now"], '"/api/buses/{bus_id}" of pipeline "buses"'],
    [["/api/a", "/api/a"], '"/api/a" of the same pipeline'],
    [["/stations/all"], 'the general routes "/stations" have'],
    [["/alerts"], 'the general routes "/alerts" have'],
    [["/weather/mine"], 'which is pipeline "weather"'],
    [["/city/mine"], 'which is pipeline "city"'],
    [["mine"], "expected a path of lower-case words"],
  ])("refuses %s, naming both", (paths, words) =>
    expect(() => assertUnclaimed(city(...paths), others)).toThrow(
      new RegExp(words.replaceAll(/[{}]/g, "\\$&")),
    ),
  );
});
