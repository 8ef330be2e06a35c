import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Observation } from "../row.ts";
import { hashRecord } from "./hash.ts";
import { Repeats, type RepeatVerdict } from "./repeats.ts";

const rowOf = (key: string, time: number, value: number | null): Observation => ({
  key,
  time,
  record: { station_id: key, timestamp: time, temperature: value },
});

describe("Repeats", () => {
  it("knows what a naive memory knows, as long as no generation has passed", () => {
    const row = fc.tuple(fc.constantFrom("a", "b", "ab"), fc.nat(5), fc.constantFrom(null, 0, -0, 1, 0.1));
    fc.assert(
      fc.property(fc.array(row, { maxLength: 40 }), (rows) => {
        const repeats = new Repeats(100);
        const naive = new Map<string, number | null>();
        for (const [key, time, value] of rows) {
          const name = JSON.stringify([key, time]);
          const known = naive.get(name);
          const wanted: RepeatVerdict = !naive.has(name) ? "new" : known === value ? "repeat" : "conflict";
          expect(repeats.judge(rowOf(key, time, value))).toBe(wanted);
          if (wanted === "new") naive.set(name, value);
        }
      }),
    );
  });

  it("remembers at least one generation of rows and at most two", () => {
    const repeats = new Repeats(10);
    for (let i = 0; i < 25; i++) repeats.judge(rowOf("a", i, 1));
    for (let i = 24; i >= 10; i--) expect(repeats.judge(rowOf("a", i, 1))).toBe("repeat");
    expect(repeats.judge(rowOf("a", 9, 1))).toBe("new");
  });
});

describe("hashRecord()", () => {
  it("tells values, absent values and fields apart", () => {
    const value = fc.option(
      fc.oneof(
        fc.double({ noNaN: true }).map((v) => v + 0),
        fc.string(),
      ),
    );
    fc.assert(
      fc.property(fc.tuple(value, value), fc.tuple(value, value), ([a, b], [c, d]) => {
        const same = Object.is(a, c) && Object.is(b, d);
        expect(hashRecord({ a, b }) === hashRecord({ a: c, b: d })).toBe(same);
      }),
    );
    expect(hashRecord({ a: 1, b: null })).not.toBe(hashRecord({ a: null, b: 1 }));
    expect(hashRecord({ a: -0 })).toBe(hashRecord({ a: 0 }));
  });
});
