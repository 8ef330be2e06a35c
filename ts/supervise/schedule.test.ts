// When a batch is due: each time once, missed times by one run, and what is no schedule is refused.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { dueNow, nextDue, requireSchedule } from "./schedule.ts";

const at = (hour: number, minute = 0) => Date.UTC(2026, 0, 5, hour, minute);
const hourly = { schedule: "0 * * * *", since_ms: at(0), asked_ms: null };

describe("dueNow()", () => {
  it("is due at its time, inclusive, and not before", () => {
    expect(dueNow(hourly, at(11), at(12) - 1)).toBeNull();
    expect(dueNow(hourly, at(11), at(12))).toBe(at(12));
    expect(dueNow(hourly, at(11), at(12, 59))).toBe(at(12));
  });
  it("is not due again for a time that has had its run, nor for an earlier one after the clock went back", () => {
    expect(dueNow(hourly, at(12), at(12, 30))).toBeNull();
    expect(dueNow(hourly, at(12), at(11, 30))).toBeNull();
  });
  it("makes up for all missed times by one run, for the latest", () => {
    expect(dueNow(hourly, at(3), at(12, 10))).toBe(at(12));
  });
  it("has nothing to make up from before it was scheduled", () => {
    expect(dueNow({ ...hourly, since_ms: at(12, 1) }, null, at(12, 30))).toBeNull();
    expect(dueNow({ ...hourly, since_ms: at(12) }, null, at(12, 30))).toBe(at(12));
  });
  it("gives who asked a run of its own, once, with a schedule or without", () => {
    for (const schedule of [null, "0 * * * *"]) {
      const asked = { schedule, since_ms: at(0), asked_ms: at(12, 7) };
      expect(dueNow(asked, at(12), at(12, 8))).toBe(at(12, 7));
      expect(dueNow(asked, at(12, 7), at(12, 8))).toBeNull();
    }
  });
  it("runs each time at most once whatever the moments of looking", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 6 * 3_600_000 }), { maxLength: 50 }), (offsets) => {
        let ran: number | null = null;
        const runs: number[] = [];
        for (const offset of offsets.sort((a, b) => a - b)) {
          const due = dueNow(hourly, ran, at(0) + offset);
          if (due === null) continue;
          runs.push(due);
          ran = due;
        }
        expect(new Set(runs).size).toBe(runs.length);
        // The last look has left nothing that was due before it.
        const last = offsets.at(-1);
        if (last !== undefined) expect(ran).toBe(at(Math.floor(last / 3_600_000)));
      }),
    );
  });
});

it("nextDue() is after now", () => {
  expect(nextDue("0 * * * *", at(12))).toBe(at(13));
  expect(nextDue(null, at(12))).toBeNull();
});

it.each(["", "hourly", "* * * *", "61 * * * *", "* * * * * *", "0 0 30 2 *"])(
  "requireSchedule() refuses %j",
  (text) => expect(() => requireSchedule(text)).toThrow(/schedule/),
);
