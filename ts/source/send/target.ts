// Where a source of a pipeline writes: names, ids and codecs put together for session.ts.
// Looks up the registry's ids, and registers nothing: that is `millrace apply`.

import { observationEncoder } from "../../contract/index.ts";
import type { Kafka, OutRecord } from "../../kafka/kafka.ts";
import type { Registry } from "../../kafka/registry.ts";
import { type Contract, type Names, streamSchema, topicOf } from "../../pipelines/index.ts";
import type { Row } from "../row.ts";
import { type CursorPlace, cursorCodecOf } from "./cursor.ts";

export interface SendTarget extends CursorPlace {
  readonly raw_topic: string;
  /** `<namespace>-<pipeline>-<source>-<slot>`. */
  readonly transactional_id: string;
  /** Name and slot of the source: key of its cursor, and the header `source` of its records. */
  readonly source: string;
  /** The contract's field that says when. */
  readonly event_time: string;
  /** One observation, framed, in the stream's format. */
  readonly encode: (record: Row["record"]) => Buffer;
}

export interface TargetOptions {
  readonly kafka: Kafka;
  readonly registry: Registry;
  readonly names: Names;
  /** Turned to the stream that is written to. */
  readonly contract: Contract;
  /** Name of the source: `replay`. */
  readonly source: string;
  readonly slot?: number;
}

/** Name of a source in its cursor and its transactions. Sources of the stream `raw` are called by their own name alone. */
function named(source: string, stream: string): string {
  return stream === "raw" ? source : `${source}-${stream.replaceAll("_", "-")}`;
}

/** The share of the lateness that the event time of one transaction may cover. */
export const SPAN_OF_LATENESS = 1 / 4;

/** Most event time one transaction of a pipeline's source may cover. */
export function spanOf(contract: Pick<Contract, "lateness_ms">): number {
  return Math.floor(contract.lateness_ms * SPAN_OF_LATENESS);
}

/** Errors: `contract_mismatch` when the registry does not hold this contract, `registry_unreachable`. */
export async function targetOf({
  kafka,
  registry,
  names,
  contract,
  source,
  slot = 0,
}: TargetOptions): Promise<SendTarget> {
  const { cursors } = names.topics;
  const raw = topicOf(names, contract.stream);
  const writer = named(source, contract.stream);
  const raw_id = await registry.idOf(raw.subject, streamSchema(contract));
  const cursors_id = await registry.idOf(cursors.subject, contract.schemas.cursors);
  return {
    kafka,
    raw_topic: raw.topic,
    cursors_topic: cursors.topic,
    transactional_id: names.transactionalId(writer, slot),
    source: `${writer}-${slot}`,
    event_time: contract.event_time,
    encode: observationEncoder<Row["record"]>(
      contract.format ?? "avro",
      contract.schemas.observation,
      raw_id,
    ),
    cursorCodec: cursorCodecOf(contract.schemas.cursors, cursors_id, (id) => registry.schemaById(id)),
  };
}

/** An observation to send. */
export interface Outgoing {
  readonly key: string;
  readonly record: Row["record"];
  /** The source's own clock, epoch ms. */
  readonly clock_ms: number;
}

/** Records of the raw topic, in the order given. */
export function rawRecords(
  { raw_topic, source, encode }: Pick<SendTarget, "raw_topic" | "source" | "encode">,
  observations: readonly Outgoing[],
): OutRecord[] {
  let last_ms = Number.NaN;
  let headers: Record<string, string> = {};
  return observations.map(({ key, record, clock_ms }) => {
    // Stations report in step: most records share their headers with the one before.
    if (clock_ms !== last_ms) {
      last_ms = clock_ms;
      headers = { clock: String(clock_ms), source };
    }
    return { topic: raw_topic, key, value: encode(record), headers };
  });
}
