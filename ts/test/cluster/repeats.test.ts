// A dirty day with repeated records under a features job that drops repeats (duplicates "engine"), as windows.test.ts.

import { expect, inject, it } from "vitest";
import { proveWindows } from "../../rehearse/prove/windows.ts";

it("every feature row equals the oracle where records repeat", { timeout: 3_600_000 }, async () => {
  const round = await proveWindows({
    engines: inject("engines"),
    seed: 1,
    days: 1,
    duplicates: "engine",
    signal: new AbortController().signal,
    log: (line) => console.log(line),
  });
  expect(round.first_wrong).toEqual([]);
  expect(round.stream).toMatchObject({ wrong: 0 });
});
