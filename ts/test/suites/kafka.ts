// One suite for every implementation of the port in kafka/kafka.ts. fakes/kafka.test.ts runs it on the fake, the cluster tests on a
// real broker. What an implementation cannot do is named with a reason and expected to fail: once it can, the suite says so.

import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type Kafka,
  type KafkaRecord,
  latestByKey,
  type OutRecord,
  readAll,
  sendOnce,
} from "../../kafka/kafka.ts";

export type Ability = "expires open transactions" | "compacts";

export interface Subject {
  readonly kafka: Kafka;
  /** Unique prefix of topics and ids. */
  readonly prefix: string;
  /** Abilities that are missing, each with the reason. */
  readonly cannot: Readonly<Partial<Record<Ability, string>>>;
  /** How many random histories; a real broker takes longer. */
  readonly runs: number;
  /** How long to wait for what the broker does by itself, wall time. */
  readonly patience_ms: number;
}

const text = (records: readonly KafkaRecord[]): string[] => records.map((r) => String(r.value));

export function kafkaSuite(name: string, open: () => Promise<Subject>): void {
  describe(name, () => {
    let subject: Subject;
    let kafka: Kafka;
    let count = 0;
    beforeAll(async () => {
      subject = await open();
      kafka = subject.kafka;
    });
    afterAll(async () => {
      const ours = (await kafka.admin.topics()).filter((topic) => topic.startsWith(subject.prefix));
      await kafka.admin.remove(ours);
      await kafka.close();
    });
    const topicOf = async (partitions = 1, config: Record<string, string> = {}): Promise<string> => {
      const topic = `${subject.prefix}-${count++}`;
      await kafka.admin.ensure([
        { topic, partitions, config: { "message.timestamp.type": "LogAppendTime", ...config } },
      ]);
      return topic;
    };
    const idOf = (): string => `${subject.prefix}-id-${count++}`;
    const able = (ability: Ability, title: string, test: () => Promise<void>): void => {
      it(title, async (context) => {
        const reason = subject.cannot[ability];
        if (reason === undefined) return test();
        await expect(
          test(),
          `${name} can now: ${ability}; it was said it could not: ${reason}`,
        ).rejects.toThrow();
        context.annotate(`expected failure: ${reason}`);
      });
    };

    it("read() gives back key, value, headers and append time", async () => {
      const topic = await topicOf();
      const value = Buffer.from([0, 0, 0, 0, 7, 255]);
      await sendOnce(kafka, idOf(), [
        { topic, key: "new-york", value, headers: { clock: "1480550400000", raw: Buffer.from([1, 2]) } },
        { topic, key: null, value: null },
      ]);
      const [first, second] = await readAll(kafka, topic);
      expect(first).toMatchObject({ topic, partition: 0, offset: 0 });
      expect(String(first!.key)).toBe("new-york");
      expect(first!.value!.equals(value)).toBe(true);
      expect(String(first!.headers["clock"])).toBe("1480550400000");
      expect([...first!.headers["raw"]!]).toEqual([1, 2]);
      expect(first!.timestamp).toBeGreaterThanOrEqual(0);
      expect(second).toMatchObject({ key: null, value: null });
    });

    it("send() puts equal keys into one partition, and an explicit partition wins", async () => {
      const topic = await topicOf(4);
      const records: OutRecord[] = [];
      for (let i = 0; i < 40; i++)
        records.push({ topic, key: `station-${i % 10}`, value: Buffer.from(`${i}`) });
      records.push({ topic, key: "station-0", partition: 3, value: Buffer.from("forced") });
      await sendOnce(kafka, idOf(), records);
      const all = await readAll(kafka, topic);
      expect(all.find((r) => String(r.value) === "forced")!.partition).toBe(3);
      const places = new Map<string, Set<number>>();
      for (const r of all)
        if (String(r.value) !== "forced")
          places.set(String(r.key), (places.get(String(r.key)) ?? new Set()).add(r.partition));
      expect([...places.values()].every((partitions) => partitions.size === 1)).toBe(true);
      // station-0 … station-9 by the Java client's murmur2, modulo 4.
      expect([...places].sort().map(([, p]) => [...p][0])).toEqual(JAVA_PARTITIONS);
    });

    it("read() hides what is undecided, and `end` waits for it", async () => {
      const topic = await topicOf();
      const producer = await kafka.producer({ transactional_id: idOf() });
      const transaction = await producer.begin();
      await transaction.send([{ topic, key: "a", value: Buffer.from("open") }]);
      expect(await readAll(kafka, topic, { until: "stable" })).toEqual([]);
      expect(text(await readAll(kafka, topic, { until: "stable", isolation: "uncommitted" }))).toEqual([]);
      const waiting = readAll(kafka, topic, { until: "end" });
      await transaction.commit();
      expect(text(await waiting)).toEqual(["open"]);
      await producer.close();
    });

    it("read() hides what was aborted, also when two aborted transactions begin before its start", async () => {
      const topic = await topicOf();
      const [one, two] = [
        await kafka.producer({ transactional_id: idOf() }),
        await kafka.producer({ transactional_id: idOf() }),
      ];
      const [a, b] = [await one.begin(), await two.begin()];
      await a.send([{ topic, key: "a", value: Buffer.from("a0") }]);
      await b.send([{ topic, key: "b", value: Buffer.from("b0") }]);
      await a.send([{ topic, key: "a", value: Buffer.from("a1") }]);
      await b.send([{ topic, key: "b", value: Buffer.from("b1") }]);
      await a.abort();
      await b.abort();
      await one.close();
      await two.close();
      await sendOnce(kafka, idOf(), [{ topic, key: "c", value: Buffer.from("good") }]);
      for (const from of [0, 1, 2, 3])
        expect(text(await readAll(kafka, topic, { from: new Map([[0, from]]) }))).toEqual(["good"]);
    });

    it("positions() pass the commit marker, so lag() is 0 when caught up", async () => {
      const topic = await topicOf();
      await sendOnce(kafka, idOf(), [{ topic, key: "a", value: Buffer.from("1") }]);
      const reader = kafka.read(topic, { from: "beginning", until: "end" });
      for await (const records of reader) expect(text(records)).toEqual(["1"]);
      const { end, stable } = (await kafka.admin.offsets(topic))[0]!;
      expect(end).toBe(2);
      expect(stable).toBe(2);
      expect(reader.positions().get(0)).toBe(2);
      expect(reader.lag()).toBe(0);
    });

    it("read() of an empty or missing topic ends, or says what is missing", async () => {
      const topic = await topicOf(3);
      expect(await readAll(kafka, topic)).toEqual([]);
      await expect(readAll(kafka, `${topic}-missing`)).rejects.toMatchObject({ code: "config_invalid" });
      await expect(readAll(kafka, topic, { partitions: [3] })).rejects.toMatchObject({
        code: "config_invalid",
      });
    });

    it("read() from an offset starts there, inclusive; from a time at what was appended since", async () => {
      const topic = await topicOf();
      await sendOnce(
        kafka,
        idOf(),
        ["a", "b", "c"].map((v) => ({ topic, key: "k", value: Buffer.from(v) })),
      );
      expect(text(await readAll(kafka, topic, { from: new Map([[0, 1]]) }))).toEqual(["b", "c"]);
      expect(text(await readAll(kafka, topic, { from: { timestamp_ms: 0 } }))).toEqual(["a", "b", "c"]);
      expect(await readAll(kafka, topic, { from: { timestamp_ms: Date.now() + 3_600_000 } })).toEqual([]);
      expect(await readAll(kafka, topic, { from: "end" })).toEqual([]);
    });

    it("read() that follows sees later records, can seek back, and ends on its signal", async () => {
      const topic = await topicOf();
      const stop = new AbortController();
      const reader = kafka.read(topic, { from: "end", until: "never", signal: stop.signal, wait_ms: 50 });
      const iterator = reader[Symbol.asyncIterator]();
      const next = iterator.next();
      // The reader may settle its start after this send, so the first record may be behind it: send until one arrives.
      let sent = 0;
      let arrived = false;
      next.then(() => {
        arrived = true;
      });
      const producer = await kafka.producer({ transactional_id: idOf() });
      while (!arrived) {
        const transaction = await producer.begin();
        await transaction.send([{ topic, key: "k", value: Buffer.from(`${sent++}`) }]);
        await transaction.commit();
      }
      await producer.close();
      expect((await next).value).toHaveLength(1);
      reader.seek(0, 0);
      const again = await iterator.next();
      expect(text(again.value as KafkaRecord[])[0]).toBe("0");
      stop.abort();
      for (let end = await iterator.next(); !end.done; end = await iterator.next());
    });

    it("producer() fences an older one of the same id and settles its transaction", async () => {
      const topic = await topicOf();
      const transactional_id = idOf();
      const old = await kafka.producer({ transactional_id });
      const orphan = await old.begin();
      await orphan.send([{ topic, key: "k", value: Buffer.from("orphan") }]);
      const young = await kafka.producer({ transactional_id });
      expect(await readAll(kafka, topic, { until: "end" })).toEqual([]);
      await expect(
        (async () => {
          await orphan.send([{ topic, key: "k", value: Buffer.from("late") }]);
          await orphan.commit();
        })(),
      ).rejects.toMatchObject({ code: "job_failed" });
      const transaction = await young.begin();
      await transaction.send([{ topic, key: "k", value: Buffer.from("young") }]);
      await transaction.commit();
      expect(text(await readAll(kafka, topic))).toEqual(["young"]);
      await old.close();
      await young.close();
    });

    it("lag() counts records, not commit markers", async () => {
      const topic = await topicOf();
      await sendOnce(kafka, idOf(), [{ topic, key: "k", value: Buffer.from("1") }]);
      expect(await kafka.admin.lag("nobody", topic)).toEqual([
        { partition: 0, committed: null, end: 2, lag: 2 },
      ]);
    });

    it("commit() says how far a group is that has no members", async () => {
      const topic = await topicOf();
      const group = idOf();
      for (const value of ["1", "2"])
        await sendOnce(kafka, idOf(), [{ topic, key: "k", value: Buffer.from(value) }]);
      await kafka.admin.commit(group, topic, new Map([[0, 2]]));
      expect(await kafka.admin.lag(group, topic)).toMatchObject([{ committed: 2, end: 4 }]);
      await kafka.admin.commit(group, topic, new Map([[0, 3]]));
      expect(await kafka.admin.lag(group, topic)).toEqual([{ partition: 0, committed: 3, end: 4, lag: 0 }]);
    });

    it("ensure() creates, alters, is idempotent, and refuses to shrink", async () => {
      const topic = `${subject.prefix}-declared`;
      const spec = { topic, partitions: 2, config: { "cleanup.policy": "compact", "segment.ms": "60000" } };
      expect(await kafka.admin.plan([spec])).toEqual([{ kind: "create", topic, partitions: 2 }]);
      expect(await kafka.admin.ensure([spec])).toHaveLength(1);
      expect(await kafka.admin.ensure([spec])).toEqual([]);
      const wider = { topic, partitions: 3, config: { "segment.ms": "120000" } };
      expect(await kafka.admin.ensure([wider])).toEqual([
        { kind: "partitions", topic, from: 2, to: 3 },
        { kind: "config", topic, name: "segment.ms", from: "60000", to: "120000" },
      ]);
      // What the second declaration does not name stays.
      const described = await kafka.admin.describe(topic);
      expect(described).toMatchObject({
        partitions: 3,
        config: { "cleanup.policy": "compact", "segment.ms": "120000" },
      });
      await expect(kafka.admin.plan([spec])).rejects.toMatchObject({ code: "config_invalid" });
      expect(await kafka.admin.describe(`${topic}-none`)).toBeNull();
    });

    it("read committed equals the committed transactions, for any history and any start", async () => {
      const step = fc.record({
        writer: fc.integer({ min: 0, max: 2 }),
        act: fc.constantFrom("send", "send", "commit", "abort"),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 14 }), fc.nat({ max: 12 }), async (steps, from) => {
          const topic = await topicOf();
          const producers = await Promise.all(
            [0, 1, 2].map(() => kafka.producer({ transactional_id: idOf() })),
          );
          const open = new Map<
            number,
            { send: (v: string) => Promise<void>; end: (ok: boolean) => Promise<void> }
          >();
          const committed = new Set<string>();
          let sent = 0;
          for (const { writer, act } of steps) {
            if (act !== "send") {
              await open.get(writer)?.end(act === "commit");
              open.delete(writer);
              continue;
            }
            if (!open.has(writer)) {
              const transaction = await producers[writer]!.begin();
              const mine: string[] = [];
              open.set(writer, {
                send: async (v) => {
                  mine.push(v);
                  await transaction.send([{ topic, key: "k", value: Buffer.from(v) }]);
                },
                end: async (ok) => {
                  if (!ok) return transaction.abort();
                  await transaction.commit();
                  for (const v of mine) committed.add(v);
                },
              });
            }
            await open.get(writer)!.send(`${sent++}`);
          }
          for (const left of open.values()) await left.end(false);
          for (const producer of producers) await producer.close();
          const raw = await readAll(kafka, topic, { isolation: "uncommitted" });
          const wanted = raw.filter((r) => r.offset >= from && committed.has(String(r.value)));
          const start = Math.min(from, (await kafka.admin.offsets(topic))[0]!.end);
          expect(text(await readAll(kafka, topic, { from: new Map([[0, start]]) }))).toEqual(text(wanted));
        }),
        { numRuns: subject.runs },
      );
    });

    able("expires open transactions", "an abandoned transaction stops holding readers up", async () => {
      const topic = await topicOf();
      const producer = await kafka.producer({ transactional_id: idOf(), timeout_ms: 1_000 });
      const transaction = await producer.begin();
      await transaction.send([{ topic, key: "k", value: Buffer.from("abandoned") }]);
      expect(
        await readAll(kafka, topic, { until: "end", signal: AbortSignal.timeout(subject.patience_ms) }),
      ).toEqual([]);
      const { stable, end } = (await kafka.admin.offsets(topic))[0]!;
      expect(stable).toBe(end);
      await producer.close();
    });

    able("compacts", "a compacted topic is read to its end, emptied batches included", async () => {
      const topic = await topicOf(1, {
        "cleanup.policy": "compact",
        "segment.bytes": "1048576",
        "segment.ms": "100",
        "min.cleanable.dirty.ratio": "0.01",
        "max.compaction.lag.ms": "100",
        "delete.retention.ms": "0",
      });
      const producer = await kafka.producer({ transactional_id: idOf() });
      const deadline = Date.now() + subject.patience_ms;
      let newest = 0;
      let compacted = false;
      while (!compacted && Date.now() < deadline) {
        const transaction = await producer.begin();
        await transaction.send([{ topic, key: "k", value: Buffer.from(`${newest++}`) }]);
        await transaction.commit();
        if (newest % 20 === 0) compacted = (await readAll(kafka, topic)).length < newest;
      }
      await producer.close();
      expect(compacted).toBe(true);
      const all = await readAll(kafka, topic);
      expect(String(latestByKey(all).get("k")!.value)).toBe(`${newest - 1}`);
    });
  });
}

/** From kafka-clients: `Utils.toPositive(Utils.murmur2(("station-" + i).getBytes())) % 4` for i = 0 … 9. */
const JAVA_PARTITIONS = [0, 3, 2, 2, 3, 3, 3, 0, 2, 0];
