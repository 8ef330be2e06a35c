import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ROWS_AHEAD, Timeline } from "./timeline.ts";

const [MINUTE, HOUR, DAY] = [60_000, 3_600_000, 86_400_000];
const T = Date.UTC(2016, 11, 1);
const NOW = Date.UTC(2026, 0, 1);
const YEAR_2073 = Date.UTC(2073, 0, 1);
const YEAR_9999 = Date.UTC(9999, 11, 31);
const YEAR_1 = Date.parse("0001-01-01T00:00:00Z");

interface Reading {
  readonly key: string;
  readonly time: number;
}
/** Each reading's clock, in the order of the file. */
const clocks = (readings: readonly (Reading | null)[], trust_ms = 0): (number | null)[] => {
  const timeline = new Timeline<Reading | null>({ trust_ms, limit: () => NOW });
  const timed: { value: Reading | null; clock: number | null }[] = [];
  const settle = () => {
    for (let one = timeline.next(); one !== null; one = timeline.next()) timed.push(one);
  };
  for (const reading of readings) {
    timeline.push(reading, reading);
    settle();
  }
  timeline.end();
  settle();
  expect(timed.map(({ value }) => value)).toEqual(readings);
  return timed.map(({ clock }) => clock);
};
const of = (key: string, ...times: readonly number[]): Reading[] => times.map((time) => ({ key, time }));
/** Rounds of a network, one a step: every station at each time. */
const rounds = (stations: number, from: number, count: number, step: number): Reading[] =>
  Array.from({ length: count }, (_, i) =>
    Array.from({ length: stations }, (_, s) => ({ key: `s${s}`, time: from + i * step })),
  ).flat();
/** The good rows' clock is their own time, the others' is an hour and more behind it; and it never falls. */
const expectOnly = (readings: readonly Reading[], wrong: ReadonlySet<Reading>, trust_ms = 0) => {
  const found = clocks(readings, trust_ms);
  const missed = readings.flatMap((reading, i) => {
    const lead_ms = reading.time - found[i]!;
    const fine = wrong.has(reading) ? lead_ms > HOUR : lead_ms <= 0;
    return fine && (i === 0 || found[i]! >= found[i - 1]!) ? [] : [{ ...reading, i, clock: found[i] }];
  });
  expect(missed.slice(0, 3)).toEqual([]);
};
const inserted = (good: readonly Reading[], at: number, wrong: readonly Reading[]): void => {
  for (const trust_ms of [0, 10 * MINUTE])
    expectOnly([...good.slice(0, at), ...wrong, ...good.slice(at)], new Set(wrong), trust_ms);
};

