// The budgets of the tests add up to what they may, and no step of `make test` is without one.

import { describe, expect, it } from "vitest";
import { against, BUDGETS, END_MIN, NOW_MIN, PLANNED, QUICK_BUDGETS } from "./budgets.ts";
import { tiers } from "./suite.ts";

const sum = (minutes: Readonly<Record<string, number>>) => Object.values(minutes).reduce((a, b) => a + b, 0);

describe("budgets", () => {
  it("are of every step of make test, and of nothing else", () =>
    expect(tiers["all"]!.map(({ name }) => name).sort()).toEqual(Object.keys(BUDGETS).sort()));
  it("add up to what the tests may take now", () => expect(sum(BUDGETS)).toBeCloseTo(NOW_MIN, 6));
  it("keep a developer's loop to half a minute", () => {
    expect(tiers["quick"]!.map(({ name }) => name)).toEqual(Object.keys(QUICK_BUDGETS));
    expect(sum(QUICK_BUDGETS)).toBeLessThanOrEqual(0.5);
  });
  it("leave room for what is planned", () =>
    expect(sum(BUDGETS) + sum(PLANNED)).toBeLessThanOrEqual(END_MIN));
});

it("against() grows a budget with the yardstick of a slow machine, and shrinks none", () => {
  expect(against("vitest browser", 12, 0.5)).toBe("12 s of 72 s");
  expect(against("vitest browser", 12, 1)).toBe("12 s of 144 s");
  expect(against("vitest browser", 12, 0.3)).toBe("12 s of 72 s");
  expect(against("coffee", 12, 1)).toBeNull();
});
