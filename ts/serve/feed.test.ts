import { describe, expect, it } from "vitest";
import type { Decoded } from "../contract/index.ts";
import type { Kafka, KafkaRecord, Reader } from "../kafka/kafka.ts";
import { contract, features, HOUR_MS, NOW_MS, prediction, verification } from "../test/served/weather.ts";
import { Feed, TAIL_RECORDS } from "./feed.ts";
import { Flow } from "./flow.ts";
import { JobProgress } from "./jobs.ts";
import { Latest } from "./latest.ts";
import { Metrics } from "./metrics.ts";
import type { ServedContract } from "./records.ts";
import { Verified } from "./verified.ts";

const topics = {
  "weather-predictions": "predictions",
  "weather-features": "features",
  "weather-verifications": "verifications",
  "weather-rejects": "rejects",
  "job-progress": "progress",
} as const;

/** Decodes JSON; any other bytes are undecodable, and those that say "away" find no registry. */
function decoded(value: Buffer): Decoded<unknown> {
  const text = value.toString("utf8");
  if (text === "away") throw new Error("away");
  try {
    return { ok: true, schema_id: 1, record: JSON.parse(text) };
  } catch {
    return { ok: false, schema_id: 1, reason: "undecodable", detail: "not JSON" };
  }
}

/** A feed whose wire format is JSON; "bad" bytes fail to decode. */
function feed(of: ServedContract = contract) {
  const latest = new Latest({ trail_ms: 2 * HOUR_MS, silent_ms: 120_000 });
  const verified = new Verified(contract);
  const progress = new JobProgress();
  const metrics = new Metrics();
  const errors: unknown[] = [];
  const subject = new Feed({
    contract: of,
    topics,
    arm: "champion",
    latest,
    verified,
    progress,
    metrics,
    flow: new Flow({ nowMs: () => NOW_MS }),
    decode: async (_, value) => decoded(value),
    log: (error) => errors.push(error),
    pause: async () => undefined,
  });
  const send = (topic: keyof typeof topics, offset: number, value: unknown, key = "k") =>
    subject.accept({
      topic,
      partition: 0,
      offset,
      timestamp: NOW_MS,
      headers: {},
      key: Buffer.from(key),
      value: value === null ? null : Buffer.from(value === "bad" ? "bad" : JSON.stringify(value)),
    } satisfies KafkaRecord);
  return { feed: subject, latest, verified, progress, metrics, errors, send };
}

/** Brokers whose topics have the given [start, stable] offsets, and readers that the test moves by hand. */
function brokers(ranges: Readonly<Record<string, readonly (readonly [number, number])[]>>) {
  const readers = new Map<
    string,
    { move(p: number, o: number): void; give(r: KafkaRecord[]): void; fail(e: Error): void }
  >();
  const from = new Map<string, ReadonlyMap<number, number>>();
  const opened = Promise.withResolvers<void>();
  const reopened = Promise.withResolvers<void>();
  let count = 0;
  const kafka = {
    admin: {
      offsets: async (topic: string) =>
        (ranges[topic] ?? [[0, 0]]).map(([start, stable], partition) => ({
          partition,
          start,
          stable,
          end: stable,
        })),
    } as unknown as Kafka["admin"],
    read(topic: string, options: Parameters<Kafka["read"]>[1]): Reader {
      const start = new Map(options.from as ReadonlyMap<number, number>);
      from.set(topic, start);
      const positions = new Map(start);
      const queue: (KafkaRecord[] | Error)[] = [];
      let wake = Promise.withResolvers<void>();
      const push = (item: KafkaRecord[] | Error) => {
        queue.push(item);
        wake.resolve();
      };
      readers.set(topic, { move: (p, o) => positions.set(p, o), give: push, fail: push });
      options.signal?.addEventListener("abort", () => wake.resolve());
      count++;
      if (count === Object.keys(topics).length) opened.resolve();
      if (count > Object.keys(topics).length) reopened.resolve();
      return {
        positions: () => positions,
        lag: () => 0,
        skipped: () => 0,
        seek: () => undefined,
        close: async () => undefined,
        async *[Symbol.asyncIterator]() {
          while (!options.signal?.aborted) {
            const item = queue.shift();
            if (item instanceof Error) throw item;
            if (item) yield item;
            else {
              await wake.promise;
              wake = Promise.withResolvers();
            }
          }
        },
      };
    },
  };
  return { kafka, readers, from, opened: opened.promise, reopened: reopened.promise };
}

