import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { describe, expect, it } from "vitest";
import { settingsOf } from "../../settings/settings.ts";
import { evaluateCommand, logRun } from "./evaluate.ts";
import { type Evaluation, scoreLines } from "./scores.ts";

const metrics = {
  pairs: 58_000,
  mae_pct: 9.123,
  rmse_pct: 11.9,
  bias_pct: -0.21,
  pinball_pct: 2.5,
  persistence_mae_pct: 16.7,
  dap_mae_pct: 10.5,
  skill_persistence: 0.4537,
  skill_dap: 0.1311,
  coverage_50: 0.49,
  coverage_90: 0.9012,
  width_90_pct: 38.1,
  winkler_90_pct: 47.2,
  fixed_coverage_90: 0.88,
  fixed_winkler_90_pct: 48.4,
  alone_skill_dap: 0.09,
  stranger_skill_dap: null,
};
const at = { target: "humidity", horizon_h: 6 };
const found: Evaluation = {
  pipeline: "weather",
  split: { name: "test", from_ms: Date.UTC(2016, 11, 1), to_ms: Date.UTC(2017, 2, 1) },
  model: { name: "weather", version: "4", digest: "d1" },
  in_sample: false,
  calibrated_on: false,
  data: {
    table: "/somewhere/default/tables/weather-features",
    table_version: 2,
    rows: 58_320,
    sha256: "s1",
    stations: ["boston", "miami"],
    strangers: [],
  },
  masks: {
    by: "known-anomalies.csv",
    left_out: { no_truth: 1_200, known_anomaly: 31, fault: 0 },
    beyond_support: 0,
  },
  units: { humidity: "%" },
  references: ["persistence", "dap"],
  mae_over_dap: 0.87,
  cells: [
    { ...at, station: null, metrics },
    { ...at, station: "boston", metrics: { ...metrics, mae_pct: 1 } },
  ],
  intervals: [{ ...at, skill_dap: [0.1, 0.16] }],
  worst: [
    {
      ...at,
      station: "miami",
      skill_dap: -0.01,
      stations_below_dap: 1,
      least_covered: "miami",
      least_coverage: 0.87,
      most_covered: "boston",
      most_coverage: 0.93,
    },
  ],
  track: null,
};

