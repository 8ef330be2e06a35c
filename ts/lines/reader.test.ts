import { describe, expect, it } from "vitest";
import { fakeFiles } from "../test/fakes/files.ts";
import { hourFile } from "./layout.ts";
import { type LinesAsked, LinesReader } from "./reader.ts";

const HOUR_MS = 3_600_000;
const T0_MS = Date.parse("2026-11-30T22:00:00Z");

function reading(hours: Readonly<Record<number, number>> = {}) {
  const files = fakeFiles();
  let now_ms = T0_MS;
  const clock = { nowMs: () => now_ms };
  for (const [hour, count] of Object.entries(hours)) {
    const at_ms = T0_MS + Number(hour) * HOUR_MS;
    const lines = Array.from({ length: count }, (_, i) => ({
      city: i % 2 === 0 ? "tōkyō" : "london",
      timestamp: at_ms + i,
    }));
    void files.write(hourFile("weather", at_ms), lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  }
  const reader = new LinesReader(files, "weather", clock);
  return { files, reader, pass: (ms: number) => (now_ms += ms) };
}

const ASKED: LinesAsked = { from_ms: null, to_ms: null, limit: 1_000, before: null, wanted: () => true };

async function all(reader: LinesReader, asked: LinesAsked) {
  const times: number[] = [];
  let pages = 0;
  for (let before: LinesAsked["before"] = null; ; pages++) {
    const { records, next } = await reader.records({ ...asked, before });
    times.push(...records.map(({ row }) => Number(row["timestamp"])));
    if (next === null) return { times, pages: pages + 1 };
    before = next;
  }
}

describe("records of the hours", () => {
  const times = (hour: number, count: number) =>
    Array.from({ length: count }, (_, i) => T0_MS + hour * HOUR_MS + i).reverse();

  it("come newest hour first over the end of a month, and the last line of an hour first", async () => {
    const { reader } = reading({ 0: 3, 1: 2, 2: 4 });
    expect((await all(reader, ASKED)).times).toEqual([...times(2, 4), ...times(1, 2), ...times(0, 3)]);
  });

  it("come in pages that neither repeat nor leave out, also while the open hour grows", async () => {
    const { reader, files } = reading({ 0: 5, 1: 7 });
    const first = await reader.records({ ...ASKED, limit: 4 });
    const file = hourFile("weather", T0_MS + HOUR_MS);
    await files.write(file, `${await files.read(file)}{"city":"london","timestamp":1}\n`);
    const seen = first.records.map(({ row }) => Number(row["timestamp"]));
    for (let before = first.next; before !== null; ) {
      const page = await reader.records({ ...ASKED, limit: 4, before });
      seen.push(...page.records.map(({ row }) => Number(row["timestamp"])));
      before = page.next;
    }
    expect(seen).toEqual([...times(1, 7), ...times(0, 5)]);
  });

  it("of a large hour are read by stretches, also where one begins within a letter of several bytes", async () => {
    const count = 30_000;
    const { reader } = reading({ 0: count });
    const { times: seen, pages } = await all(reader, ASKED);
    expect(seen).toEqual(times(0, count));
    // The last one finds that nothing is older.
    expect(pages).toBe(count / 1_000 + 1);
  });

  it("that a filter keeps out end a page, which says where the next one goes on", async () => {
    const { reader } = reading({ 0: 120_000 });
    const page = await reader.records({ ...ASKED, wanted: () => false });
    expect(page.records).toEqual([]);
    expect(page.next).not.toBeNull();
    expect((await all(reader, { ...ASKED, wanted: () => false })).times).toEqual([]);
  });

  it("of a range are of its hours alone", async () => {
    const { reader } = reading({ [-30]: 1, 0: 2, 1: 2, 2: 2 });
    const range = { from_ms: T0_MS, to_ms: T0_MS + 2 * HOUR_MS };
    expect((await all(reader, { ...ASKED, ...range })).times).toEqual([...times(1, 2), ...times(0, 2)]);
  });

  it("nothing is there before the first, and what is hidden is not for readers", async () => {
    const { reader, files } = reading();
    expect(await reader.records(ASKED)).toEqual({ records: [], next: null });
    await files.write("raw/year=2026/month=11/day=30/_weather_2200.x-1.jsonl", "{}\n");
    expect(await reader.records(ASKED)).toEqual({ records: [], next: null });
  });

  it("that are no JSON are named with their file", async () => {
    const { reader, files } = reading();
    await files.write(hourFile("weather", T0_MS), "{\n");
    await expect(reader.records(ASKED)).rejects.toThrow(/weather_2200.jsonl.*expected JSON/);
  });
});

describe("tables of the version that counts", () => {
  const current = (version: string) =>
    JSON.stringify({ version, computed_ms: 5, from_ms: 1, to_ms: 2, observations: 3, rows: { t: 1 } });

  it("are read once a version, and another version is seen after a second", async () => {
    const { reader, files, pass } = reading();
    expect(await reader.table("analytics", "t")).toBeNull();
    pass(1_000);
    await files.write("analytics/t/a.jsonl", '{"n":1}\n');
    await files.write("analytics/current.json", current("a"));
    expect((await reader.table("analytics", "t"))?.rows).toEqual([{ n: 1 }]);
    await files.write("analytics/t/a.jsonl", '{"n":9}\n');
    pass(1_000);
    expect((await reader.table("analytics", "t"))?.rows).toEqual([{ n: 1 }]);
    await files.write("analytics/t/b.jsonl", '{"n":2}\n{"n":3}\n');
    await files.write("analytics/current.json", current("b"));
    pass(1_000);
    const found = await reader.table("analytics", "t");
    expect([found?.version.version, found?.rows]).toEqual(["b", [{ n: 2 }, { n: 3 }]]);
  });

  it("whose version was taken away between look and reading are looked for again", async () => {
    const { reader, files } = reading();
    await files.write("analytics/current.json", current("gone"));
    expect((await reader.version("analytics"))?.version).toBe("gone");
    await files.write("analytics/t/new.jsonl", '{"n":4}\n');
    await files.write("analytics/current.json", current("new"));
    expect((await reader.table("analytics", "t"))?.rows).toEqual([{ n: 4 }]);
  });

  it("of a store that is away are an error, and there again with it", async () => {
    const { reader, files } = reading();
    files.away = true;
    await expect(reader.table("analytics", "t")).rejects.toMatchObject({ code: "store_unreachable" });
    files.away = false;
    expect(await reader.table("analytics", "t")).toBeNull();
  });
});