describe("Timeline", () => {
  it.each([1, 2, 27])("follows a clean file of %i stations row by row, and passes its gaps", (stations) => {
    for (const step of [1_000, MINUTE, HOUR, 6 * HOUR, DAY])
      for (const gap of [6 * HOUR, DAY, 2 * DAY, 40 * DAY, 700 * DAY])
        for (const after of [3, 200]) {
          const day = rounds(stations, T, 60, step);
          const next = rounds(stations, T + 60 * step + gap, after, step);
          expectOnly([...day, ...next], new Set());
        }
  });

  it("follows small files: one row, two a day apart, the Monday of a file of working days", () => {
    expectOnly(of("a", T), new Set());
    expectOnly(of("a", T, T + DAY), new Set());
    expectOnly(of("a", T, T + DAY, T + 2 * DAY, T + 5 * DAY), new Set());
    expectOnly([...of("a", YEAR_1), ...of("a", T)], new Set());
  });

  const ahead = [T + 5 * HOUR, T + 3 * DAY, Date.UTC(2018, 0, 1), YEAR_2073, YEAR_9999];
  it.each(ahead.map((time) => [new Date(time).toISOString(), time] as const))(
    "stays where it is for a row of %s, wherever it stands",
    (_, time) => {
      for (const stations of [1, 2, 27]) {
        const good = rounds(stations, T, 100, MINUTE);
        for (const at of [0, 1, 2, stations * 50, good.length - 1, good.length])
          inserted(good, at, of("s0", time));
      }
    },
  );

  it("stays for a handful of them, also where one station is alone", () => {
    const good = rounds(1, T, 6_000, MINUTE);
    for (const count of [2, 5, 60, 500])
      for (const from of [Date.UTC(2018, 0, 1), YEAR_2073])
        for (const at of [0, 1, 3_000])
          inserted(good, at, of("s0", ...Array.from({ length: count }, (_, i) => from + i * MINUTE)));
  });

  it.each([2, 3, 27])("stays while the clock of one of %i stations is wrong for long", (stations) => {
    for (const lead of [2 * HOUR, 3 * DAY, 400 * DAY, 20_000 * DAY]) {
      const wrong = new Set<Reading>();
      const readings = rounds(stations, T, 2_000, MINUTE).map((reading, i) => {
        if (reading.key !== "s1" || i < 100) return reading;
        const broken = { key: "s1", time: reading.time + lead };
        wrong.add(broken);
        return broken;
      });
      expectOnly(readings, wrong);
    }
  });

  it("is not moved by a clock that is wrong by less than what a row may lead", () => {
    const good = rounds(27, T, 20, MINUTE);
    const found = clocks([...good.slice(0, 270), ...of("s3", T + 40 * MINUTE), ...good.slice(270)]);
    expect(found.toSpliced(270, 1)).toEqual(good.map(({ time }) => time));
    expect(found[270]).toBe(T + 9 * MINUTE);
  });

  it("is not moved by rows from the past, nor by one at the start", () => {
    const good = rounds(3, T, 100, MINUTE);
    const late = of("s1", YEAR_1, 0, T - DAY);
    const found = clocks([...good.slice(0, 150), ...late, ...good.slice(150)]);
    expect(found.toSpliced(150, 3)).toEqual(good.map(({ time }) => time));
    expectOnly([...of("zero", YEAR_1), ...good], new Set());
  });

  it.each([1, 2, 3])(
    "begins with its %i stations, whatever few rows of the past stand among or before them",
    (stations) => {
      const good = rounds(stations, T, 100, MINUTE);
      for (const at of [0, 1, 50, good.length - 1])
        for (const wrong of [of("s0", YEAR_1), of("s0", 0), of("s0", YEAR_1, YEAR_1 + MINUTE)]) {
          const found = clocks([...good.slice(0, at), ...wrong, ...good.slice(at)]);
          expect(found.toSpliced(at, wrong.length)).toEqual(good.map(({ time }) => time));
        }
    },
  );

  it("begins beyond no limit: a file of the future is ahead of the wall clock, row by row", () => {
    expect(clocks(rounds(2, YEAR_9999, 3, MINUTE))).toEqual(Array.from({ length: 6 }, () => NOW));
  });

  it("takes the newest of rows in disorder within its trust, as they come", () => {
    const readings = of("a", T + MINUTE, T, T + 3 * MINUTE, T + 2 * MINUTE, T + 9 * MINUTE);
    expect(clocks(readings, 10 * MINUTE)).toEqual([1, 1, 3, 3, 9].map((minutes) => T + minutes * MINUTE));
  });

  it("keeps its beginning where a file has its newest row on top", () => {
    const readings = rounds(2, T, 50, HOUR).reverse();
    expect(clocks(readings).every((clock) => clock === T + 49 * HOUR)).toBe(true);
  });

  it("keeps the place of what has no time", () => {
    expect(clocks([null, ...of("a", T), null, ...of("a", T + MINUTE), null])).toEqual([
      null,
      T,
      null,
      T + MINUTE,
      null,
    ]);
  });

  it("tells wrong rows from good ones in any mixture, and needs no more rows than it says", () => {
    const wrongRow = fc.record({
      at: fc.nat(10_000),
      key: fc.nat(4),
      lead: fc.integer({ min: 2 * HOUR, max: 5_000 * DAY }),
    });
    fc.assert(
      fc.property(
        fc.integer({ min: 3, max: 27 }),
        fc.integer({ min: 20, max: 100 }),
        fc.array(wrongRow, { maxLength: 5 }),
        (stations, count, found) => {
          const readings = rounds(stations, T, count, MINUTE);
          const wrong = new Set<Reading>();
          const by = new Map(found.map((one) => [one.at % readings.length, one]));
          const mixed = readings.flatMap((reading, i) => {
            const one = by.get(i);
            if (one === undefined) return [reading];
            const broken = { key: `s${one.key % stations}`, time: reading.time + one.lead };
            wrong.add(broken);
            return [broken, reading];
          });
          expectOnly(mixed, wrong);
        },
      ),
      { numRuns: 200 },
    );
  });

  it("hands on what it has once enough rows follow", () => {
    const timeline = new Timeline<Reading>({ trust_ms: 0, limit: () => NOW });
    let out = 0;
    rounds(3, T, 3_000, MINUTE).forEach((reading, i) => {
      timeline.push(reading, reading);
      while (timeline.next() !== null) out++;
      if (i >= 4_096) expect(i + 1 - out).toBeLessThanOrEqual(ROWS_AHEAD);
    });
  });
});
