import { describe, expect, it } from "vitest";
import { horizonHours, horizonName, inWholeHours } from "./horizon.ts";

const MINUTE_MS = 60_000;

describe("a horizon", () => {
  it.each([
    [15, 0.25, "15m"],
    [30, 0.5, "30m"],
    [60, 1, "1h"],
    [90, 1.5, "90m"],
    [1_440, 24, "24h"],
  ])("of %d minutes is %d hours, called %s", (minutes, hours, name) => {
    expect(horizonHours(minutes * MINUTE_MS)).toBe(hours);
    expect(horizonName(hours)).toBe(name);
    expect(inWholeHours([minutes * MINUTE_MS])).toBe(name.endsWith("h"));
  });
});
