import { describe, expect, it } from "vitest";
import {
  firstScore,
  heldText,
  meanText,
  ranked,
  type ScoreRow,
  skillEnds,
  skillText,
  verdictOf,
} from "./scores.ts";

const row = (station_id: string | null, more: Partial<ScoreRow> = {}): ScoreRow => ({
  ...{ station_id, day: null, target: "temperature", horizon_h: 6, window: "24h", unit: "degC", pairs: 100 },
  ...{ unverifiable: 0, in_sample: 0, mae: 1.5, bias: 0, persistence_mae: 2, dap_mae: 2, width: 5 },
  ...{ skill_persistence: 0.3, skill_dap: 0.2, coverage: {}, pinball: null, winkler: null },
  ...more,
});

describe("numbers of the scoreboard", () => {
  it.each([
    [0.794, 500, "79 %"],
    [0.7943, 20_000, "79.4 %"],
    [null, 0, "–"],
  ])("a share of %s of %s", (share, pairs, text) => expect(heldText(share, pairs)).toBe(text));
  it.each([
    [0.32, "32 % less"],
    [-0.05, "5 % more"],
    [0.001, "as much"],
    [null, "–"],
  ])("a skill of %s", (skill, text) => expect(skillText(skill, 500)).toBe(text));
  it.each([
    [1.537, 100, "1.5"],
    [1.537, 5_000, "1.54"],
    [12.34, 100, "12"],
    [-0.834, 100, "−0.83"],
    [-0.0001, 100, "0.00"],
    [0, 100, "0.0"],
  ])("a mean of %s over %s", (value, pairs, text) => expect(meanText(value, pairs)).toBe(text));
});

describe("verdictOf()", () => {
  it("believes what few outcomes can tell, and forgives what nobody would miss", () => {
    expect(verdictOf(0.8, 0.9, 20)).toBe("kept");
    expect(verdictOf(0.8, 0.9, 400)).toBe("less");
    expect(verdictOf(0.95, 0.9, 4_000)).toBe("more");
    expect(verdictOf(0.885, 0.9, 1_000_000)).toBe("kept");
  });
});

describe("ranked()", () => {
  it("puts the most skill first, and leaves out what rests on little or is of something else", () => {
    const rows = [
      row("a"),
      row("b", { skill_dap: 0.4 }),
      row("c", { skill_dap: 0.9, pairs: 3 }),
      row("d", { horizon_h: 12 }),
      row("e", { skill_dap: null, skill_persistence: -0.1 }),
      row("f", { pairs: 0, skill_dap: null, skill_persistence: null }),
    ];
    expect(ranked(rows, "temperature", 6).map((one) => one["station_id"])).toEqual(["b", "a", "e"]);
    expect(ranked([], "temperature", 6)).toEqual([]);
  });
});

describe("firstScore()", () => {
  const oldest_ms = Date.parse("2016-12-04T13:05:00Z");
  it("is the shortest horizon after the first forecast, and how long that is at this speed", () => {
    const wait = { horizon_h: 6, oldest_ms, frontier_ms: oldest_ms, speed: 60 };
    expect(firstScore(wait)).toEqual({
      at_ms: Date.parse("2016-12-04T20:00:00Z"),
      text: "It comes 6.0 h of event time after the first forecast: in about 7 min",
    });
  });
  it("says no more than is known", () => {
    const text = "It comes 6.0 h of event time after the first forecast";
    expect(firstScore({ horizon_h: 6, oldest_ms: null, frontier_ms: null, speed: null })).toEqual({
      at_ms: null,
      text,
    });
    expect(firstScore({ horizon_h: 6, oldest_ms, frontier_ms: oldest_ms, speed: null }).text).toBe(text);
  });
});

it("skillEnds() holds all, in whole tenths, between nothing and everything", () => {
  expect(skillEnds([])).toEqual([0, 0.5]);
  expect(skillEnds([row("a", { skill_dap: -0.13, skill_persistence: 0.61 })])).toEqual([-0.2, 0.7]);
  expect(skillEnds([row("a", { skill_dap: -7 })])).toEqual([-1, 0.5]);
});
