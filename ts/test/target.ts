// Weather's topics of raw records and cursors in a Kafka in memory, for tests of what sources send. Reads the cursors of before too.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { encoder } from "../contract/index.ts";
import type { Kafka } from "../kafka/kafka.ts";
import { pipelineOf } from "../pipelines/index.ts";
import { type Position, positionOf } from "../source/replay/position.ts";
import { type Cursor, cursorCodecOf, readCursor } from "../source/send/cursor.ts";
import type { SendTarget } from "../source/send/target.ts";
import { type FakeKafka, fakeKafka } from "./fakes/kafka.ts";

const { contract } = pipelineOf("weather");
export const BEFORE = join(import.meta.dirname, "..", "..", "schemas", "golden", "before");
const applied = JSON.parse(readFileSync(join(BEFORE, "state", "default", "applied-weather.json"), "utf8"));
const CURSOR_ID = 8;

export async function memoryKafka(): Promise<FakeKafka> {
  const kafka = fakeKafka();
  await kafka.admin.ensure([
    { topic: "raw", partitions: 4, config: {} },
    { topic: "cursors", partitions: 1, config: {} },
  ]);
  return kafka;
}

export function memoryTarget(kafka: Kafka, source = "replay-0"): SendTarget {
  return {
    kafka,
    raw_topic: "raw",
    cursors_topic: "cursors",
    transactional_id: `weather-${source}`,
    source,
    event_time: "timestamp",
    encode: encoder(contract.schemas.observation, 7),
    cursorCodec: cursorCodecOf(contract.schemas.cursors, CURSOR_ID, async (id) =>
      id === CURSOR_ID ? contract.schemas.cursors : (applied.tables.cursors[id] ?? null),
    ),
  };
}

/** Cursor and position of a source; null for one that never sent. */
export async function standOf(kafka: Kafka, source = "replay-0"): Promise<(Cursor & Position) | null> {
  const cursor = await readCursor(memoryTarget(kafka), source);
  return cursor === null ? null : { ...cursor, ...positionOf(cursor.token) };
}