describe("Feed", () => {
  it("sorts records by topic", async () => {
    const { send, latest, progress, metrics } = feed();
    await send("weather-predictions", 1, { station_id: "denver", ...prediction() });
    await send("weather-features", 1, { station_id: "denver", ...features() });
    await send("weather-rejects", 1, { reason: "out_of_range" });
    await send("job-progress", 1, { job: "weather-infer", timestamp: NOW_MS, counters: {} });
    expect(latest.get("denver")?.prediction?.record.model_version).toBe("3");
    expect(latest.get("denver")?.features?.record.measurement_count).toBe(5);
    expect(progress.get("weather-infer")).toBeDefined();
    expect(await metrics.registry.metrics()).toContain('millrace_rejects_total{reason="out_of_range"} 1');
  });

  it("counts windows that were judged and those that were flagged, by station and type", async () => {
    const { send, metrics } = feed();
    const verdict = {
      is_anomaly: false,
      anomaly_score: 0,
      anomaly_type: null,
      evidence: [],
      method: "rules",
    };
    const flagged = { ...verdict, is_anomaly: true, anomaly_score: 1, anomaly_type: "range" };
    for (const [offset, anomaly] of [verdict, flagged, flagged].entries())
      await send("weather-predictions", offset + 1, { station_id: "denver", ...prediction({ anomaly }) });
    const text = await metrics.registry.metrics();
    expect(text).toContain('millrace_windows_judged_total{pipeline="weather"} 3');
    expect(text).toContain(
      'millrace_windows_flagged_total{pipeline="weather",station="denver",type="range"} 2',
    );
  });

  it("takes verifications of the served arm", async () => {
    const { send, verified } = feed();
    await send("weather-verifications", 1, { station_id: "denver", ...verification() });
    await send("weather-verifications", 2, { station_id: "denver", ...verification({ arm: "challenger" }) });
    expect(verified.list({ station: null, target: null, horizon_h: null }, 9)).toHaveLength(1);
  });

  it("takes what windows are by for the name, not the key", async () => {
    const { send, latest } = feed({ ...contract, by: "line" });
    await send("weather-predictions", 1, { line: "E2", ...prediction() });
    await send("weather-features", 1, { line: "E2", ...features() });
    expect(latest.get("E2")?.prediction?.record.model_version).toBe("3");
    expect(latest.get("E2")?.features?.record.measurement_count).toBe(5);
  });

  it("forgets a job whose record was deleted", async () => {
    const { send, progress } = feed();
    await send("job-progress", 1, { job: "k", timestamp: NOW_MS, counters: {} });
    await send("job-progress", 2, null);
    expect(progress.get("k")).toBeUndefined();
  });

  it("counts what it cannot decode, says so once, and goes on", async () => {
    const { feed: subject, send, errors, latest } = feed();
    await send("weather-predictions", 1, "bad");
    await send("weather-predictions", 2, "bad");
    await send("weather-predictions", 3, { station_id: "denver", ...prediction() });
    expect(subject.state().topics[0]).toMatchObject({
      topic: "weather-predictions",
      records: 3,
      undecodable: 2,
    });
    expect(errors).toHaveLength(1);
    expect(latest.get("denver")).toBeDefined();
  });

  it("leaves out predictions of another arm", async () => {
    const { send, latest } = feed();
    await send("weather-predictions", 1, { station_id: "denver", ...prediction({ arm: "challenger" }) });
    expect(latest.get("denver")).toBeUndefined();
  });

  it("has caught up once every end met at the start was passed, commit markers included", async () => {
    const { feed: subject } = feed();
    const { kafka, readers, opened } = brokers({
      "weather-predictions": [
        [10, 20],
        [0, 5],
      ],
    });
    expect(subject.state().caught_up).toBe(false);
    const stop = new AbortController();
    const running = subject.run(kafka, stop.signal);
    await opened;
    const reader = readers.get("weather-predictions")!;
    expect(subject.state().caught_up).toBe(false);
    reader.move(0, 20);
    expect(subject.state().caught_up).toBe(false);
    reader.move(1, 4);
    expect(subject.state().caught_up).toBe(false);
    reader.move(1, 5);
    expect(subject.state()).toMatchObject({ caught_up: true, error: null });
    // What is written later does not make it unready again.
    reader.move(1, 4);
    expect(subject.state().caught_up).toBe(true);
    stop.abort();
    await running;
  });

  it("begins a bounded number of records before the end, never before the beginning", async () => {
    const { feed: subject } = feed();
    const { kafka, from, opened } = brokers({
      "weather-predictions": [
        [0, 1_000_000],
        [3, 10],
      ],
    });
    const stop = new AbortController();
    const running = subject.run(kafka, stop.signal);
    await opened;
    expect([...(from.get("weather-predictions") ?? [])]).toEqual([
      [0, 1_000_000 - TAIL_RECORDS],
      [1, 3],
    ]);
    stop.abort();
    await running;
  });

  it("goes on where it was when a reader fails, and says so meanwhile", async () => {
    const { feed: subject, latest, errors } = feed();
    const { kafka, readers, from, opened, reopened } = brokers({ "weather-predictions": [[0, 1]] });
    const stop = new AbortController();
    const running = subject.run(kafka, stop.signal);
    await opened;
    readers.get("weather-predictions")!.give([
      {
        topic: "weather-predictions",
        partition: 0,
        offset: 0,
        timestamp: NOW_MS,
        headers: {},
        key: null,
        value: Buffer.from(JSON.stringify({ station_id: "denver", ...prediction() })),
      },
    ]);
    readers.get("weather-predictions")!.fail(new Error("away"));
    await reopened;
    expect(latest.get("denver")).toBeDefined();
    expect([...(from.get("weather-predictions") ?? [])]).toEqual([[0, 1]]);
    expect(errors).toEqual([new Error("away")]);
    expect(subject.state()).toMatchObject({ caught_up: true, error: null });
    stop.abort();
    await running;
  });

  it("measures latency of live records only", async () => {
    const { feed: subject, send, metrics } = feed();
    const live = { station_id: "denver", ...prediction() };
    const { kafka, opened } = brokers({});
    await send("weather-predictions", 0, live);
    const stop = new AbortController();
    const running = subject.run(kafka, stop.signal);
    await opened;
    await send("weather-predictions", 1, live);
    expect(await metrics.registry.metrics()).toContain("millrace_prediction_latency_seconds_count 1");
    stop.abort();
    await running;
  });
});
