import { describe, expect, it } from "vitest";
import { CLAIMED } from "../pipelines/rules.ts";
import { addressOf, CLAIMED_HERE, readRoute } from "./route.ts";

describe("readRoute()", () => {
  it.each([
    ["/", { pipeline: null, page: "map", station: null }],
    ["/weather/", { pipeline: "weather", page: "map", station: null }],
    ["/stations/new-york", { pipeline: null, page: "station", station: "new-york" }],
    ["/meters/stations/m%2F1", { pipeline: "meters", page: "station", station: "m/1" }],
    ["/pages/alerts", { pipeline: null, page: "alerts", station: null }],
    ["/meters/pages/scoreboard", { pipeline: "meters", page: "scoreboard", station: null }],
    ["/pages/system", { pipeline: null, page: "system", station: null }],
    ["/stations/%E0%A4%A", { pipeline: null, page: "none", station: null }],
    ["/pages/x", { pipeline: null, page: "none", station: null }],
    ["/stations", { pipeline: null, page: "none", station: null }],
    ["/meters/pages/alerts/x", { pipeline: "meters", page: "none", station: null }],
  ])("reads %s", (path, route) => {
    expect(readRoute(path, "")).toEqual({ ...route, query: {} });
  });

  it("reads what is shown from the query", () =>
    expect(readRoute("/", "?at=2016-12-04T13:05:00Z&field=humidity").query).toEqual({
      at: "2016-12-04T13:05:00Z",
      field: "humidity",
    }));
});

it("addressOf() is the inverse", () => {
  for (const address of [
    "/",
    "/meters/",
    "/stations/a%20b?at=1",
    "/meters/pages/system",
    "/pages/scoreboard?window=7d",
  ]) {
    const [path = "", search = ""] = address.split("?");
    expect(addressOf(readRoute(path, search))).toBe(address);
  }
});

it("no pipeline can be called as a page is", () => {
  for (const page of CLAIMED_HERE) expect(CLAIMED).toContain(page);
});
