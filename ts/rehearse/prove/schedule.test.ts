import { expect, it } from "vitest";
import { KILL_KINDS, roundsOf, scheduleOf } from "./schedule.ts";

it("scheduleOf() has every kind so many times, the same for the same seed, another for another", () => {
  const kills = scheduleOf(7, 3);
  for (const kind of KILL_KINDS) expect(kills.filter((kill) => kill.kind === kind)).toHaveLength(3);
  expect(scheduleOf(7, 3)).toEqual(kills);
  expect(scheduleOf(8, 3)).not.toEqual(kills);
  expect(scheduleOf(7, 2, ["spark"]).map(({ kind }) => kind)).toEqual(["spark", "spark"]);
});

it("roundsOf() adds up, and no round has more than the most", () => {
  expect(roundsOf(20, 2)).toEqual(Array(10).fill(2));
  expect(roundsOf(5, 2)).toEqual([2, 2, 1]);
  expect(roundsOf(1, 2)).toEqual([1]);
});