describe("scoreLines()", () => {
  it("sets the model beside its references, with its bands and its worst station", () => {
    const lines = scoreLines(found);
    const text = lines.join("\n");
    expect(lines[1]).toMatch(
      /^humidity +6 h +% +9\.12 +16\.7 +10\.5 +45\.4% +13\.1% +10\.0%…16\.0% +9\.0% +– +11\.9 +-0\.210$/,
    );
    expect(text).toMatch(/in 50% +in 90% +width 90% +Winkler 90%/);
    expect(text).toMatch(/49\.0% +90\.1% +38\.1 +47\.2 +88\.0% +48\.4/);
    expect(text).toMatch(/miami +-1\.0% +1 +miami +87\.0% +boston +93\.0%/);
    expect(text).toContain("no truth 1,200 · known anomaly 31 (known anomalies: known-anomalies.csv)");
    expect(text).not.toContain("fault 0");
    expect(text).not.toContain("kelvin");
    expect(text).not.toContain("this span");
    expect(scoreLines({ ...found, calibrated_on: true }).at(-1)).toContain(
      "bands were calibrated on this span",
    );
  });

  it("follows the widest band over the months, with what it must hold", () => {
    const text = scoreLines({
      ...found,
      track: {
        band: 90,
        months: [
          { from_ms: Date.UTC(2017, 0, 1), to_ms: Date.UTC(2017, 1, 1) },
          { from_ms: Date.UTC(2017, 1, 1), to_ms: Date.UTC(2017, 2, 1) },
        ],
        cells: [
          {
            ...at,
            coverage_90: 0.9012,
            static_coverage_90: 0.887,
            least_covered: "miami",
            least_coverage: 0.889,
            most_covered: "boston",
            most_coverage: 0.911,
            winkler_over_static: 1.0214,
          },
        ],
        floor: {
          network: 0.01,
          station: 0.02,
          winkler_over_static: 1.03,
          cells: 1,
          network_held: 1,
          station_held: 1,
          winkler_held: 1,
        },
        growth: {
          factor: 1.5,
          within: 0.03,
          starts_ms: [0, 1],
          coverage: [0.7, 0.81, null, 0.88],
          back_on_day: 4,
        },
      },
    }).join("\n");
    expect(text).toContain("90% band, 2017-01 to 2017-02, each month calibrated by the past only:");
    expect(text).toMatch(/humidity +6 h +90\.1% +88\.7% +miami +88\.9% +boston +91\.1% +1\.021/);
    expect(text).toContain(
      "network within 1 points: 1 of 1 · every station within 2 points: 1 of 1 · Winkler at most 1.03: 1 of 1",
    );
    expect(text).toContain(
      "all errors 50% larger: 70.0% 81.0% – 88.0% by day; within 3 points back on day 4 (2 starts)",
    );
  });

  it("says when a span was learnt from, when no list masked it, and what strangers got", () => {
    const text = scoreLines({
      ...found,
      in_sample: true,
      masks: { ...found.masks, by: null, beyond_support: 1_234 },
      data: { ...found.data, strangers: ["chicago"] },
      cells: [
        { ...at, station: null, metrics: { ...metrics, mape_kelvin_pct: 0.5 } },
        { ...at, station: null, group: "never_seen", metrics: { ...metrics, mae_pct: 9.9 } },
        { ...at, station: null, group: "without_faults", metrics: { ...metrics, mae_pct: 8.8 } },
      ],
    }).join("\n");
    expect(text).toContain("has learnt from this span");
    expect(text).toContain("judged at the edge of their support: 1,234");
    expect(scoreLines(found).join("\n")).not.toContain("judged at the edge");
    expect(text).toContain("no list; faults by climatology instead");
    expect(text).toContain("asked for and not for decisions: humidity 6 h 0.500%");
    expect(text).toContain("never seen in training: chicago");
    expect(text).toContain("humidity 6 h: MAE 9.90, 13.1% better than DAP");
    expect(text).toContain("no list names:\n  humidity 6 h: MAE 8.80");
  });
});

describe("logRun()", () => {
  it("appends a line a run and counts those on the same truths, without a machine's path", () => {
    const path = join(mkdtempSync(join(tmpdir(), "log-")), "docs", "evaluations.jsonl");
    const date = new Date("2026-11-21T12:00:00Z");
    expect(logRun(path, found, date)).toBe(1);
    expect(logRun(path, { ...found, data: { ...found.data, sha256: "s2" } }, date)).toBe(1);
    expect(logRun(path, found, date)).toBe(2);
    const lines = readFileSync(path, "utf8").trimEnd().split("\n");
    expect(lines).toHaveLength(3);
    expect(JSON.parse(lines[0]!)).toEqual({
      date: "2026-11-21T12:00:00.000Z",
      pipeline: "weather",
      model: "weather",
      version: "4",
      digest: "d1",
      split: { name: "test", from: "2016-12-01T00:00:00.000Z", to: "2017-03-01T00:00:00.000Z" },
      data_sha256: "s1",
      table: "weather-features version 2",
      masked_by: "known-anomalies.csv",
      stations: 2,
      scores: {
        humidity_6h: { mae_pct: 9.123, dap_mae_pct: 10.5, skill_dap: 0.1311, coverage_90: 0.9012 },
      },
    });
    expect(lines.join()).not.toContain("somewhere");
  });
});

it.each([
  [["--split", "fit"], /Allowed choices are calibrate, test/],
  [["tides"], /pipeline "tides"/],
  [["--rounds", "many"], /--rounds "many"/],
  [["--data", "/nowhere"], /--data "\/nowhere": expected a folder/],
])("millrace evaluate %j is refused before anything runs", async (words, message) => {
  const command = evaluateCommand(() => settingsOf("/repo", { home: "/tmp/none" }))
    .exitOverride()
    .configureOutput({ writeErr: () => {} });
  await expect(
    new Command().addCommand(command).parseAsync(["evaluate", ...words], { from: "user" }),
  ).rejects.toThrow(message);
});
