import { describe, expect, it } from "vitest";
import { type ServingRound, servingWrong } from "./serving.ts";
import { servingLines, servingSummary } from "./summary.ts";

describe("servingSummary()", () => {
  const round: ServingRound = {
    ...{ seed: 1, committed: 10, rows: 10, served: 5, wrong: 0, seconds: 3 },
    kills: [
      { kind: "sink", what: "program", recovery_ms: 1_000 },
      { kind: "sink", what: "program", recovery_ms: 3_000 },
    ],
    schemathesis: null,
  };

  it("sums rounds, and counts a case that failed, and none that ran, as wrong", () => {
    const cases = (asked: number, passed: number) => ({ cases: asked, passed, said: "" });
    expect(servingWrong(round)).toBe(0);
    expect(servingWrong({ ...round, wrong: 2 })).toBe(2);
    expect(servingWrong({ ...round, schemathesis: cases(10, 9) })).toBe(1);
    expect(servingWrong({ ...round, schemathesis: cases(0, 0) })).toBe(1);
    const summary = servingSummary([round, { ...round, schemathesis: cases(10, 10) }]);
    expect(summary).toMatchObject({
      ...{ rounds: 2, committed: 20, rows: 20, served: 10, wrong: 0, seconds: 6 },
      recovery: { sink: { kills: 4, median_ms: 2_000, max_ms: 3_000 } },
      schemathesis: { cases: 10, passed: 10 },
    });
    expect(servingLines(summary).join("\n")).toContain("Schemathesis: 10 of 10 cases as described");
  });
});
