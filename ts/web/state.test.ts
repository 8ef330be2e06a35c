import { expect, it } from "vitest";
import type { Station } from "./api.ts";
import { stateOf } from "./state.ts";

const at = (ms: number) => new Date(ms).toISOString();
const T = Date.parse("2016-12-04T13:00:00Z");
const station = (more: Partial<Station>): Station => ({
  ...{ station_id: "a", name: "A", latitude: 1, longitude: 2, elevation_m: null, reported: true },
  ...{ observed: null, forecast: null, age_s: null, behind_s: null, stale: false, stale_reason: null },
  ...more,
});
const observed = (end_ms: number) => ({ window_end: at(end_ms), measurement_count: 1, values: {} });
const forecast = (end_ms: number, more: Partial<NonNullable<Station["forecast"]>> = {}) => ({
  ...{ is_anomaly: false, anomaly_score: 0, anomaly_type: null, evidence: [] },
  ...{ timestamp: at(end_ms), predictions: {}, intervals: {}, overall_confidence: null },
  ...{ model_version: "1", in_sample: false },
  ...more,
});
const known = { frontier_ms: T, silent_s: 1, rule: { behind_s: 7_200, silent_s: 120 } };

it.each([
  ["quiet", "Not heard of", station({})],
  ["well", "Reports", station({ observed: observed(T) })],
  ["well", "Reports", station({ observed: observed(T - 7_200_000) })],
  ["stale", "Stale: 5.0 h behind", station({ observed: observed(T - 18_000_000) })],
  [
    "anomaly",
    "Anomaly: step",
    station({ forecast: forecast(T, { is_anomaly: true, anomaly_type: "step", evidence: ["rose 13 K"] }) }),
  ],
])("stateOf() says %s", (kind, text, one) => expect(stateOf(one, known)).toMatchObject({ kind, text }));

it("stateOf() says that nothing arrives, and nothing of it where time stands still", () => {
  const one = station({ observed: observed(T) });
  expect(stateOf(one, { ...known, silent_s: 121 }).text).toBe("Stale: nothing arrives");
  expect(stateOf(one, { ...known, silent_s: null }).text).toBe("Reports");
});
