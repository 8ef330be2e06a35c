// Which checkpoint a stateful stream runs on. Another plan means a new checkpoint under the next epoch, and that one starts at
// the offsets that cover the last (window + lateness) of event time: plain earliest would repeat a week, plain latest
// would lose the windows that are open. So does a checkpoint whose watermark has run away from the wall clock: Spark keeps it
// for good and would drop every record to come. Reads checkpoints and the raw topic's ends; starts nothing.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { definitionOf, isMoment, WireDecoder } from "../contract/index.ts";
import { readJson, writeJson } from "../ground/json.ts";
import type { Epoch } from "../jobs/plan/type.ts";
import { clockOf } from "../kafka/clock.ts";
import type { Kafka, KafkaRecord } from "../kafka/kafka.ts";
import { type Contract, streamSchema } from "../pipelines/index.ts";
import { type Settings, stateDir } from "../settings/settings.ts";
import { underLock } from "./namespace.ts";

/** Where a new checkpoint begins. */
export type Cover = Pick<Epoch, "starting_offsets" | "publish_from_ms">;

type Epochs = Readonly<Record<string, Epoch>>;

const path = (settings: Settings) => join(stateDir(settings), "epochs.json");

export function readEpoch(settings: Settings, job: string): Epoch | null {
  return readJson<Epochs>(path(settings))?.[job] ?? null;
}

/**
 * The epoch of a plan: the one written down, or the next one, which begins at `cover` unless it is the first. `isSound` asks
 * whether the checkpoint of the one written down can go on.
 */
export async function epochOf(
  settings: Settings,
  job: string,
  plan_hash: string,
  cover: () => Promise<Cover>,
  isSound: (epoch: Epoch) => boolean = () => true,
): Promise<Epoch> {
  const before = readEpoch(settings, job);
  if (before?.plan_hash === plan_hash && isSound(before)) return before;
  const epoch: Epoch = before
    ? { plan_hash, plan_epoch: before.plan_epoch + 1, ...(await cover()) }
    : { plan_hash, plan_epoch: 1, starting_offsets: "earliest", publish_from_ms: null };
  return writeEpoch(settings, job, epoch);
}

/** The next epoch of each of these jobs is the first again: for a pipeline whose topics and checkpoints are gone. */
export function clearEpochs(settings: Settings, ours: (job: string) => boolean): Promise<void> {
  return underLock(settings, "epochs", () => {
    const epochs = readJson<Epochs>(path(settings));
    if (epochs !== null)
      writeJson(path(settings), Object.fromEntries(Object.entries(epochs).filter(([job]) => !ours(job))));
  });
}

/** Two submits may write at once. Errors: `job_timed_out` when another writer does not finish. */
function writeEpoch(settings: Settings, job: string, epoch: Epoch): Promise<Epoch> {
  return underLock(settings, "epochs", () => {
    const epochs = readJson<Epochs>(path(settings)) ?? {};
    // Somebody else may have opened it while this one looked where it begins.
    const other = epochs[job];
    if (other?.plan_hash === epoch.plan_hash && other.plan_epoch >= epoch.plan_epoch) return other;
    writeJson(path(settings), { ...epochs, [job]: epoch });
    return epoch;
  });
}

/**
 * Watermark of a streaming query at the start of its last batch, epoch ms; null before its first, 0 before it has one.
 * Source: Spark's checkpoint, whose `offsets/<batch>` hold a version, then the batch's metadata, then its offsets.
 */
export function watermarkOf(checkpoint: string): number | null {
  const folder = join(checkpoint, "offsets");
  const batches = existsSync(folder) ? readdirSync(folder).filter((name) => /^\d+$/.test(name)) : [];
  if (batches.length === 0) return null;
  const text = readFileSync(join(folder, String(Math.max(...batches.map(Number)))), "utf8");
  const found = /"batchWatermarkMs":(-?\d+)/.exec(text);
  return found === null ? null : Number(found[1]);
}

/** How far a record says that event time has come, epoch ms; null for one that is no observation. */
export type EventTimeOf = (record: KafkaRecord) => Promise<number | null>;

/** As the watermark of the stream: a record's time, but no later than its clock. `schemas` are writers by registry id. */
export function eventTimeOf(
  contract: Pick<Contract, "event_time" | "lead_ms" | "format" | "schemas">,
  schemas: Readonly<Record<string, string>>,
): EventTimeOf {
  const { event_time, lead_ms } = contract;
  const decoder = new WireDecoder(
    definitionOf(streamSchema(contract)),
    async (id) => schemas[String(id)] ?? null,
  );
  return async (record) => {
    const decoded = await decoder.decode(record.value);
    const time = decoded.ok ? Number(decoded.record[event_time] ?? Number.NaN) : Number.NaN;
    const clock = clockOf(record, lead_ms);
    return isMoment(time) && time <= clock + lead_ms ? Math.min(time, clock) : null;
  };
}

/**
 * The first offset of each partition whose clock is within `span_ms` of the newest event time of the topic, and that span's
 * start. Found by bisection: a clock never runs backwards within a partition. One without an observation starts at its end.
 */
export async function covering(
  kafka: Kafka,
  topic: string,
  span_ms: number,
  eventTime: EventTimeOf = async (record) => clockOf(record),
): Promise<Cover> {
  const partitions = await kafka.admin.offsets(topic);
  const newest = new Map<number, number>();
  for (const { partition, start, stable } of partitions) {
    const last = await lastEventTime(kafka, topic, partition, start, stable, eventTime);
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

/** Of the last committed observations; looks at ever larger tails, because the end may be markers and rejects only. */
async function lastEventTime(
  kafka: Kafka,
  topic: string,
  partition: number,
  start: number,
  end: number,
  eventTime: EventTimeOf,
): Promise<number | null> {
  for (let tail = 64; ; tail *= 8) {
    const from = Math.max(start, end - tail);
    let last: number | null = null;
    const reader = kafka.read(topic, {
      from: new Map([[partition, from]]),
      until: "stable",
      partitions: [partition],
    });
    try {
      for await (const records of reader)
        for (const record of records) {
          const time = await eventTime(record);
          if (time !== null) last = Math.max(last ?? time, time);
        }
    } finally {
      await reader.close();
    }
    if (last !== null) return last;
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
