import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Decoder, PipelineError } from "../../contract/index.ts";
import { jumpingClock } from "../../ground/clock.ts";
import { type Kafka, readAll } from "../../kafka/kafka.ts";
import { pipelineOf } from "../../pipelines/index.ts";
import type { Failure } from "../../test/fakes/kafka.ts";
import { memoryKafka, memoryTarget, standOf } from "../../test/target.ts";
import type { Input } from "../row.ts";
import { readCursor } from "../send/cursor.ts";
import { Session } from "../send/session.ts";
import type { SendTarget } from "../send/target.ts";
import { type FeedOptions, feed } from "./feed.ts";
import { fileInput } from "./input.ts";
import { syntheticInput } from "./synthetic.ts";

const { contract } = pipelineOf("weather");
const observations = new Decoder(contract.schemas.observation, async () => contract.schemas.observation);

const inputOf = (count: number, rate = 2, prefix = "synthetic"): Input =>
  syntheticInput({ contract, stations: 3, rate, count, start_ms: Date.UTC(2017, 0, 1), prefix });
const options = (given: Partial<FeedOptions> = {}): FeedOptions => ({
  speed: "max",
  loop: false,
  span_ms: 150_000,
  rows_max: 5,
  clock: jumpingClock(),
  ...given,
});
/** What readers see: per partition in order, then by time. */
const committed = async (kafka: Kafka): Promise<string[]> =>
  (await readAll(kafka, "raw")).map((r) => `${r.key} ${r.value!.toString("hex")}`).sort();
const wanted = async (input: Input, target: SendTarget): Promise<string[]> => {
  const all: string[] = [];
  for await (const rows of input.rows())
    for (const row of rows) all.push(`${row.key} ${target.encode(row.record).toString("hex")}`);
  return all.sort();
};

/** A Kafka whose user dies at the n-th call of a producer: nothing after it happens, nothing is closed. */
const dyingKafka = (kafka: Kafka, calls: number): Kafka => {
  let left = calls;
  const live = async <T>(work: () => Promise<T>): Promise<T> => {
    if (left-- <= 0) throw new PipelineError("job_failed", "Cannot go on: expected to live, got killed");
    return work();
  };
  return {
    ...kafka,
    producer: (o) =>
      live(async () => {
        const producer = await kafka.producer(o);
        return {
          close: async () => {},
          begin: () =>
            live(async () => {
              const transaction = await producer.begin();
              return {
                send: (records) => live(() => transaction.send(records)),
                commit: () => live(() => transaction.commit()),
                abort: () => live(() => transaction.abort()),
              };
            }),
        };
      }),
  };
};

