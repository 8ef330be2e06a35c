import { describe, expect, it } from "vitest";
import { Decoder, observationEncoder } from "../contract/index.ts";
import { until } from "../ground/until.ts";
import { type Kafka, type OutRecord, readAll } from "../kafka/kafka.ts";
import { partitionOf } from "../kafka/partition.ts";
import { namesOf, pipelineOf, subjectsOf, topicsOf } from "../pipelines/index.ts";
import { fakeFiles } from "../test/fakes/files.ts";
import { fakeKafka } from "../test/fakes/kafka.ts";
import { memoryRegistry } from "../test/fakes/registry.ts";
import { accepted } from "./accept.ts";
import { closedUntil, hourFile, partFile } from "./layout.ts";
import { readPosition } from "./position.ts";
import { LinesWriter, type WriterEffects } from "./writer.ts";

const HOUR_MS = 3_600_000;
const DAY = Date.UTC(2026, 10, 30);
const { pipeline, contract } = pipelineOf("city");
const names = namesOf(pipeline, "test");
const RAW = names.topics["raw"]!.topic;
const CITIES = ["tokyo", "london", "new-york"];

async function ground() {
  const kafka = fakeKafka(() => DAY + 24 * HOUR_MS);
  const registry = memoryRegistry();
  await kafka.admin.ensure(topicsOf(names));
  for (const { subject, schema } of subjectsOf(names, contract))
    await registry.register(subject, schema, "NONE");
  const { subject } = names.topics["raw"]!;
  const id = (await registry.versions(subject))[0]!.id;
  const encode = observationEncoder<Record<string, unknown>>("json", contract.schemas.observation, id);
  const record = (city: string, time: number, more: Record<string, unknown> = {}): OutRecord => ({
    topic: RAW,
    key: city,
    value: encode({ ...BARE, city, timestamp: time, ...more }),
    headers: { clock: String(time), source: "test" },
  });
  const send = async (...records: readonly OutRecord[]) => {
    const producer = await kafka.producer({ transactional_id: "test" });
    const transaction = await producer.begin();
    await transaction.send(records);
    await transaction.commit();
    await producer.close();
  };
  const files = fakeFiles();
  const effects = (own: Partial<WriterEffects> = {}): WriterEffects => ({
    ...{ files, kafka, registry, names, contract, prefix: "weather", batch_records: 4 },
    ...{
      linger_ms: 20,
      writer: `w${Math.random().toString(36).slice(2)}`,
      log: (line) => process.env["LOUD"] && console.log(line),
    },
    ...own,
  });
  return { kafka, registry, files, record, send, effects };
}
const BARE = Object.fromEntries(contract.fields.map(({ name }) => [name, null]));

/** Longest wait for what takes some milliseconds. */
const WRITTEN_MS = 20_000;

/** Runs a writer until what was sent is written, or it dies; says why it died. */
async function runUntil(
  effects: WriterEffects,
  done: (writer: LinesWriter) => boolean,
): Promise<Error | null> {
  const stop = new AbortController();
  const writer = new LinesWriter(effects);
  const running = writer.run(stop.signal).then(
    () => null,
    (error: Error) => error,
  );
  const looking = until(() => ({ done: stop.signal.aborted || done(writer), seen: writer.state() }), {
    deadline_ms: WRITTEN_MS,
    interval_ms: 2,
  }).finally(() => stop.abort());
  const died = await running;
  stop.abort();
  const looked = await looking;
  if (!looked.done) throw new Error(`it was not written in time: ${JSON.stringify(looked.seen)}`);
  return died;
}

const readLines = (held: ReadonlyMap<string, string>) =>
  [...held]
    .filter(([path]) => /\/weather_\d\d00\.jsonl$/.test(path))
    .flatMap(([path, text]) => {
      expect(text.endsWith("\n")).toBe(true);
      return text
        .trimEnd()
        .split("\n")
        .map((line) => ({ path, line: JSON.parse(line) as Record<string, unknown> }));
    });
