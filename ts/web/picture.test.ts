import { describe, expect, it } from "vitest";
import type { StreamEvents } from "./api.ts";
import { missesAt } from "./misses.ts";
import { strange, withObservation, withPrediction } from "./picture.ts";
import { sliderSpan } from "./time.ts";

const predicted = (timestamp: string, value: number) =>
  ({
    pipeline: "weather",
    station_id: "a",
    prediction: {
      ...{ timestamp, predictions: { temperature_6h: value }, intervals: {}, confidence: {} },
      ...{ model_version: "3", in_sample: false, age_s: 1, behind_s: 0, stale: false, stale_reason: null },
      anomaly: { is_anomaly: true, anomaly_score: 1, anomaly_type: "step", evidence: ["x"], method: "rules" },
    },
  }) as unknown as StreamEvents["prediction"];
const observed = (window_end: string, value: number): StreamEvents["observation"] => ({
  ...{ pipeline: "weather", station_id: "a" },
  observed: { window_end, measurement_count: 5, values: { temperature_mean: value } },
});

describe("a station", () => {
  it("takes what is newer, with its verdict, and drops what is older", () => {
    const one = withPrediction(strange("a"), predicted("2016-12-04T13:00:00.000Z", 3));
    expect(one.forecast).toMatchObject({ predictions: { temperature_6h: 3 }, is_anomaly: true });
    expect(withPrediction(one, predicted("2016-12-04T12:00:00.000Z", 9))).toBe(one);
    const two = withObservation(one, observed("2016-12-04T13:00:00.000Z", 2));
    expect([two.observed?.values["temperature_mean"], two.forecast]).toEqual([2, one.forecast]);
    expect(withObservation(two, observed("2016-12-04T12:00:00.000Z", 9))).toBe(two);
  });
});

it("missesAt() holds what had been issued against what was measured, where both are there", () => {
  const issued = withPrediction(strange("a"), predicted("2016-12-04T07:00:00.000Z", 3));
  const measured = withObservation(strange("a"), observed("2016-12-04T13:00:00.000Z", 5));
  const forecast = { name: "temperature_6h", column: "temperature_mean" };
  expect([...missesAt([issued, strange("b")], new Map([["a", measured]]), forecast, 7)]).toEqual([
    ["a", { error: -2, valid_ms: 7 }],
  ]);
  expect(missesAt([issued], new Map(), forecast, 7).size).toBe(0);
  expect(missesAt([issued], new Map([["a", measured]]), { ...forecast, column: null }, 7).size).toBe(0);
});

describe("sliderSpan()", () => {
  const HOUR_MS = 3_600_000;
  it("ends at the last whole step, and begins at one", () =>
    expect(sliderSpan(1, 10.5 * HOUR_MS, HOUR_MS)).toEqual({
      from_ms: HOUR_MS,
      to_ms: 10 * HOUR_MS,
      step_ms: HOUR_MS,
    }));
  it("takes wider steps over a long time", () => {
    const span = sliderSpan(0, 5_000 * HOUR_MS, HOUR_MS)!;
    expect(span.step_ms).toBe(3 * HOUR_MS);
    expect((span.to_ms - span.from_ms) % span.step_ms).toBe(0);
  });
  it("is none where nothing lies behind now", () => expect(sliderSpan(5, 6, HOUR_MS)).toBeNull());
});
