// Dead letters of a pipeline: read them, mend one, send it again once with its origin kept.
// Between `<pipeline>-rejects` and the streams' topics. Spark and Ray write rejects; this never does, and never judges a window.
//
// Once means: the resend and a cursor named after the reject go in one transaction of the one producer "rejects", which is
// opened, and so fences any other, before the cursors are read.

import { createHash } from "node:crypto";
import { Decoder, definitionOf, observationEncoder, PipelineError, WireDecoder } from "../contract/index.ts";
import { clockOf } from "../kafka/clock.ts";
import { type Kafka, type OutRecord, readAll } from "../kafka/kafka.ts";
import type { Registry } from "../kafka/registry.ts";
import { type Contract, inStream, type Names, streamSchema, streamsOf, topicOf } from "../pipelines/index.ts";
import { type BadCell, type Cells, isBad, mapperOf } from "./formats/cells.ts";
import type { Value } from "./row.ts";
import { cursorCodecOf, readCursor } from "./send/cursor.ts";

/** A record of `<pipeline>-rejects`, apart from its key field, whose name the contract knows. Times in epoch ms. */
export interface Reject {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** The one field that was refused; null for the whole record. */
  readonly field: string | null;
  readonly reason: string;
  readonly detail: string;
  readonly schema_id: number | null;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, Buffer>>;
  readonly append_time: number;
  readonly rejected_time: number;
}

export interface RejectsSource {
  readonly kafka: Kafka;
  readonly registry: Registry;
  readonly names: Names;
  readonly contract: Contract;
}

/** Identity of a reject as one word: `weather-raw/3/1042`, with `/temperature` behind it when one field was refused. */
export function rejectId({
  topic,
  partition,
  offset,
  field,
}: Pick<Reject, "topic" | "partition" | "offset" | "field">): string {
  return [topic, partition, offset, ...(field === null ? [] : [field])].join("/");
}

/** All rejects, oldest first by partition, each identity once: Spark may write one twice. */
export async function readRejects({ kafka, registry, names, contract }: RejectsSource): Promise<Reject[]> {
  const decoder = new Decoder<Reject>(contract.schemas.rejects, (id) => registry.schemaById(id));
  const seen = new Map<string, Reject>();
  for (const record of await readAll(kafka, names.topics.rejects.topic, { until: "stable" })) {
    const decoded = await decoder.decode(record.value);
    // A record that is no reject is somebody else's mistake and no reason to hide the others.
    if (!decoded.ok) continue;
    const id = rejectId(decoded.record);
    if (!seen.has(id)) seen.set(id, decoded.record);
  }
  return [...seen.values()];
}

/** Errors: `config_invalid` when there is none of that identity. */
export async function findReject(place: RejectsSource, id: string): Promise<Reject> {
  const found = (await readRejects(place)).find((reject) => rejectId(reject) === id);
  if (found !== undefined) return found;
  throw new PipelineError(
    "config_invalid",
    `Cannot find reject "${id}" in "${place.names.topics.rejects.topic}": expected an id as "millrace rejects list" prints it`,
  );
}

/** Identities that were sent again. */
export async function readResent({
  kafka,
  names,
}: Pick<RejectsSource, "kafka" | "names">): Promise<Set<string>> {
  const ids = new Set<string>();
  for (const { key } of await readAll(kafka, names.topics.cursors.topic)) {
    const text = key?.toString("utf8") ?? "";
    if (text.startsWith(CURSOR)) ids.add(text.slice(CURSOR.length));
  }
  return ids;
}

const CURSOR = "reject/";

/** The contract turned to the stream that a reject came from; null for one of another topic: a window's. */
export function contractOf(
  { topic }: Pick<Reject, "topic">,
  { names, contract }: Pick<RejectsSource, "names" | "contract">,
): Contract | null {
  const stream = streamsOf(contract).find((name) => topicOf(names, name).topic === topic);
  return stream === undefined ? null : inStream(contract, stream);
}

/** The observation inside a reject, by the schema it was written with; null when its bytes hold none. */
export async function observationOf(
  reject: Reject,
  place: Pick<RejectsSource, "registry" | "names" | "contract">,
): Promise<Cells | null> {
  const { registry } = place;
  const applied = definitionOf(streamSchema(contractOf(reject, place) ?? place.contract));
  const decoded = await new WireDecoder(applied, (id) => registry.schemaById(id)).decode(reject.value);
  return decoded.ok ? decoded.record : null;
}

/**
 * What is sent for a reject: `changes` replace cells of its observation. Of a refused field only that field is sent, the
 * rest of its record has lived and would count twice. Without changes the record goes as it was, where it is sound by now.
 * Errors: `config_invalid`, naming the column, for what would be refused again.
 */