const rejectsOf = async (kafka: Kafka) => {
  const decoder = new Decoder<{ partition: number; offset: number; reason: string }>(
    contract.schemas.rejects,
    async () => contract.schemas.rejects,
  );
  const all = await readAll(kafka, names.topics.rejects.topic);
  return Promise.all(
    all.map(async ({ value }) => {
      const decoded = await decoder.decode(value);
      if (!decoded.ok) throw new Error(decoded.detail);
      const { partition, offset, reason } = decoded.record;
      return `${reason} ${partition}/${offset}`;
    }),
  );
};

describe("the layout", () => {
  it("has a file an hour in the folder of its day, UTC", () => {
    expect(hourFile("weather", DAY + 9 * HOUR_MS)).toBe("raw/year=2026/month=11/day=30/weather_0900.jsonl");
    expect(partFile(hourFile("weather", DAY), "w", 3)).toBe(
      "raw/year=2026/month=11/day=30/_weather_0000.w-3.jsonl",
    );
  });
  it.each([
    [[DAY + 2 * HOUR_MS, DAY + 3 * HOUR_MS], HOUR_MS, DAY + HOUR_MS],
    [[DAY + 2 * HOUR_MS - 1, DAY + 3 * HOUR_MS], HOUR_MS, DAY],
    [[DAY, null], HOUR_MS, null],
    [[], HOUR_MS, null],
  ])("closes the hours that all of %j are past by %i", (newest, lateness, closed) =>
    expect(closedUntil(newest, lateness)).toBe(closed),
  );
});

describe("accepted()", () => {
  const record = { headers: { clock: Buffer.from(String(DAY)) }, timestamp: DAY };
  const of = (cells: Record<string, unknown>) => accepted(contract, record, cells);
  it("has every field of the contract, null where nothing or nothing acceptable is said", () => {
    const line = of({
      city: "x",
      timestamp: DAY,
      temperature: 12,
      humidity: 101,
      description: 7,
      more: 1,
    })!.line;
    expect(JSON.parse(line)).toEqual({ ...BARE, city: "x", timestamp: DAY, temperature: 12 });
  });
  it.each([
    { timestamp: DAY },
    { city: "", timestamp: DAY },
    { city: "x" },
    { city: "x", timestamp: DAY + contract.lead_ms + 1 },
  ])("refuses %j", (cells) => expect(of(cells)).toBeNull());
});

