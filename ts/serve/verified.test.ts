// What the API sums up of verifications: windows of event time, shares and skill, and what counts nowhere.

import { describe, expect, it } from "vitest";
import { contract, HOUR_MS, T0_MS, verification } from "../test/served/weather.ts";
import type { VerificationRecord } from "./records.ts";
import { type Filter, RECORDS_MAX, Verified } from "./verified.ts";

const ALL: Filter = { station: null, target: null, horizon_h: null };

const miss = (more: Partial<VerificationRecord> = {}) => {
  const hit = verification(more);
  return {
    ...hit,
    model: { ...hit.model, error: 5, winkler: 30, covered_80: false, covered_90: false },
  };
};

const of = (verified: Verified, window: string, filter = ALL) => {
  const found = verified
    .scores(filter)
    .find((s) => s.target === "temperature" && s.horizon_h === 6 && s.window === window);
  if (!found) throw new Error("no score");
  return found;
};

describe("Verified", () => {
  it("sums up errors, coverage and skill, over the pairs that each of them has", () => {
    const verified = new Verified(contract);
    verified.take("denver", verification());
    verified.take("denver", miss({ persistence: { value: null, error: null } }));
    expect(of(verified, "24h")).toMatchObject({
      unit: "degC",
      pairs: 2,
      mae: 3,
      bias: 2,
      persistence_mae: 2,
      dap_mae: 1.5,
      skill_persistence: 0.5,
      skill_dap: -1,
      coverage: { 50: 0, 80: 0.5, 90: 0.5 },
      width: 4.5,
      winkler: 17.25,
    });
    expect(verified.scores(ALL)).toHaveLength(contract.targets.length * contract.horizons_ms.length * 2);
    expect(verified.scores({ ...ALL, target: "humidity", horizon_h: 12 })).toMatchObject([
      { window: "24h", pairs: 0, mae: null, skill_dap: null, coverage: { 90: null } },
      { window: "7d", pairs: 0 },
    ]);
  });

  it("counts what proves nothing apart", () => {
    const verified = new Verified(contract);
    const { model } = verification();
    verified.take("denver", verification({ in_sample: true }));
    verified.take(
      "denver",
      verification({ status: "unverifiable", truth: null, model: { ...model, error: null } }),
    );
    expect(of(verified, "24h")).toMatchObject({ pairs: 0, unverifiable: 1, in_sample: 1, mae: null });
  });

  it("ends its windows at the newest valid time, in event time, the first hour exclusive", () => {
    const verified = new Verified(contract);
    const take = (hours: number) => verified.take("denver", verification({ valid: T0_MS - hours * HOUR_MS }));
    expect([0, 23, 24, 167].map(take)).toEqual(["newest", "newest", "newest", "newest"]);
    expect(take(168)).toBe("older");
    expect([of(verified, "24h").pairs, of(verified, "7d").pairs]).toEqual([2, 4]);
    verified.take("denver", verification({ valid: T0_MS + HOUR_MS }));
    expect([of(verified, "24h").pairs, of(verified, "7d").pairs]).toEqual([2, 4]);
    expect(verified.frontier_ms).toBe(T0_MS + HOUR_MS);
  });

  it("lists the newest first and knows each station", () => {
    const verified = new Verified(contract);
    verified.take("denver", verification({ id: "a" }));
    verified.take("boston", miss({ id: "b" }));
    verified.take("denver", verification({ id: "c", target: "humidity" }));
    const ids = (filter: Partial<Filter>, limit = 9) =>
      verified.list({ ...ALL, ...filter }, limit).map(({ record }) => record.id);
    expect(ids({})).toEqual(["c", "b", "a"]);
    expect(ids({}, 1)).toEqual(["c"]);
    expect(ids({ station: "denver" })).toEqual(["c", "a"]);
    expect(ids({ target: "humidity" })).toEqual(["c"]);
    expect(ids({ horizon_h: 12 })).toEqual([]);
    expect(of(verified, "7d", { ...ALL, station: "boston" })).toMatchObject({ pairs: 1, mae: 5 });
  });

  it("holds a bounded number of records and sums up all of them", () => {
    const verified = new Verified(contract);
    for (let i = 0; i < RECORDS_MAX * 1.5; i++) verified.take("denver", verification({ id: String(i) }));
    expect(verified.list(ALL, Number.POSITIVE_INFINITY).length).toBeLessThanOrEqual(RECORDS_MAX * 1.25);
    expect(verified.list(ALL, 1)[0]?.record.id).toBe(String(RECORDS_MAX * 1.5 - 1));
    expect(of(verified, "7d").pairs).toBe(RECORDS_MAX * 1.5);
  });
});
