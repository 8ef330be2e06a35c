import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { aheadOf } from "../contract/index.ts";
import { arrival, features, HOUR_MS, NOW_MS, prediction, T0_MS } from "../test/served/weather.ts";
import { isNewer, Latest } from "./latest.ts";

const rule = { trail_ms: 2 * HOUR_MS, silent_ms: 120_000 };

const YEAR_2073 = Date.UTC(2073, 0, 1);

describe("isNewer()", () => {
  it("compares window end, then plan epoch, then revision, then offset", () => {
    expect(isNewer([2, 0, 0, 0], [1, 9, 9, 9])).toBe(true);
    expect(isNewer([1, 2, 0, 0], [1, 1, 9, 9])).toBe(true);
    expect(isNewer([1, 1, 3, 0], [1, 1, 2, 9])).toBe(true);
    expect(isNewer([1, 1, 1, 5], [1, 1, 1, 4])).toBe(true);
  });
  it("is false for equal versions", () => expect(isNewer([1, 1, 1, 1], [1, 1, 1, 1])).toBe(false));
});

describe("Latest", () => {
  const version = fc.record({
    timestamp: fc.integer({ min: 0, max: 5 }).map((n) => T0_MS + n * 60_000),
    plan_epoch: fc.integer({ min: 0, max: 3 }),
    revision: fc.integer({ min: 0, max: 5 }),
  });

  it("holds the newest version of each station, whatever the order of arrival", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom("a", "b", "c"), version), { minLength: 1, maxLength: 40 }),
        fc.infiniteStream(fc.nat()),
        (sent, random) => {
          const records = sent.map(([id, v], offset) => ({ id, v, offset }));
          const shuffled = records
            .map((r) => ({ r, key: random.next().value as number }))
            .sort((x, y) => x.key - y.key)
            .map(({ r }) => r);
          const latest = new Latest(rule);
          for (const { id, v, offset } of shuffled) {
            latest.predicted(id, prediction(v), arrival(offset));
            latest.observed(id, features({ ...v, window_end: v.timestamp }), arrival(offset));
          }
          for (const id of ["a", "b", "c"]) {
            const own = records.filter((r) => r.id === id);
            // The slow, obvious way: sort by each part of the version in turn, last part first (the sort is stable).
            const newest = own
              .toSorted((x, y) => x.offset - y.offset)
              .sort((x, y) => x.v.revision - y.v.revision)
              .sort((x, y) => x.v.plan_epoch - y.v.plan_epoch)
              .sort((x, y) => x.v.timestamp - y.v.timestamp)
              .at(-1);
            expect(latest.get(id)?.prediction?.arrival.offset).toBe(newest?.offset);
            expect(latest.get(id)?.features?.arrival.offset).toBe(newest?.offset);
          }
        },
      ),
      { seed: 20161201, numRuns: 300 },
    );
  });

  it("says what became of a record", () => {
    const latest = new Latest(rule, 1);
    expect(latest.predicted("a", prediction(), arrival(2))).toBe("newest");
    expect(latest.predicted("a", prediction(), arrival(1))).toBe("older");
    expect(latest.predicted("b", prediction(), arrival(3))).toBe("refused");
    expect([...latest.ids()]).toEqual(["a"]);
  });

  it("age() is null before the first prediction", () => {
    const latest = new Latest(rule);
    latest.observed("a", features(), arrival(1));
    expect(latest.age(latest.get("a")!, NOW_MS)).toBeNull();
  });

  it("a replay of old data is fresh: event time is compared with the network only", () => {
    const latest = new Latest(rule);
    latest.predicted("a", prediction({ timestamp: T0_MS }), arrival(1));
    expect(latest.age(latest.get("a")!, NOW_MS)).toEqual({
      age_s: 2,
      behind_s: 0,
      stale: false,
      stale_reason: null,
    });
  });

  it("a station is stale once it trails the network by more than the limit, not at the limit", () => {
    const latest = new Latest(rule);
    latest.predicted("slow", prediction({ timestamp: T0_MS }), arrival(1));
    latest.predicted("fast", prediction({ timestamp: T0_MS + rule.trail_ms }), arrival(2));
    expect(latest.age(latest.get("slow")!, NOW_MS)?.stale).toBe(false);
    latest.predicted("fast", prediction({ timestamp: T0_MS + rule.trail_ms + 1 }), arrival(3));
    expect(latest.age(latest.get("slow")!, NOW_MS)).toMatchObject({
      behind_s: 7200.001,
      stale: true,
      stale_reason: "trails_network",
    });
    expect(latest.age(latest.get("fast")!, NOW_MS)?.stale).toBe(false);
  });

  it("a record of the future neither makes the others stale nor its station the newest", () => {
    const ahead_ms = aheadOf({ lead_ms: HOUR_MS, window_ms: 300_000 });
    const latest = new Latest(rule, undefined, ahead_ms);
    latest.predicted("good", prediction({ timestamp: T0_MS }), arrival(1));
    latest.predicted("broken", prediction({ timestamp: T0_MS }), arrival(2));
    expect(latest.predicted("broken", prediction({ timestamp: YEAR_2073 }), arrival(3))).toBe("ahead");
    expect(latest.observed("broken", features({ window_end: YEAR_2073 }), arrival(4))).toBe("ahead");
    expect(latest.frontier_ms).toBe(T0_MS);
    expect(latest.predicted("broken", prediction({ timestamp: T0_MS + 60_000 }), arrival(5))).toBe("newest");
    expect(latest.age(latest.get("good")!, NOW_MS)?.stale).toBe(false);
    expect(latest.get("broken")?.features).toBeNull();
    // Exactly as far as an observation and a clock may lead is no future.
    const at_ms = NOW_MS + ahead_ms;
    const taken = arrival(6, { append_time_ms: NOW_MS });
    expect(latest.predicted("live", prediction({ timestamp: at_ms }), taken)).toBe("newest");
    expect(latest.predicted("live", prediction({ timestamp: at_ms + 1 }), taken)).toBe("ahead");
  });

  it("every station is stale once nothing arrived for longer than the limit, not at the limit", () => {
    const latest = new Latest(rule);
    latest.predicted("a", prediction(), arrival(1, { append_time_ms: NOW_MS }));
    expect(latest.age(latest.get("a")!, NOW_MS + rule.silent_ms)?.stale).toBe(false);
    expect(latest.age(latest.get("a")!, NOW_MS + rule.silent_ms + 1)?.stale_reason).toBe("network_silent");
  });
  it("a live source that may bring nothing new for longer is given that long, while it runs", () => {
    const latest = new Latest(rule);
    latest.predicted("a", prediction(), arrival(1, { append_time_ms: NOW_MS }));
    const staleAfter = (ms: number) => latest.age(latest.get("a")!, NOW_MS + ms)?.stale;
    latest.expectWithin("weather-open_meteo", HOUR_MS);
    latest.expectWithin("weather-nws", 2 * HOUR_MS);
    expect([staleAfter(2 * HOUR_MS), staleAfter(2 * HOUR_MS + 1)]).toEqual([false, true]);
    latest.expectWithin("weather-nws", null);
    expect([staleAfter(HOUR_MS), staleAfter(HOUR_MS + 1)]).toEqual([false, true]);
    latest.expectWithin("weather-open_meteo", null);
    expect(staleAfter(rule.silent_ms + 1)).toBe(true);
  });

  it("a quiet station is fresh in wall time while others are heard and event time stands near", () => {
    const latest = new Latest(rule);
    latest.predicted("quiet", prediction(), arrival(1, { append_time_ms: NOW_MS - 600_000 }));
    latest.predicted("loud", prediction(), arrival(2, { append_time_ms: NOW_MS }));
    expect(latest.age(latest.get("quiet")!, NOW_MS)).toMatchObject({ age_s: 600, stale: false });
  });

  it("a broker whose clock leads ours reads as age 0", () => {
    const latest = new Latest(rule);
    latest.predicted("a", prediction(), arrival(1, { append_time_ms: NOW_MS + 50 }));
    expect(latest.age(latest.get("a")!, NOW_MS)?.age_s).toBe(0);
  });
});
