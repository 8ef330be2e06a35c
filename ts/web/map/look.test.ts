import { describe, expect, it } from "vitest";
import type { Pipeline, Station } from "../api.ts";
import type { StationState } from "../state.ts";
import { lookOf, rowsOf, scaleOf } from "./look.ts";
import { marksOf } from "./marks.ts";

const forecast = (horizon: string, horizon_h: number) => ({
  ...{ name: `speed_${horizon}`, target: "speed", unit: "m/s", horizon, horizon_h, column: "speed_mean" },
});
const pipeline: Pipeline = {
  ...{
    pipeline: "p",
    default: true,
    entity: "station",
    key: "station_id",
    parts: [],
    window_ms: 1,
    step_ms: 1,
  },
  ...{ bands: [0.9], stale_after: { behind_s: 1, silent_s: 1 }, history: null },
  values: [
    { column: "speed_mean", field: "speed", unit: "m/s", quantity: null, circular: false, magnitude: null },
    {
      ...{ column: "wind_mean", field: "wind", unit: "deg", quantity: "wind_from_direction" },
      ...{ circular: true, magnitude: "speed_mean" },
    },
  ],
  forecasts: [forecast("6h", 6), forecast("12h", 12)],
};
const station: Station = {
  ...{ station_id: "a", name: "A", latitude: 1, longitude: 2, elevation_m: null, reported: true },
  observed: {
    ...{ window_end: "2016-12-04T13:00:00.000Z", measurement_count: 1 },
    values: { speed_mean: 4, wind_mean: 90 },
  },
  forecast: null,
  ...{ age_s: null, behind_s: null, stale: false, stale_reason: null },
};
const well: StationState = { kind: "well", text: "Reports", detail: "" };

describe("lookOf()", () => {
  it("is the first field by value, unless the address says otherwise", () => {
    expect(lookOf(pipeline, {})).toMatchObject({
      field: { name: "speed" },
      way: "value",
      forecast: { horizon: "6h" },
    });
    const look = lookOf(pipeline, { field: "speed", by: "error", ahead: "12h", arrows: "off" });
    expect(look).toMatchObject({ way: "error", forecast: { horizon: "12h" }, direction: null });
  });
  it("takes no word that the pipeline has no meaning for", () => {
    const look = lookOf(pipeline, { field: "wind", by: "error", ahead: "99h" });
    expect(look).toMatchObject({
      field: { name: "wind" },
      way: "value",
      forecast: null,
      ways: ["value", "health"],
    });
    expect(lookOf({ ...pipeline, values: [], forecasts: [] }, {}).field).toBeNull();
  });
});

it("marksOf() draws what has a place, with what is said of it, and arrows that point where it goes", () => {
  const look = lookOf(pipeline, {});
  const placeless = { ...station, station_id: "b", latitude: null };
  const rows = rowsOf(
    new Map([
      ["a", station],
      ["b", placeless],
    ]),
    look,
    null,
    () => well,
  );
  const scale = scaleOf(rows, look.field!, look.way)!;
  expect(marksOf(rows, look, scale, (id) => `/stations/${id}`)).toEqual([
    {
      ...{ id: "a", name: "A", latitude: 1, longitude: 2, kind: "well", href: "/stations/a" },
      ...{ colour: scale.colour(4), label: "4.0", title: "A: 4.0 m/s, reports" },
      arrow: { bearing: 270, share: 1 },
    },
  ]);
});
