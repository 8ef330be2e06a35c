// Where a new checkpoint starts: at the offsets that cover the last span of the sources' clock, whatever the append times.

import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encoder } from "../contract/index.ts";
import { clockOf } from "../kafka/clock.ts";
import { sendOnce } from "../kafka/kafka.ts";
import { pipelineOf } from "../pipelines/index.ts";
import { settingsOf } from "../settings/settings.ts";
import { fakeKafka } from "../test/fakes/kafka.ts";
import { covering, epochOf, eventTimeOf, watermarkOf } from "./epoch.ts";

const YEAR_2073 = Date.UTC(2073, 0, 1);
const settings = () => settingsOf("/nowhere", { home: mkdtempSync(join(tmpdir(), "millrace-epoch-")) });

describe("epochOf()", () => {
  it("begins at earliest, stays while the plan does, and opens the next epoch at covering offsets", async () => {
    const own = settings();
    const never = async () => expect.fail("nothing to cover");
    expect(await epochOf(own, "weather-features", "a", never)).toEqual({
      plan_hash: "a",
      plan_epoch: 1,
      starting_offsets: "earliest",
      publish_from_ms: null,
    });
    expect((await epochOf(own, "weather-features", "a", never)).plan_epoch).toBe(1);
    const cover = { starting_offsets: '{"t":{"0":5}}', publish_from_ms: 7 };
    const next = { plan_hash: "b", plan_epoch: 2, ...cover };
    expect(await epochOf(own, "weather-features", "b", async () => cover)).toEqual(next);
    expect(await epochOf(own, "weather-features", "b", never)).toEqual(next);
    expect((await epochOf(own, "weather-other", "b", never)).plan_epoch).toBe(1);
    const again = await epochOf(
      own,
      "weather-features",
      "b",
      async () => cover,
      () => false,
    );
    expect(again).toEqual({ ...next, plan_epoch: 3 });
  });
});

describe("watermarkOf()", () => {
  it("is that of the newest batch of a checkpoint", () => {
    const folder = mkdtempSync(join(tmpdir(), "checkpoint-"));
    expect(watermarkOf(folder)).toBeNull();
    mkdirSync(join(folder, "offsets"));
    for (const [batch, ms] of [
      [9, 5],
      [10, YEAR_2073],
    ])
      writeFileSync(
        join(folder, "offsets", String(batch)),
        `v1\n{"batchWatermarkMs":${ms},"batchTimestampMs":1,"conf":{}}\n{"weather-raw":{"0":7}}`,
      );
    expect(watermarkOf(folder)).toBe(YEAR_2073);
  });
});

describe("clockOf()", () => {
  it("is the source's clock, else the append time", () => {
    expect(clockOf({ headers: { clock: Buffer.from("1700") }, timestamp: 9 })).toBe(1700);
    expect(clockOf({ headers: {}, timestamp: 9 })).toBe(9);
    expect(clockOf({ headers: { clock: Buffer.from("soon") }, timestamp: 9 })).toBe(9);
    expect(clockOf({ headers: { clock: Buffer.from(String(YEAR_2073)) }, timestamp: 9 }, 5)).toBe(14);
    for (const none of [
      "",
      " ",
      "0x10",
      "1e3",
      "1.5",
      "Infinity",
      "-9007199254740991",
      "99999999999999999999",
    ])
      expect(clockOf({ headers: { clock: Buffer.from(none) }, timestamp: 9 })).toBe(9);
  });
});

describe("covering()", () => {
  it("finds the first offset of each partition within the span, as a slow search does", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.nat(50), { maxLength: 40 }), { minLength: 1, maxLength: 3 }),
        fc.nat(400),
        async (steps, span_ms) => {
          const kafka = fakeKafka(Date.now);
          const topic = "weather-raw";
          await kafka.admin.ensure([{ topic, partitions: steps.length, config: {} }]);
          const clocks = steps.map((list) => {
            let clock = 1_000;
            return list.map((step) => {
              clock += step;
              return clock;
            });
          });
          for (const [partition, list] of clocks.entries())
            for (const clock of list)
              await sendOnce(kafka, "t", [
                { topic, partition, key: "a", value: Buffer.from("x"), headers: { clock: String(clock) } },
              ]);
          const frontier = Math.max(...clocks.flat());
          const cover = await covering(kafka, topic, span_ms);
          const found = JSON.parse(cover.starting_offsets) as Record<string, Record<string, number>>;
          expect(cover.publish_from_ms).toBe(Number.isFinite(frontier) ? frontier - span_ms : null);
          for (const { partition, stable } of await kafka.admin.offsets(topic)) {
            const offset = found[topic]![String(partition)]!;
            const reader = kafka.read(topic, { from: "beginning", until: "stable", partitions: [partition] });
            let first: number | null = null;
            for await (const records of reader)
              for (const record of records)
                if (first === null && clockOf(record) >= frontier - span_ms) first = record.offset;
            await reader.close();
            if (first === null)
              expect(offset).toBeGreaterThanOrEqual(clocks[partition]!.length === 0 ? stable : 0);
            else {
              // Markers may lie between: what matters is which record is the first one read.
              expect(offset).toBeLessThanOrEqual(first);
              const before = kafka.read(topic, {
                from: new Map([[partition, offset]]),
                until: "stable",
                partitions: [partition],
              });
              for await (const [record] of before) {
                expect(record!.offset).toBe(first);
                break;
              }
              await before.close();
            }
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  it("begins where the observations are, whatever a wrong clock, a wrong source or another's replay says", async () => {
    const { contract } = pipelineOf("weather");
    const kafka = fakeKafka(Date.now);
    const topic = "weather-raw";
    await kafka.admin.ensure([{ topic, partitions: 2, config: {} }]);
    const encode = encoder(contract.schemas.observation, 7);
    const nothing = Object.fromEntries(contract.fields.map(({ name }) => [name, null]));
    const send = (partition: number, timestamp: number, clock: number | null) =>
      sendOnce(kafka, "t", [
        {
          topic,
          partition,
          key: "a",
          value: encode({ ...nothing, station_id: "a", timestamp }),
          ...(clock === null ? {} : { headers: { clock: String(clock) } }),
        },
      ]);
    const eventTime = eventTimeOf(contract, { "7": contract.schemas.observation });
    const [old, minute] = [Date.UTC(2017, 0, 1), 60_000];
    for (let i = 0; i < 30; i++) await send(0, old + i * minute, old + i * minute);
    // A row of the future, judged by its file's clock, by a clock as wrong as itself, and by the broker's alone.
    await send(0, YEAR_2073, old + 29 * minute);
    await send(0, YEAR_2073, YEAR_2073);
    await send(1, YEAR_2073, null);
    const cover = await covering(kafka, topic, 10 * minute, eventTime);
    expect(cover.publish_from_ms).toBe(old + 19 * minute);
    const offsets = JSON.parse(cover.starting_offsets)[topic];
    const from = new Map([[0, offsets["0"] as number]]);
    for await (const [record] of kafka.read(topic, { from, until: "stable", partitions: [0] })) {
      expect(await eventTime(record!)).toBe(old + 19 * minute);
      break;
    }
    // Another's replay of old data, without a clock: all of it may be needed, and what it holds is published.
    for (let i = 0; i < 5; i++) await send(1, old + (30 + i) * minute, null);
    const other = await covering(kafka, topic, 10 * minute, eventTime);
    expect(other.publish_from_ms).toBe(old + 24 * minute);
    expect(JSON.parse(other.starting_offsets)[topic]["1"]).toBe(0);
  });
});
