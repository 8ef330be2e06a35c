import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { jumpingClock, wallClock } from "../../ground/clock.ts";
import type { Input, Row } from "../row.ts";
import { type Batch, type BatchingOptions, type BatchLimits, batches, period } from "./batches.ts";

const rowsAt = (times: readonly number[], chunk = 3): Input => ({
  name: "test",
  fingerprint: async () => "test",
  async *rows() {
    for (let i = 0; i < times.length; i += chunk)
      yield times.slice(i, i + chunk).map(
        (time, n): Row => ({
          key: `k${i + n}`,
          time,
          record: {},
          clock: Math.max(...times.slice(0, i + n + 1)),
        }),
      );
  },
});
const limits: BatchLimits = { rows_max: 4, linger_ms: 20, span_ms: 1_000 };
const collect = async (
  input: Input,
  options: Partial<BatchingOptions> = {},
  most = 1_000,
): Promise<Batch[]> => {
  const all: Batch[] = [];
  const from = { pass: 0, position: 0 };
  for await (const batch of batches(input, {
    from,
    speed: "max",
    loop: false,
    limits,
    clock: jumpingClock(),
    ...options,
  })) {
    all.push(batch);
    if (all.length === most) break;
  }
  return all;
};
const times = fc.array(fc.nat(5_000), { maxLength: 40 }).map((steps) => {
  let time = 0;
  return steps.map((step) => (time += step % 3 === 0 ? 0 : step));
});

