import { describe, expect, it } from "vitest";
import { isReplay, Pace, REPLAY_MS, speedText } from "./pace.ts";

describe("Pace", () => {
  it("is the speed of event time over the last while", () => {
    const pace = new Pace();
    for (let i = 0; i <= 30; i++) pace.take(i * 3_600_000, i * 1_000);
    expect(pace.speed).toBe(3_600);
    for (let i = 1; i <= 30; i++) pace.take(30 * 3_600_000 + i * 60_000, 30_000 + i * 1_000);
    expect(pace.speed).toBeCloseTo(60, 6);
  });
  it("says nothing before it has seen enough, nor by what comes late", () => {
    const pace = new Pace();
    expect(pace.speed).toBeNull();
    pace.take(3_600_000, 0);
    pace.take(0, 5_000);
    expect(pace.speed).toBeNull();
    pace.take(7_200_000, 1_000);
    expect(pace.speed).toBeNull();
  });
});

it("speedText() has the digits that a measured speed means", () => {
  expect(speedText(3_612.4)).toBe("3,600 times as fast as it was");
  expect(speedText(1.01)).toBe("as fast as it was");
  expect(speedText(null)).toBeNull();
});

it("isReplay() begins beyond what a live feed can be late", () => {
  expect(isReplay(0, REPLAY_MS)).toBe(false);
  expect(isReplay(0, REPLAY_MS + 1)).toBe(true);
});
