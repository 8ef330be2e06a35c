import { describe, expect, it } from "vitest";
import { Flow, LATENCY_MS } from "./flow.ts";

const T0_MS = 1_700_000_000_000;
function flow() {
  const clock = { now_ms: T0_MS, nowMs: () => clock.now_ms };
  return { clock, flow: new Flow(clock) };
}
const stages = (raw_ms: number) => ({
  event_time: 0,
  raw_append_time: raw_ms,
  feature_processing_time: raw_ms + 400,
  feature_append_time: raw_ms + 500,
  predict_time: raw_ms + 800,
});

describe("Flow.rate()", () => {
  it("counts what was read a second over the last minute, the second at hand left out", () => {
    const { clock, flow: it } = flow();
    for (let s = 0; s < 90; s++) {
      for (let i = 0; i < 7; i++) it.read("weather-predictions");
      clock.now_ms += 1_000;
    }
    expect(it.rate("weather-predictions")).toBe(7);
    clock.now_ms += 30_000;
    expect(it.rate("weather-predictions")).toBeCloseTo(3.5, 0);
    clock.now_ms += 60_000;
    expect(it.rate("weather-predictions")).toBe(0);
  });

  it("a young server divides by the seconds it has seen, and an unknown topic has none", () => {
    const { clock, flow: it } = flow();
    for (let s = 0; s < 4; s++) {
      for (let i = 0; i < 5; i++) it.read("t");
      clock.now_ms += 1_000;
    }
    expect(it.rate("t")).toBe(5);
    expect(it.rate("other")).toBe(0);
  });
});

describe("Flow.latency()", () => {
  it("is null before a prediction, and after none for five minutes", () => {
    const { clock, flow: it } = flow();
    expect(it.latency()).toBeNull();
    it.predicted(stages(T0_MS), T0_MS + 1_000);
    expect(it.latency()).toMatchObject({ predictions: 1, p50_ms: 1_000, p99_ms: 1_000 });
    clock.now_ms += LATENCY_MS + 1_001;
    expect(it.latency()).toBeNull();
  });

  it("is a waterfall: each stage begins where the median of those before it ends", () => {
    const { flow: it } = flow();
    for (let i = 0; i < 100; i++) it.predicted(stages(T0_MS), T0_MS + (i === 99 ? 5_000 : 1_000));
    it.predicted(stages(T0_MS), T0_MS + 5_000);
    expect(it.latency()).toMatchObject({
      predictions: 101,
      p50_ms: 1_000,
      p99_ms: 1_000 + 4_000,
      stages: [
        { from: "raw_append_time", to: "feature_processing_time", begins_ms: 0, p50_ms: 400, p99_ms: 400 },
        { from: "feature_processing_time", to: "feature_append_time", begins_ms: 400, p50_ms: 100 },
        { from: "feature_append_time", to: "predict_time", begins_ms: 500, p50_ms: 300 },
        { from: "predict_time", to: "commit_time", begins_ms: 800, p50_ms: 200, p99_ms: 4_200 },
      ],
    });
  });

  it("leaves out what lacks a stage, and remembers the newest alone", () => {
    const { flow: it } = flow();
    it.predicted({ raw_append_time: T0_MS }, T0_MS + 1_000);
    expect(it.latency()).toBeNull();
    for (let i = 0; i < 2_500; i++) it.predicted(stages(T0_MS), T0_MS + 1_000);
    expect(it.latency()).toMatchObject({ predictions: 2_000 });
  });
});

describe("Flow.rejects()", () => {
  it("counts by reason and knows the newest", () => {
    const { flow: it } = flow();
    it.rejected("late", T0_MS);
    it.rejected("late", T0_MS + 5);
    it.rejected("out_of_range", T0_MS - 5);
    expect(it.rejects()).toEqual([
      { reason: "late", records: 2, last_ms: T0_MS + 5 },
      { reason: "out_of_range", records: 1, last_ms: T0_MS - 5 },
    ]);
  });
});
