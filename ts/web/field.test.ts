import { expect, it } from "vitest";
import type { Pipeline } from "./api.ts";
import { directionsOf, fieldsOf } from "./field.ts";

const value = (column: string, field: string, more: object = {}) => ({
  ...{ column, field, unit: "m/s", quantity: null, circular: false, magnitude: null },
  ...more,
});
const forecast = (target: string, horizon_h: number) => ({
  ...{
    name: `${target}_${horizon_h}h`,
    target,
    unit: "m/s",
    horizon: `${horizon_h}h`,
    horizon_h,
    column: null,
  },
});
const pipeline = (more: Partial<Pipeline>): Pipeline => ({
  ...{
    pipeline: "p",
    default: true,
    entity: "station",
    key: "station_id",
    parts: [],
    window_ms: 1,
    step_ms: 1,
  },
  ...{ bands: [], stale_after: { behind_s: 1, silent_s: 1 }, history: null, values: [], forecasts: [] },
  ...more,
});

it("fieldsOf() names each field once, with its forecasts, and a target that no column tells", () => {
  const fields = fieldsOf(
    pipeline({
      values: [value("speed_mean", "speed"), value("speed_max", "speed"), value("rain_sum", "rain")],
      forecasts: [forecast("speed", 6), forecast("speed", 12), forecast("load", 6)],
    }),
  );
  expect(fields.map(({ name, column, forecasts }) => [name, column, forecasts.length])).toEqual([
    ["speed", "speed_mean", 2],
    ["rain", "rain_sum", 0],
    ["load", null, 1],
  ]);
  expect(fieldsOf(pipeline({}))).toEqual([]);
});

it("directionsOf() has those of which the contract says what they are of, and turns those that say from where", () => {
  const values = [
    value("wind_mean", "wind", { circular: true, magnitude: "speed_mean", quantity: "wind_from_direction" }),
    value("sway_mean", "sway", { circular: true, magnitude: "pull_mean", quantity: "direction_of_sway" }),
    value("phase_mean", "phase", { circular: true }),
  ];
  expect(directionsOf(pipeline({ values })).map(({ name, from }) => [name, from])).toEqual([
    ["wind", true],
    ["sway", false],
  ]);
});
