// Which checkpoint a stateful stream runs on. Another plan means a new checkpoint under the next epoch, and that one starts at
// the offsets that cover the last (window + lateness) of event time: plain earliest would repeat a week, plain latest
// would lose the windows that are open. Reads the raw topic's ends; starts nothing.

import { join } from "node:path";
import { type Settings, stateDir } from "../engines/settings.ts";
import { readJson, writeJson } from "../ground/json.ts";
import type { Epoch } from "../jobs/plan/type.ts";
import type { Kafka, KafkaRecord } from "../kafka/kafka.ts";
import { underLock } from "./namespace.ts";

/** Where a new checkpoint begins. */
export type Cover = Pick<Epoch, "starting_offsets" | "publish_from_ms">;

type Epochs = Readonly<Record<string, Epoch>>;

const path = (settings: Settings) => join(stateDir(settings), "epochs.json");

export function readEpoch(settings: Settings, job: string): Epoch | null {
  return readJson<Epochs>(path(settings))?.[job] ?? null;
}

/** The epoch of a plan: the one written down, or the next one, which begins at `cover` unless it is the first. */
export async function epochOf(
  settings: Settings,
  job: string,
  plan_hash: string,
  cover: () => Promise<Cover>,
): Promise<Epoch> {
  const before = readEpoch(settings, job);
  if (before?.plan_hash === plan_hash) return before;
  const epoch: Epoch = before
    ? { plan_hash, plan_epoch: before.plan_epoch + 1, ...(await cover()) }
    : { plan_hash, plan_epoch: 1, starting_offsets: "earliest", publish_from_ms: null };
  return writeEpoch(settings, job, epoch);
}

/** Two submits may write at once. Errors: `job_timed_out` when another writer does not finish. */
function writeEpoch(settings: Settings, job: string, epoch: Epoch): Promise<Epoch> {
  return underLock(settings, "epochs", () => {
    const epochs = readJson<Epochs>(path(settings)) ?? {};
    // Somebody else may have opened it while this one looked where it begins.
    const other = epochs[job];
    if (other?.plan_hash === epoch.plan_hash) return other;
    writeJson(path(settings), { ...epochs, [job]: epoch });
    return epoch;
  });
}

/** The source's own clock, else the time the broker appended it; epoch ms. */
export function clockOf(record: Pick<KafkaRecord, "headers" | "timestamp">): number {
  const text = record.headers["clock"]?.toString("utf8");
  const clock = text === undefined || text === "" ? Number.NaN : Number(text);
  return Number.isSafeInteger(clock) ? clock : record.timestamp;
}

/**
 * The first offset of each partition whose clock is within `span_ms` of the newest clock of the topic, and that span's
 * start. Found by bisection: a source's clock never runs backwards within a partition. An empty partition starts at its end.
 */
export async function covering(kafka: Kafka, topic: string, span_ms: number): Promise<Cover> {
  const partitions = await kafka.admin.offsets(topic);
  const newest = new Map<number, number>();
  for (const { partition, start, stable } of partitions) {
    const last = await lastClock(kafka, topic, partition, start, stable);
    if (last !== null) newest.set(partition, last);
  }
  const frontier = Math.max(...newest.values());
  const found: Record<string, number> = {};
  for (const { partition, start, stable } of partitions) {
    let [low, high] = [start, stable];
    if (!newest.has(partition)) low = high;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const record = await firstFrom(kafka, topic, partition, middle, high);
      // Only markers and aborted records from the middle on: the answer lies before it.
      if (record === null) high = middle;
      else if (clockOf(record) >= frontier - span_ms) high = middle;
      else low = record.offset + 1;
    }
    found[String(partition)] = low;
  }
  return {
    starting_offsets: JSON.stringify({ [topic]: found }),
    publish_from_ms: newest.size === 0 ? null : frontier - span_ms,
  };
}

/** The clock of the last committed record; looks at ever larger tails, because the end may be markers only. */
async function lastClock(
  kafka: Kafka,
  topic: string,
  partition: number,
  start: number,
  end: number,
): Promise<number | null> {
  for (let tail = 64; ; tail *= 8) {
    const from = Math.max(start, end - tail);
    let last: KafkaRecord | null = null;
    const reader = kafka.read(topic, {
      from: new Map([[partition, from]]),
      until: "stable",
      partitions: [partition],
    });
    try {
      for await (const records of reader) last = records.at(-1) ?? last;
    } finally {
      await reader.close();
    }
    if (last) return clockOf(last);
    if (from === start) return null;
  }
}

async function firstFrom(
  kafka: Kafka,
  topic: string,
  partition: number,
  offset: number,
  end: number,
): Promise<KafkaRecord | null> {
  const reader = kafka.read(topic, {
    from: new Map([[partition, offset]]),
    until: "stable",
    partitions: [partition],
  });
  try {
    for await (const records of reader) {
      const first = records[0];
      if (first) return first.offset < end ? first : null;
    }
    return null;
  } finally {
    await reader.close();
  }
}