describe("feed()", () => {
  it("ends with an error on a file that nothing can be used of, and not on one that was sent before", async () => {
    const kafka = await memoryKafka();
    const file = (name: string, text: string): Input => {
      const path = join(mkdtempSync(join(tmpdir(), "feed-")), name);
      writeFileSync(path, text);
      return fileInput({ path, contract });
    };
    const header = "station_id,timestamp,temperature";
    for (const text of [`${header}\n`, `${header}\na,1\nb,2\n`])
      await expect(feed(file("none.csv", text), memoryTarget(kafka), options())).rejects.toMatchObject({
        code: "config_invalid",
        message: expect.stringContaining("expected observations, got none"),
      });
    const good = file("good.csv", `${header}\na,1,NA\nb,2,3\n`);
    expect(await feed(good, memoryTarget(kafka), options())).toMatchObject({ sent: 2, finished: true });
    expect(await feed(good, memoryTarget(kafka), options())).toMatchObject({ sent: 0, finished: true });
  });

  it("sends framed records with clock and source, keyed by station, and a cursor of the whole", async () => {
    const kafka = await memoryKafka();
    const input = inputOf(7);
    const report = await feed(input, memoryTarget(kafka), options());
    expect(report).toMatchObject({ sent: 7, resumed_at: 0, finished: true, place: { pass: 0, position: 7 } });
    for (const record of await readAll(kafka, "raw")) {
      expect(record.value![0]).toBe(0);
      expect(record.value!.readUInt32BE(1)).toBe(7);
      const decoded = await observations.decode(record.value);
      expect(decoded.ok && decoded.record["station_id"]).toBe(String(record.key));
      expect(decoded.ok && String(decoded.record["timestamp"])).toBe(String(record.headers["clock"]));
      expect(String(record.headers["source"])).toBe("replay-0");
    }
    expect(await standOf(kafka)).toMatchObject({
      source: "replay-0",
      position: 7,
      pass: 0,
      event_time: Date.UTC(2017, 0, 1) + 3_000,
      fingerprint: await input.fingerprint(),
    });
  });

  it("sends every observation once across kills at any call, and leaves no transaction open", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(23), fc.array(fc.nat(12), { maxLength: 8 }), async (count, deaths) => {
        const kafka = await memoryKafka();
        const input = inputOf(count);
        for (const calls of deaths)
          await feed(input, memoryTarget(dyingKafka(kafka, calls)), options()).catch((error) => {
            expect(error.message).toContain("got killed");
          });
        await feed(input, memoryTarget(kafka), options());
        expect(await committed(kafka)).toEqual(await wanted(input, memoryTarget(kafka)));
        for (const { stable, end } of await kafka.admin.offsets("raw")) expect(stable).toBe(end);
      }),
    );
  });

  it("sends every observation once across failures of Kafka at any point, answers that get lost included", async () => {
    const failures = fc.array(fc.constantFrom<Failure>("open", "send", "commit", "commit-lost", "read"), {
      maxLength: 9,
    });
    await fc.assert(
      fc.asyncProperty(fc.nat(23), failures, async (count, list) => {
        const kafka = await memoryKafka();
        const input = inputOf(count);
        for (const failure of list) kafka.failNext(failure);
        await feed(input, memoryTarget(kafka), options());
        expect(await committed(kafka)).toEqual(await wanted(input, memoryTarget(kafka)));
      }),
    );
  });

  it("gives up on a Kafka that stays away, after bounded attempts", async () => {
    const kafka = await memoryKafka();
    for (let i = 0; i < 100; i++) kafka.failNext("open");
    const clock = jumpingClock();
    await expect(feed(inputOf(3), memoryTarget(kafka), options({ clock }))).rejects.toMatchObject({
      code: "kafka_unreachable",
    });
    expect(clock.waits).toHaveLength(11);
    expect(clock.nowMs()).toBeLessThan(60_000);
  });

  it("stops when a newer source of its name takes over", async () => {
    const kafka = await memoryKafka();
    const target = memoryTarget(kafka);
    let twin = false;
    const onProgress = async (): Promise<void> => {
      if (!twin) await kafka.producer({ transactional_id: target.transactional_id });
      twin = true;
    };
    await expect(feed(inputOf(20), target, options({ onProgress }))).rejects.toMatchObject({
      code: "job_failed",
    });
  });

  it("refuses the cursor of another input and says what to do", async () => {
    const kafka = await memoryKafka();
    await feed(inputOf(5), memoryTarget(kafka), options());
    await expect(feed(inputOf(6), memoryTarget(kafka), options())).rejects.toThrow(/--source.*--namespace/);
    await expect(
      feed(inputOf(6, 2, "other"), memoryTarget(kafka, "other-0"), options()),
    ).resolves.toMatchObject({ sent: 6 });
    await expect(feed(inputOf(5), memoryTarget(kafka), options())).resolves.toMatchObject({
      sent: 0,
      resumed_at: 5,
    });
  });

  it("refuses the cursor of another kind of source", async () => {
    const kafka = await memoryKafka();
    const target = memoryTarget(kafka);
    const poll = new Session(target, { kind: "poll", clock: jumpingClock() });
    expect(await poll.open()).toBeNull();
    await poll.commit([], { token: "etag of yesterday", event_time: null });
    await poll.commit([], { token: "etag of yesterday", event_time: null });
    await poll.close();
    expect(await readCursor(target, target.source)).toMatchObject({ kind: "poll", commits: 2 });
    await expect(feed(inputOf(5), target, options())).rejects.toThrow(
      /cursor of a replay, got one of a poll/,
    );
  });

  it("refuses what another source has sent, and takes what is newer", async () => {
    const kafka = await memoryKafka();
    await feed(inputOf(100), memoryTarget(kafka), options());
    const other = memoryTarget(kafka, "other-0");
    await expect(feed(inputOf(200), other, options())).rejects.toThrow(
      /which source "replay-0" has; .*"--source replay", .*"--from 2017-01-01T00:00:49\.501Z"/,
    );
    expect(await standOf(kafka, "other-0")).toBeNull();
    const from = (n: number): Input => ({
      ...inputOf(5_000),
      async *rows() {
        let count = 0;
        for await (const rows of inputOf(5_000).rows()) {
          const kept = rows.filter(() => count++ >= n);
          if (kept.length > 0) yield kept;
        }
      },
    });
    // One row in common: the last of the one, the first of the other.
    await expect(feed(from(99), other, options())).rejects.toThrow(/count twice/);
    expect(await feed(from(100), other, options())).toMatchObject({ sent: 4_900 });
  });

  it("finds its cursor among many, near the end or far from it", async () => {
    const kafka = await memoryKafka();
    await feed(inputOf(3), memoryTarget(kafka), options());
    await feed(inputOf(5_000, 2, "busy"), memoryTarget(kafka, "busy-0"), options({ rows_max: 1 }));
    expect(await standOf(kafka)).toMatchObject({ position: 3 });
    expect(await standOf(kafka, "busy-0")).toMatchObject({ position: 5_000 });
    expect(await standOf(kafka, "nobody-0")).toBeNull();
  });

  it("commits what is in hand when told to stop, and goes on from there in the next pass too", async () => {
    const kafka = await memoryKafka();
    const input = inputOf(6);
    const run = (passes: number): Promise<unknown> => {
      const stop = new AbortController();
      const onProgress = (p: { pass: number }): void => {
        if (p.pass >= passes) stop.abort();
      };
      return feed(input, memoryTarget(kafka), options({ loop: true, signal: stop.signal, onProgress }));
    };
    await run(0);
    await run(2);
    const records = (await readAll(kafka, "raw")).map((r) => Number(r.headers["clock"]));
    const cursor = (await standOf(kafka))!;
    expect(cursor.pass).toBe(2);
    expect(records).toHaveLength(2 * 6 + cursor.position);
    expect(new Set(records).size).toBe(records.length);
    expect(Math.max(...records)).toBe(cursor.event_time);
  });
});

describe("syntheticInput()", () => {
  it("is the same every time, within ranges, in time order, and as long as asked", async () => {
    const read = async (): Promise<unknown[]> => {
      const all: unknown[] = [];
      for await (const rows of inputOf(2_000, 700).rows()) all.push(...rows);
      return all;
    };
    const [one, two] = [await read(), await read()];
    expect(one).toHaveLength(2_000);
    expect(one).toEqual(two);
    const rows = one as { time: number; record: Record<string, number> }[];
    rows.forEach((row, i) => {
      expect(row.time).toBe(Date.UTC(2017, 0, 1) + Math.floor((i * 1000) / 700));
    });
    for (const { name, range } of contract.fields)
      if (range !== null)
        for (const { record } of rows) {
          expect(record[name]!).toBeGreaterThan(range[0]);
          expect(record[name]!).toBeLessThan(range[1]);
        }
  });
});
