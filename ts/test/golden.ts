// What weather puts on the wire for fixed clean inputs, from this code: the contract and what the source writes. The golden
// files in schemas/golden hold the same from the commit that last meant to change it; golden.test.ts compares.
// Each stage starts from the golden output of the one before: observations.csv -> source.json (here) -> features.json
// (Spark) -> forecasts.json (Ray), and rejects of features.json -> resent.json (here). No engine runs.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Decoder } from "../contract/index.ts";
import { jumpingClock } from "../ground/clock.ts";
import { type OutRecord, readAll } from "../kafka/kafka.ts";
import type { Registry } from "../kafka/registry.ts";
import {
  namesOf,
  pipelineNames,
  pipelineOf,
  SCHEMA_NAMES,
  type SchemaName,
  schemaOf,
  topicOf,
  topicsOf,
} from "../pipelines/index.ts";
import { type Reject, type RejectsSource, rejectId, resend } from "../source/rejects.ts";
import { feed } from "../source/replay/feed.ts";
import { fileInput } from "../source/replay/input.ts";
import { spanOf, targetOf } from "../source/send/target.ts";
import { type FakeKafka, fakeKafka } from "./fakes/kafka.ts";

const ROOT = join(import.meta.dirname, "..", "..");
export const GOLDEN = join(ROOT, "schemas", "golden", "weather");
/** The golden files that TypeScript makes; the others are Python's. */
export const PARTS = { contract, source, resent } as const;
export type Part = keyof typeof PARTS;

/** Append time of every record, epoch ms: the broker's clock stands still. */
const NOW_MS = Date.UTC(2023, 10, 14, 22, 13, 20);
/** Observations a transaction: the input becomes several, and the cursor moves in steps. */
const ROWS_MAX = 10;

const weather = pipelineOf("weather");
const names = namesOf(weather.pipeline, "");
/** Registry ids are the order of the schemas, from 1: no registry hands them out here. */
const schema_ids = Object.fromEntries(SCHEMA_NAMES.map((name, i) => [name, i + 1])) as Record<
  SchemaName,
  number
>;

export function goldenText(part: string): string {
  return readFileSync(join(GOLDEN, `${part}.json`), "utf8");
}

/** A golden file's text: JSON with one value a line, so that a difference names what moved. */
export function textOf(value: unknown): string {
  return `${JSON.stringify(value, null, 1)}\n`;
}

/** Fingerprint, plan hash, names of topics, and a digest of every schema: as file, and as the text that is registered. */
async function contract() {
  const { fingerprint, plan_hash } = weather.contract;
  const digest = (text: string | Buffer) => createHash("sha256").update(text).digest("hex");
  const avro = join(ROOT, "schemas", "avro");
  const foreign = pipelineNames()
    .map((name) => pipelineOf(name).pipeline)
    .flatMap(({ name, streams }) =>
      name === weather.pipeline.name
        ? []
        : Object.values(streams).map(({ observation }) => `${observation}.avsc`),
    );
  const files = ["generated", "records"].flatMap((folder) =>
    readdirSync(join(avro, folder))
      .filter((file) =>
        folder === "records" ? !foreign.includes(file) : file.startsWith(`${weather.pipeline.name}_`),
      )
      .sort()
      .map((file) => [`${folder}/${file}`, digest(readFileSync(join(avro, folder, file)))]),
  );
  return {
    fingerprint,
    plan_hash,
    topics: Object.fromEntries(
      topicsOf(names).map(({ what, topic, partitions, subject }) => [what, { topic, partitions, subject }]),
    ),
    schema_ids,
    schema_files: Object.fromEntries(files),
    registered_schemas: Object.fromEntries(
      SCHEMA_NAMES.map((name) => [name, digest(schemaOf(weather.contract, name))]),
    ),
  };
}

/** The records of the raw topic and of the cursors, as a replay of observations.csv writes them. */
async function source() {
  const kafka = await kafkaOf();
  const target = await targetOf({ ...placeOf(kafka), source: "replay" });
  const input = fileInput({ path: join(GOLDEN, "observations.csv"), contract: weather.contract });
  await feed(input, target, {
    speed: "max",
    loop: false,
    span_ms: spanOf(weather.contract),
    rows_max: ROWS_MAX,
    clock: jumpingClock(),
  });
  return {
    transactional_id: target.transactional_id,
    raw: await recordsOf(kafka, "raw"),
    cursors: await recordsOf(kafka, "cursors"),
  };
}

/** The golden rejects with their ids, and what sending the mended one again writes. */
async function resent() {
  const kafka = await kafkaOf();
  const rejects = JSON.parse(goldenText("features")).rejects as {
    partition: number;
    key: string;
    value: string;
  }[];
  const producer = await kafka.producer({ transactional_id: "golden" });
  const transaction = await producer.begin();
  await transaction.send(
    rejects.map(({ partition, key, value }): OutRecord => {
      const topic = names.topics.rejects.topic;
      return { topic, partition, key, value: Buffer.from(value, "hex") };
    }),
  );
  await transaction.commit();
  const decoded = await recordsOf(kafka, "rejects");
  const refused = decoded.map(({ record }) => record as unknown as Reject);
  const mended = refused.find(({ reason }) => reason === "out_of_range")!;
  await resend(placeOf(kafka), [rejectId(mended)], { [mended.field!]: 25.5 });
  return {
    ids: refused.map((reject) => rejectId(reject)),
    raw: await recordsOf(kafka, "raw"),
    cursors: await recordsOf(kafka, "cursors"),
  };
}

async function kafkaOf(): Promise<FakeKafka> {
  const kafka = fakeKafka(() => NOW_MS);
  await kafka.admin.ensure(topicsOf(names));
  return kafka;
}

function placeOf(kafka: FakeKafka): RejectsSource {
  const { schemas } = weather.contract;
  const nameOf = (schema: string) => SCHEMA_NAMES.find((name) => schemas[name] === schema)!;
  const registry: Pick<Registry, "idOf" | "schemaById"> = {
    idOf: async (_, schema) => schema_ids[nameOf(schema)],
    schemaById: async (id) => schemas[SCHEMA_NAMES[id - 1]!] ?? null,
  };
  return { kafka, registry: registry as Registry, names, contract: weather.contract };
}

/** Committed records of a topic, by partition and offset; `record` is the decoded value, for the reader of a difference. */
async function recordsOf(kafka: FakeKafka, what: string) {
  const { topic, schema: name } = topicOf(names, what);
  const schema = schemaOf(weather.contract, name);
  const decoder = new Decoder(schema, async () => schema);
  const records = await readAll(kafka, topic);
  records.sort((a, b) => a.partition - b.partition || a.offset - b.offset);
  return Promise.all(
    records.map(async ({ partition, offset, timestamp, key, headers, value }) => {
      const decoded = await decoder.decode(value);
      if (!decoded.ok) throw new Error(`${what} ${partition}/${offset}: ${decoded.reason} ${decoded.detail}`);
      return {
        partition,
        offset,
        append_time: timestamp,
        key: key!.toString("utf8"),
        headers: Object.fromEntries(
          Object.entries(headers).map(([name, text]) => [name, text.toString("utf8")]),
        ),
        value: value!.toString("hex"),
        record: decoded.record,
      };
    }),
  );
}
