// Every window right, on real Spark: days of Singapore with shuffled, late, out-of-range, undecodable and time-jumping records,
// met as a catch-up and then paced, in the stream and in the backfill alike. At full count: `millrace prove --only windows`.

import { expect, inject, it } from "vitest";
import { proveWindows } from "../../rehearse/prove/windows.ts";

it("every feature row of a dirty day equals the oracle, none missing or extra, every bad record is a reject", {
  timeout: 3_600_000,
}, async () => {
  const round = await proveWindows({
    engines: inject("engines"),
    seed: 1,
    days: 1,
    duplicates: "source",
    signal: new AbortController().signal,
    log: (line) => console.log(line),
  });
  expect(round.first_wrong).toEqual([]);
  expect(round.stream).toMatchObject({ wrong: 0 });
  expect(round.backfill).toMatchObject({ wrong: 0 });
  expect(round.stream.windows).toBeGreaterThan(10_000);
  expect(round.stream.rejects).toBeGreaterThan(100);
  expect(round.stream.batches).toBeGreaterThan(1);
  expect(round.backfill?.windows).toBeGreaterThanOrEqual(round.stream.windows);
});