export function mended(
  reject: Reject,
  observation: Cells | null,
  changes: Cells,
  contract: Contract,
): Record<string, Value> {
  const id = rejectId(reject);
  const { key, event_time, fields } = contract;
  const refused = (wanted: string, seen: string): PipelineError =>
    new PipelineError("config_invalid", `Cannot send reject "${id}" again: expected ${wanted}, got ${seen}`);
  if (observation === null && Object.keys(changes).length === 0)
    throw refused("a corrected record (--value FILE), as its bytes hold none", "nothing");
  const names = new Set(fields.map(({ name }) => name));
  const known = Object.fromEntries(Object.entries(observation ?? {}).filter(([name]) => names.has(name)));
  const keyText = reject.key?.toString("utf8");
  const cells: Cells = { ...(keyText === undefined ? {} : { [key]: keyText }), ...known, ...changes };
  const bad = ({ column, reason }: BadCell): PipelineError =>
    new PipelineError("config_invalid", `Cannot send reject "${id}" again: "${column}" ${reason}`);
  // Who mends a record by hand wants to hear of a slip: no cell that is sent is nulled in passing.
  const row = mapperOf(contract)(cells, (cell) => {
    if (reject.field === null || reject.field === cell.column) throw bad(cell);
  });
  if (isBad(row)) throw bad(row);
  const clock_ms = clockOf({ headers: reject.headers, timestamp: reject.append_time }, contract.lead_ms);
  if (row.time - clock_ms > contract.lead_ms)
    throw refused(
      `a time at most ${contract.lead_ms} ms ahead of its clock (${new Date(clock_ms).toISOString()})`,
      `"${event_time}" ${new Date(row.time).toISOString()}`,
    );
  const record: Record<string, Value> = { ...row.record };
  if (reject.field !== null) {
    if (record[reject.field] === null || record[reject.field] === undefined)
      throw refused(`a value for "${reject.field}" (--set ${reject.field}=VALUE)`, "nothing");
    for (const { name, attribute } of fields)
      if (name !== key && name !== event_time && name !== reject.field && !attribute?.required)
        record[name] = null;
  }
  for (const { name, unit, range } of fields) {
    const value = record[name];
    if (range !== null && typeof value === "number" && !(value >= range[0] && value <= range[1]))
      throw refused(`"${name}" from ${range[0]} to ${range[1]} ${unit ?? ""}`.trim(), String(value));
  }
  return record;
}

export interface Resent {
  readonly id: string;
  readonly topic: string;
  readonly key: string;
  readonly record: Readonly<Record<string, Value>>;
}

/**
 * Sends mended rejects to the topic of their stream, each once for ever, all in one transaction. Header `origin` is the reject's id.
 * Errors: `config_invalid` for one that was sent before, that is of no stream, or that would be refused again.
 */
export async function resend(
  place: RejectsSource,
  ids: readonly string[],
  changes: Cells,
): Promise<Resent[]> {
  const { kafka, registry, names, contract } = place;
  const { cursors } = names.topics;
  const cursors_id = await registry.idOf(cursors.subject, contract.schemas.cursors);
  const cursorCodec = cursorCodecOf(contract.schemas.cursors, cursors_id, (id) => registry.schemaById(id));
  const topics = streamsOf(contract).map((stream) => `"${topicOf(names, stream).topic}"`);
  const sentBefore = { kafka, cursors_topic: cursors.topic, cursorCodec };
  const encoders = new Map<string, (record: Record<string, Value>) => Buffer>();
  const encoderOf = async (own: Contract) => {
    const { stream, format = "avro", schemas } = own;
    const known = encoders.get(stream);
    if (known) return known;
    const id = await registry.idOf(topicOf(names, stream).subject, streamSchema(own));
    const encode = observationEncoder<Record<string, Value>>(format, schemas.observation, id);
    encoders.set(stream, encode);
    return encode;
  };
  const rejects = new Map((await readRejects(place)).map((reject) => [rejectId(reject), reject]));
  const producer = await kafka.producer({ transactional_id: names.transactionalId("rejects", 0) });
  try {
    const records: OutRecord[] = [];
    const sent: Resent[] = [];
    for (const id of new Set(ids)) {
      const reject = rejects.get(id) ?? (await findReject(place, id));
      const own = contractOf(reject, place);
      if (own === null)
        throw new PipelineError(
          "config_invalid",
          `Cannot send reject "${id}" again: expected one of topic ${topics.join(" or ")}, got "${reject.topic}"`,
        );
      const source = `${CURSOR}${id}`;
      if ((await readCursor(sentBefore, source)) !== null)
        throw new PipelineError(
          "config_invalid",
          `Cannot send reject "${id}" again: expected one that was not, got one that was; each goes once`,
        );
      const record = mended(reject, await observationOf(reject, place), changes, own);
      const value = (await encoderOf(own))(record);
      const key = String(record[own.key]);
      records.push({ topic: reject.topic, key, value, headers: { ...reject.headers, origin: id } });
      const token = createHash("sha256").update(value).digest("hex");
      const event_time = Number(record[own.event_time]);
      records.push({
        topic: cursors.topic,
        key: source,
        value: cursorCodec.encode({ source, kind: "reject", commits: 1, token, event_time }),
      });
      sent.push({ id, topic: reject.topic, key, record });
    }
    const transaction = await producer.begin();
    await transaction.send(records);
    await transaction.commit();
    return sent;
  } finally {
    await producer.close();
  }
}