describe("batches()", () => {
  it("carries every row once, in order, within the limits, from any place", async () => {
    await fc.assert(
      fc.asyncProperty(
        times,
        fc.nat(40),
        fc.constantFrom<"max" | number>("max", 1, 3600),
        async (at, skip, speed) => {
          const position = Math.min(skip, at.length);
          const all = await collect(rowsAt(at), { from: { pass: 0, position }, speed });
          expect(all.flatMap((b) => b.rows.map((r) => r.time))).toEqual(at.slice(position));
          let place = position;
          for (const { rows, start, end } of all) {
            expect(start.position).toBe(place);
            place = end.position;
            expect(end.position - start.position).toBe(rows.length);
            expect(rows.length).toBeLessThanOrEqual(limits.rows_max);
            expect(rows.at(-1)!.time - rows[0]!.time).toBeLessThanOrEqual(limits.span_ms);
            expect(end.frontier).toBe(Math.max(...at.slice(0, place)));
          }
          expect(place).toBe(at.length);
        },
      ),
    );
  });

  it("sends no row before its time and holds none longer than the linger, by the input's own clock", async () => {
    await fc.assert(
      fc.asyncProperty(times, fc.constantFrom(0.5, 1, 7, 3600), async (at, speed) => {
        const clock = jumpingClock(1_000_000);
        const from = { pass: 0, position: 0 };
        for await (const { rows, due_ms } of batches(rowsAt(at), {
          from,
          speed,
          loop: false,
          limits,
          clock,
        })) {
          const due = (time: number): number => 1_000_000 + (time - at[0]!) / speed;
          expect(due_ms).toBeCloseTo(due(rows[0]!.time), 6);
          for (const { time } of rows) {
            expect(clock.nowMs()).toBeGreaterThanOrEqual(due(time) - 1e-6);
            expect(due(time)).toBeLessThanOrEqual(due(rows[0]!.time) + limits.linger_ms + 1e-6);
          }
          // A batch leaves when its last row is due; it does not wait for the next one.
          expect(clock.nowMs()).toBeLessThanOrEqual(
            Math.max(due(rows[0]!.time), due(rows.at(-1)!.time)) + 1e-6,
          );
        }
      }),
    );
  });

  it("keeps its timetable however long sending takes (open loop)", async () => {
    const clock = jumpingClock();
    const due: (number | null)[] = [];
    const at = [0, 100, 200, 300];
    const from = { pass: 0, position: 0 };
    for await (const batch of batches(rowsAt(at), { from, speed: 1, loop: false, limits, clock })) {
      due.push(batch.due_ms);
      clock.advance(250);
    }
    // The second batch was due at 100 and seen at 250: 200 goes with it, 300 is not due for more than the linger.
    expect(due).toEqual([0, 100, 300]);
  });

  it("shifts each pass by whole days, and the clock never runs backwards", async () => {
    await fc.assert(
      fc.asyncProperty(
        times.filter((t) => t.length > 0),
        async (at) => {
          const input = rowsAt(at.map((t) => t * 40_000));
          const all = await collect(input, { loop: true, limits: { ...limits, span_ms: 1e12 } }, 40);
          const rows = all.flatMap((b) => b.rows);
          for (const { row, time } of rows) expect((time - row.time) % 86_400_000).toBe(0);
          for (let i = 1; i < rows.length; i++)
            expect(rows[i]!.time).toBeGreaterThanOrEqual(rows[i - 1]!.time);
          const [first, next] = [
            rows.findIndex((r) => r.time !== r.row.time) - 1,
            rows.findIndex((r) => r.time !== r.row.time),
          ];
          if (next > 0) expect(rows[next]!.time).toBeGreaterThan(rows[first]!.time);
          for (const { start, end } of all) expect(start.pass).toBe(end.pass);
        },
      ),
    );
  });

  it("resumes in a later pass where a run without a stop would be", async () => {
    const input = rowsAt([0, 10, 20, 30, 40].map((t) => t * 1_000_000));
    const whole = (await collect(input, { loop: true, limits: { ...limits, span_ms: 1 } }, 17)).map(
      (b) => b.rows[0],
    );
    const rest = (
      await collect(
        input,
        { loop: true, from: { pass: 2, position: 1 }, limits: { ...limits, span_ms: 1 } },
        6,
      )
    ).map((b) => b.rows[0]);
    expect(rest).toEqual(whole.slice(11));
  });

  it("waits neither for a time that leads nor through ages, and shifts a pass by neither", async () => {
    const [minute, day, year] = [60_000, 86_400_000, 366 * 86_400_000];
    const [old, now] = [-1_000 * year, 1_000 * day];
    const at: [number, number][] = [
      [old, old],
      [now, now],
      [now + 50 * year, now],
      [now + minute, now + minute],
      [now + minute, now + minute],
    ];
    const input: Input = {
      name: "test",
      fingerprint: async () => "test",
      async *rows() {
        yield at.map(([time, clock], n): Row => ({ key: `k${n}`, time, record: {}, clock }));
      },
    };
    const clock = jumpingClock();
    const all = await collect(
      input,
      { speed: 1, loop: true, clock, limits: { ...limits, span_ms: 1e12 } },
      6,
    );
    expect(clock.nowMs()).toBeLessThan(2 * day);
    const rows = all.flatMap((batch) => batch.rows);
    expect(rows.slice(0, 5).map((row) => [row.time, row.frontier])).toEqual(at);
    expect(rows.slice(6, 8).map((row) => row.frontier)).toEqual([now + day, now + day]);
    const from = { pass: 1, position: 1 };
    const resumed = await collect(input, { from, loop: true, limits: { ...limits, span_ms: 1e12 } }, 1);
    expect(resumed[0]!.rows[0]).toEqual(rows[6]);
  });

  it("ends a loop before what lies in the future, but not the input's own times", async () => {
    const day = 86_400_000;
    const late = { ...jumpingClock(), nowMs: () => 2 * day + 500 };
    for (const [from, ends_now, passes] of [
      [{ pass: 0, position: 0 }, true, [0, 1000, day, day + 1000, 2 * day]],
      [{ pass: 2, position: 1 }, true, []],
    ] as const) {
      const all = await collect(rowsAt([0, 1000]), { from, loop: true, ends_now, clock: late }, 20);
      expect(all.flatMap(({ rows }) => rows.map(({ time }) => time))).toEqual(passes);
    }
    const early = { ...jumpingClock(), nowMs: () => 0 };
    const all = await collect(rowsAt([0, 1000]), { loop: true, ends_now: true, clock: early }, 20);
    expect(all.flatMap(({ rows }) => rows.map(({ time }) => time))).toEqual([0, 1000]);
  });

  it("ends after what was due when the signal aborts", async () => {
    const stop = new AbortController();
    const clock = jumpingClock();
    const seen: number[] = [];
    const from = { pass: 0, position: 0 };
    for await (const { rows } of batches(rowsAt([0, 1, 500, 1000]), {
      from,
      speed: 1,
      loop: true,
      limits,
      clock,
      signal: stop.signal,
    })) {
      seen.push(...rows.map((r) => r.time));
      stop.abort();
    }
    expect(seen).toEqual([0, 1]);
  });

  it("ends at once when the input is empty, also when looping", async () => {
    expect(await collect(rowsAt([]), { loop: true })).toEqual([]);
    expect(await collect(rowsAt([]), { loop: true, from: { pass: 3, position: 0 } })).toEqual([]);
  });
});

describe("period()", () => {
  it("is the fewest whole days that keep passes apart", () => {
    const day = 86_400_000;
    expect(period(0, 0)).toBe(day);
    expect(period(0, day - 1)).toBe(day);
    expect(period(0, day)).toBe(2 * day);
  });
});

describe("wallClock", () => {
  it("waits for a time, and not for one that has passed or when aborted", async () => {
    const start = wallClock.nowMs();
    await wallClock.until(start + 15);
    expect(wallClock.nowMs()).toBeGreaterThanOrEqual(start + 14.5);
    await wallClock.until(0);
    await wallClock.until(start + 1e9, AbortSignal.abort());
    await wallClock.until(start + 1e9, AbortSignal.timeout(5));
  });
});
