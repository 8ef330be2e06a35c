// The cursor of a source: one record a transaction, in the topic of cursors under the source's name. This room knows who wrote
// it and how often; where the source stands is a token that only its own kind can read (a replay's: replay/position.ts).

import { Decoder, encoder, PipelineError, type SourceCursor } from "../../contract/index.ts";
import { type Kafka, type KafkaRecord, readAll } from "../../kafka/kafka.ts";

export interface Cursor {
  /** Name and slot of the source. */
  readonly source: string;
  /** Who wrote the token, and alone can read it. */
  readonly kind: string;
  /** Transactions the source has committed, with this one; 0 for a record of before they were counted. */
  readonly commits: number;
  /** Where to go on. */
  readonly token: string;
  /** Newest event time sent, epoch ms. */
  readonly event_time: number | null;
}

export interface CursorCodec {
  encode(cursor: Cursor): Buffer;
  /** Errors: `contract_mismatch` for what is no cursor. */
  decode(value: Buffer): Promise<Cursor>;
}

/** Where cursors are kept. */
export interface CursorPlace {
  readonly kafka: Kafka;
  readonly cursors_topic: string;
  readonly cursorCodec: CursorCodec;
}

/** What a cursor was before it had a token: the place of a pass over one file. */
interface CursorOfPass {
  readonly source: string;
  readonly position: number;
  readonly pass: number;
  readonly event_time: number | null;
  readonly fingerprint: string;
}

/** `id` is the registry's of `schema`, the contract's. */
export function cursorCodecOf(
  schema: string,
  id: number,
  schemaById: (id: number) => Promise<string | null>,
): CursorCodec {
  const decoder = new Decoder<SourceCursor>(schema, schemaById);
  const asWritten = new Decoder<CursorOfPass>(null, schemaById);
  const checked = async <T>(decoder: Decoder<T>, value: Buffer): Promise<T> => {
    const decoded = await decoder.decode(value);
    if (decoded.ok) return decoded.record;
    throw new PipelineError(
      "contract_mismatch",
      `Cannot read a cursor: expected a source_cursor, got ${decoded.reason} (${decoded.detail})`,
    );
  };
  return {
    encode: encoder<Cursor>(schema, id),
    async decode(value) {
      const { source, kind, commits, token, event_time } = await checked(decoder, value);
      if (kind !== null && commits !== null && token !== null)
        return { source, kind, commits, token, event_time };
      const { pass, position, fingerprint } = await checked(asWritten, value);
      const place = JSON.stringify({ pass, position, fingerprint });
      return { source, kind: "replay", commits: 0, token: place, event_time };
    },
  };
}

/** How many records from the end of the topic are read first: it grows between two compactions. */
const RECENT = 4_096;

/** The newest committed cursor of a source, null for one that never sent. Waits for undecided transactions. */
export async function readCursor(place: CursorPlace, source: string): Promise<Cursor | null> {
  const { kafka, cursors_topic, cursorCodec } = place;
  const newest = async (records: readonly KafkaRecord[]): Promise<Cursor | null> => {
    const ours = records.findLast(({ key, value }) => value !== null && key?.toString("utf8") === source);
    return ours === undefined ? null : cursorCodec.decode(ours.value!);
  };
  const [offsets] = await kafka.admin.offsets(cursors_topic);
  if (offsets !== undefined && offsets.end - offsets.start > RECENT) {
    const from = new Map([[0, offsets.end - RECENT]]);
    const found = await newest(await readAll(kafka, cursors_topic, { from }));
    if (found !== null) return found;
  }
  return newest(await readAll(kafka, cursors_topic));
}

/** The newest committed cursor of every source. */
export async function readCursors(place: CursorPlace): Promise<Cursor[]> {
  const newest = new Map<string, Buffer>();
  for (const { key, value } of await readAll(place.kafka, place.cursors_topic))
    if (key !== null && value !== null) newest.set(key.toString("utf8"), value);
  return Promise.all([...newest.values()].map((value) => place.cursorCodec.decode(value)));
}