describe("LinesWriter", () => {
  it("puts the cities of the test into three partitions", () =>
    expect(new Set(CITIES.map((name) => partitionOf(Buffer.from(name), 3))).size).toBe(3));

  it("writes every record once, whatever it is killed at, and no line in halves", async () => {
    const { send, record, files, effects, kafka } = await ground();
    const all = Array.from({ length: 8 }, (_, hour) =>
      CITIES.map((name) => record(name, DAY + hour * HOUR_MS + 60_000, { temperature: hour })),
    ).flat();
    await send(...all);
    const sees = setInterval(() => readLines(files.held), 1);
    const done = (writer: LinesWriter) => {
      const { lag, waits_for, lines } = writer.state();
      return waits_for === null && lag === 0 && lines === 24;
    };
    let deaths = 0;
    /** Lives that end at each of their changes, and one that does not. */
    const live = async () => {
      for (let change = 1; change < 45; change++)
        for (const when of ["before", "after"] as const) {
          const died = await runUntil(effects({ files: files.dyingAt(change, when) }), done);
          if (died !== null) expect(died.message).toMatch(/killed/);
          if (died !== null) deaths++;
        }
      expect(await runUntil(effects(), done)).toBeNull();
    };
    await live();
    // Too late for what the three partitions have closed by now.
    await send(record("tokyo", DAY + 1));
    await live();
    clearInterval(sees);
    expect(deaths).toBeGreaterThan(30);
    const lines = readLines(files.held);
    expect(
      lines.map(({ line }) => `${line["city"]} ${line["timestamp"]} ${line["temperature"]}`).sort(),
    ).toEqual(
      Array.from({ length: 8 }, (_, hour) =>
        CITIES.map((name) => `${name} ${DAY + hour * HOUR_MS + 60_000} ${hour}`),
      )
        .flat()
        .sort(),
    );
    for (const { path, line } of lines) expect(path).toBe(hourFile("weather", line["timestamp"] as number));
    const [reject, ...more] = await rejectsOf(kafka);
    expect([reject, more]).toEqual([expect.stringMatching(/^late 0\//), []]);
    expect([...files.held.keys()].filter((path) => /\/_[^/]*$/.test(path))).toEqual([]);
    expect((await readPosition(files))!.closed_until_ms).toBe(DAY + 6 * HOUR_MS);
  }, 60_000);

  it("closes nothing while a partition that has records was not read, and leaves out one that has none", async () => {
    const { send, record, files, effects } = await ground();
    await send(record("tokyo", DAY + 60_000), record("tokyo", DAY + 5 * HOUR_MS));
    await runUntil(effects(), (writer) => writer.state().lines === 2);
    expect((await readPosition(files))!.closed_until_ms).toBe(DAY + 4 * HOUR_MS);
    await send(record("london", DAY + 9 * HOUR_MS), record("tokyo", DAY + 6 * HOUR_MS));
    await runUntil(effects(), (writer) => writer.state().lines === 4);
    expect((await readPosition(files))!.closed_until_ms).toBe(DAY + 5 * HOUR_MS);
  });

  it("says how old what is unread may be while HDFS is away, and nothing once all is written", async () => {
    const { send, record, files, effects } = await ground();
    let now_ms = Date.now();
    const clock = { nowMs: () => now_ms };
    await send(record("tokyo", DAY));
    const seen: (number | null)[] = [];
    await runUntil(effects(clock), (writer) => {
      const { lines, waits_for, unread_ms } = writer.state();
      if (lines === 0) return false;
      if (waits_for === null && !files.away && seen.length === 0) {
        seen.push(unread_ms);
        files.away = true;
        now_ms += 5 * HOUR_MS;
        void send(record("tokyo", DAY + 60_000));
      }
      if (waits_for !== null && files.away) {
        seen.push(unread_ms);
        files.away = false;
      }
      return lines === 2;
    });
    expect(seen).toHaveLength(2);
    expect(seen[0]).toBe(0);
    expect(seen[1]).toBeGreaterThan(5 * HOUR_MS - 60_000);
  });

  it("waits while HDFS or Kafka is away, loses nothing, and says what it waits for", async () => {
    const { send, record, files, effects, kafka } = await ground();
    files.away = true;
    await send(record("tokyo", DAY));
    let said: string | null = null;
    await runUntil(effects(), (writer) => {
      const { waits_for, lines } = writer.state();
      if (said === null && waits_for?.includes("Cannot reach")) {
        said = waits_for;
        kafka.failNext("read");
        files.away = false;
      }
      return lines === 1;
    });
    expect(said).toContain('Cannot reach "fake"');
    expect(readLines(files.held)).toHaveLength(1);
  });

  it("two at once disturb each other and nothing else", async () => {
    const { send, record, files, effects } = await ground();
    const [one, two] = [effects(), effects()];
    const sending = (async () => {
      for (let n = 0; n < 40; n++) {
        await send(record(CITIES[n % 3]!, DAY + n));
        // Spread, so that both get something to write.
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    })();
    const written = (writer: LinesWriter) => writer.state().lines === 40;
    await Promise.all([sending, runUntil(one, written), runUntil(two, written)]);
    expect(new Set(readLines(files.held).map(({ line }) => line["timestamp"])).size).toBe(40);
    expect(readLines(files.held)).toHaveLength(40);
  }, 30_000);

  it("refuses the place of another topic, and a topic that was made anew", async () => {
    const { send, record, files, effects, kafka } = await ground();
    await send(record("tokyo", DAY));
    await runUntil(effects(), (writer) => writer.state().lines === 1);
    await kafka.admin.remove([RAW]);
    await kafka.admin.ensure(topicsOf(names));
    const died = await runUntil(effects(), () => false);
    expect(died?.message).toContain("the topic was made anew");
    const other = { ...names, topics: { ...names.topics, raw: { ...names.topics["raw"]!, topic: "other" } } };
    await kafka.admin.ensure([{ topic: "other", partitions: 3, config: {} }]);
    const refused = await runUntil(effects({ names: other }), () => false);
    expect(refused?.message).toContain('got those of "test-city-raw"');
    expect(files.held.size).toBeGreaterThan(0);
  });
});
