// When something is done again, on a clock that is moved by hand.

import { describe, expect, it } from "vitest";
import { jumpingClock } from "./clock.ts";
import { change, type Pace, repeat } from "./repeat.ts";

const PACE: Pace = { tries: 6, first_ms: 200, most_ms: 1_000, deadline_ms: 10_000 };

function jumping(random = 0.5) {
  const clock = jumpingClock();
  return { clock, effects: { clock, random: () => random } };
}
const lost = new Error("lost");
const passes = (error: unknown) => error === lost;

describe("repeat()", () => {
  it("gives the first result that works, trying after pauses that double up to their most", async () => {
    const { clock, effects } = jumping();
    let tries = 0;
    const work = async () => {
      tries++;
      if (tries < 6) throw lost;
      return tries;
    };
    expect(await repeat(work, { passes, pace: PACE, effects })).toBe(6);
    expect(clock.waits).toEqual([200, 600, 1_400, 2_400, 3_400]);
  });
  it("spreads a pause from half of it to one and a half", async () => {
    for (const [random, pause_ms] of [
      [0, 100],
      [1, 300],
    ] as const) {
      const { clock, effects } = jumping(random);
      await expect(
        repeat(() => Promise.reject(lost), { passes, pace: { ...PACE, tries: 2 }, effects }),
      ).rejects.toBe(lost);
      expect(clock.waits).toEqual([pause_ms]);
    }
  });
  it("ends after its tries with the last error, and at once with one that does not pass", async () => {
    const { clock, effects } = jumping();
    await expect(repeat(() => Promise.reject(lost), { passes, pace: PACE, effects })).rejects.toBe(lost);
    expect(clock.waits).toHaveLength(5);
    const other = new Error("other");
    await expect(repeat(() => Promise.reject(other), { passes, pace: PACE, effects })).rejects.toBe(other);
    expect(clock.waits).toHaveLength(5);
  });
  it("begins no try at or after the deadline, and tells each what is left", async () => {
    const { clock, effects } = jumping();
    const left: number[] = [];
    const slow = async ({ left_ms }: { left_ms: number }) => {
      left.push(left_ms);
      clock.advance(4_800);
      throw lost;
    };
    await expect(repeat(slow, { passes, pace: PACE, effects })).rejects.toBe(lost);
    // 0 … 4800, 5000 … 9800; the third would begin at 10200.
    expect(left).toEqual([10_000, 5_000]);
  });
});

describe("change()", () => {
  const pace = { ...PACE, tries: 3 };
  it("does not ask again for what happened though its answer was lost", async () => {
    const { effects } = jumping();
    const made: string[] = [];
    const make = async () => {
      made.push("it");
      throw lost;
    };
    expect(await change({ make, find: async () => made[0] ?? null, passes, pace, effects })).toBe("it");
    expect(made).toHaveLength(1);
  });
  it("asks again for what did not happen", async () => {
    const { effects } = jumping();
    let asked = 0;
    const make = async () => {
      asked++;
      if (asked === 1) throw lost;
      return asked;
    };
    expect(await change<number>({ make, find: async () => null, passes, pace, effects })).toBe(2);
  });
  it("looks after the last request too, and gives its error if nothing happened", async () => {
    const { effects } = jumping();
    const steps: string[] = [];
    const make = async () => {
      steps.push("make");
      throw lost;
    };
    const find = async () => {
      steps.push("find");
      return null;
    };
    await expect(change({ make, find, passes, pace, effects })).rejects.toBe(lost);
    expect(steps).toEqual(["make", "find", "make", "find"]);
  });
  it("does not ask again while nobody can tell", async () => {
    const { effects } = jumping();
    const blind = new Error("cannot tell");
    let asked = 0;
    const make = async () => {
      asked++;
      throw lost;
    };
    await expect(change({ make, find: () => Promise.reject(blind), passes, pace, effects })).rejects.toBe(
      blind,
    );
    expect(asked).toBe(1);
  });
});
