// The whole line on real engines with its processes killed in mid-stream: nothing lost, nothing doubled, every window right.
// The same proof at full count, seeded and resumable: `millrace prove`.

import { join } from "node:path";
import { expect, inject, it } from "vitest";
import { proveKills } from "../../rehearse/prove/kills.ts";
import { KILL_KINDS } from "../../rehearse/prove/schedule.ts";

const engines = inject("engines");

it("covers everything once and goes on by itself across kill -9 of every part", {
  timeout: 3_600_000,
}, async () => {
  const round = await proveKills({
    engines,
    seed: 1,
    count: 1,
    champion: join(engines.home, "proof-champion"),
    signal: new AbortController().signal,
    log: (line) => console.log(line),
  });
  expect(round.checked.first_wrong).toEqual([]);
  expect(round.checked).toMatchObject({ wrong: 0, rejected: 0, expired: 0 });
  expect(round.checked.observations).toBeGreaterThan(1_000);
  expect(round.checked.moved_by_neighbours).toBeGreaterThan(100);
  expect(round.archived).toMatchObject({ missing: 0, extra: 0, repeated: 0, changed: 0, whole: true });
  expect(round.archived.records).toBe(round.checked.observations);
  for (const kind of KILL_KINDS) expect(round.kills.filter((kill) => kill.kind === kind)).toHaveLength(1);
  console.log(JSON.stringify(round));
});
