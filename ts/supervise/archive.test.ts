// Which holes of the archive are gaps: those in which the topic still holds committed records. Against the fake broker.

import { describe, expect, it } from "vitest";
import type { OutRecord } from "../kafka/kafka.ts";
import { fakeKafka } from "../test/fakes/kafka.ts";
import { holesOf, missingIn, type Span } from "./archive.ts";

const held = {
  partition: 0,
  rows: 8,
  first: 3,
  end: 15,
  repeated: 0,
  holes: [[5, 7] as Span, [9, 10] as Span],
};

describe("holesOf()", () => {
  it("adds what lies before the first and behind the last row, within the limits only", () => {
    expect(holesOf(held, null)).toEqual([
      [5, 7],
      [9, 10],
    ]);
    expect(holesOf(held, [0, 20])).toEqual([
      [0, 3],
      [5, 7],
      [9, 10],
      [15, 20],
    ]);
    expect(holesOf(held, [3, 15])).toEqual(held.holes);
    expect(holesOf(null, [4, 9])).toEqual([[4, 9]]);
    expect(holesOf(null, [4, 4])).toEqual([]);
    expect(holesOf(null, null)).toEqual([]);
  });
});

describe("missingIn()", () => {
  const topic = "raw";
  const record = (text: string): OutRecord => ({ topic, key: text, value: Buffer.from(text), partition: 0 });

  /** Two committed records with their marker, two aborted ones with theirs, two committed ones with theirs. */
  async function ground() {
    const kafka = fakeKafka();
    await kafka.admin.ensure([{ topic, partitions: 1, config: {} }]);
    const producer = await kafka.producer({ transactional_id: "t" });
    for (const [words, commit] of [
      ["ab", true],
      ["cd", false],
      ["ef", true],
    ] as const) {
      const transaction = await producer.begin();
      await transaction.send([...words].map(record));
      if (commit) await transaction.commit();
      else await transaction.abort();
    }
    await producer.close();
    const [place] = await kafka.admin.offsets(topic);
    const offsets: number[] = [];
    const reader = kafka.read(topic, { from: "beginning", until: "stable" });
    for await (const records of reader) offsets.push(...records.map(({ offset }) => offset));
    await reader.close();
    return { kafka, place: place!, offsets };
  }

  it("finds nothing in holes of markers and aborted records", async () => {
    const { kafka, place, offsets } = await ground();
    const holes = Array.from({ length: place.stable }, (_, offset): Span => [offset, offset + 1]).filter(
      ([offset]) => !offsets.includes(offset),
    );
    expect(holes.length).toBeGreaterThan(3);
    expect(await missingIn(kafka, topic, place, holes)).toEqual([]);
    expect(await missingIn(kafka, topic, place, [])).toEqual([]);
  });

  it("names the committed records of a hole, one gap a hole", async () => {
    const { kafka, place, offsets } = await ground();
    const [a, b, e, f] = offsets as [number, number, number, number];
    expect(await missingIn(kafka, topic, place, [[0, place.stable]])).toEqual([
      { first: a, last: f, records: 4, kind: "missing" },
    ]);
    expect(
      await missingIn(kafka, topic, place, [
        [b, b + 1],
        [b + 1, e],
        [f, place.stable],
      ]),
    ).toEqual([
      { first: b, last: b, records: 1, kind: "missing" },
      { first: f, last: f, records: 1, kind: "missing" },
    ]);
  });

  it("does not ask for what lies below the topic's beginning", async () => {
    const { kafka, place, offsets } = await ground();
    const later = { ...place, start: offsets[1]! };
    expect(await missingIn(kafka, topic, later, [[0, offsets[1]!]])).toEqual([]);
    expect(await missingIn(kafka, topic, later, [[0, offsets[1]! + 1]])).toEqual([
      { first: offsets[1], last: offsets[1], records: 1, kind: "missing" },
    ]);
  });
});
