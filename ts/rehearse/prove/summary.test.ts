import { expect, it } from "vitest";
import type { ArchiveRound } from "./archive.ts";
import type { Checked, KillsRound } from "./kills.ts";
import { archiveLines, archiveSummary, killsLines, killsSummary, median, windowsSummary } from "./summary.ts";

const checked = (wrong: number): Checked => ({
  observations: 10,
  windows: 10,
  features: 12,
  predicted: 10,
  skipped: 2,
  expired: 0,
  rejected: 0,
  history_keys: 5,
  restored_cells: 4,
  heard: 20,
  moved_by_neighbours: 6,
  rejects_repeated: 0,
  wrong,
  first_wrong: wrong > 0 ? ["raw: lost 1"] : [],
});
const round = (seed: number, recovery_ms: number, wrong = 0, whole = true): KillsRound => ({
  seed,
  kills: [
    { kind: "actor", what: "actor", at: 1, recovery_ms, processor_ms: 2 * recovery_ms },
    { kind: "spark", what: "jvm", at: 2, recovery_ms: 10 * recovery_ms },
  ],
  checked: checked(wrong),
  archived: { records: 10, rows: 10, missing: 0, extra: 0, repeated: 0, changed: 0, wrong: 0, whole },
  seconds: 60,
});

it("median() is the middle, or between the two in the middle", () => {
  expect(median([3])).toBe(3);
  expect(median([9, 1, 5])).toBe(5);
  expect(median([4, 1, 9, 2])).toBe(3);
});

it("killsSummary() adds up the rounds and keeps recovery by kind", () => {
  const summary = killsSummary([round(0, 100), round(1, 300), round(2, 1_000, 1)]);
  expect(summary.recovery).toEqual({
    actor: { kills: 3, median_ms: 300, max_ms: 1_000, processor_ms: 600 },
    spark: { kills: 3, median_ms: 3_000, max_ms: 10_000 },
  });
  expect(summary.compared).toMatchObject({ observations: 30, features: 36, skipped: 6, wrong: 1 });
  expect(summary.seconds).toBe(180);
  expect(summary).toMatchObject({ wrong: 1, archived: { records: 30, rows: 30 } });
  expect(killsSummary([round(0, 100, 0, false)]).wrong).toBe(1);
  expect(killsLines(summary)).toContain("raw: lost 1");
  expect(killsLines(summary)[1]).toMatch(/^actor +3 kills, .* 0\.6 s of processor time/);
  expect(killsLines(summary)[2]).toMatch(/^spark +3 kills, .* \(most\)$/);
});

it("windowsSummary() counts what is wrong in stream and backfill", () => {
  const one = { windows: 1, observations: 1, rejects: 0 };
  const stream = {
    ...one,
    published: 1,
    batches: 1,
    rejects_repeated: 0,
    beyond_wanted: 0,
    beyond_dropped: 0,
  };
  const both = {
    seed: 1,
    days: 1,
    duplicates: "source" as const,
    stream: { ...stream, wrong: 1 },
    backfill: { ...one, wrong: 2 },
    first_wrong: ["a", "b", "c"],
    seconds: 5,
  };
  const clean = { ...both, stream: { ...stream, wrong: 0 }, backfill: null, first_wrong: [] };
  expect(windowsSummary([both, clean])).toMatchObject({
    wrong: 3,
    seconds: 10,
    first_wrong: ["a", "b", "c"],
  });
});

it("archiveSummary() counts records, what `millrace archive` says and the backfill", () => {
  const fine: ArchiveRound = {
    seed: 1,
    kills: [
      { what: "jvm", version: 4, recovery_ms: 1_000 },
      { what: "python", version: 9, recovery_ms: 3_000 },
    ],
    checked: { records: 5, rows: 5, missing: 0, extra: 0, repeated: 0, changed: 0, wrong: 0 },
    whole: true,
    versions: 12,
    files: 2,
    backfill: { windows: 5, observations: 5, rejects: 1, wrong: 0 },
    first_wrong: [],
    seconds: 10,
  };
  const bad = {
    ...fine,
    whole: false,
    checked: { ...fine.checked, rows: 6, repeated: 1, wrong: 1 },
    first_wrong: ["x"],
  };
  expect(archiveSummary([])).toMatchObject({ wrong: 0, recovery: { kills: 0 } });
  const summary = archiveSummary([fine, bad]);
  expect(summary).toMatchObject({ wrong: 2, seconds: 20, first_wrong: ["x"] });
  expect(summary.recovery).toEqual({ kills: 4, median_ms: 2_000, max_ms: 3_000 });
  expect(archiveLines(summary)).toContain("2 wrong");
});
