import { describe, expect, it } from "vitest";
import { Pairing, percentile, summarizeLatency } from "./latency.ts";

describe("percentile()", () => {
  it("is the nearest rank", () => {
    expect(percentile([1, 2, 3, 4], 0.5)).toBe(2);
    expect(percentile([1, 2, 3, 4], 0.99)).toBe(4);
    expect(percentile([], 0.5)).toBeNaN();
  });
  it("summary() sorts first", () => expect(summarizeLatency([3, 1, 2]).p50_ms).toBe(2));
});

describe("Pairing", () => {
  it("settles a record with the first prediction that holds it, and only once", () => {
    const pairing = new Pairing();
    pairing.intend("a", 100);
    pairing.intend("a", 200);
    pairing.intend("b", 100);
    pairing.commit("a", 0, 100, 500);
    pairing.commit("a", 0, 200, 900);
    expect(pairing.latencies_ms).toEqual([400, 700]);
    expect(pairing.waiting).toBe(1);
  });
  it("counts a record no window held as missed, not as fast", () => {
    const pairing = new Pairing();
    pairing.intend("a", 100);
    pairing.commit("a", 150, 200, 500);
    expect(pairing.latencies_ms).toEqual([]);
    expect(pairing.missed).toBe(1);
  });
});
