// Avro container files as cells by field name: read for a replay, written (stage.ts) for the Spark backfill.
// The file's own schema is its writer's; names decide, unions with null are seen through. Codecs: null and deflate.

import { type Readable, Transform } from "node:stream";
import avsc from "avsc";
import { PipelineError } from "../../contract/index.ts";
import type { Located } from "./csv.ts";

/** Errors: `config_invalid` for what is no container, lacks a required field, or breaks in the middle. */
export async function* avroRecords(
  stream: Readable,
  file: string,
  required: readonly string[],
): AsyncGenerator<Located> {
  const decoder = new avsc.streams.BlockDecoder();
  let line = 0;
  let sync: Buffer | null = null;
  let tail = Buffer.alloc(0);
  const refused = (seen: string, cause?: unknown): PipelineError =>
    new PipelineError(
      "config_invalid",
      `Cannot read "${file}" after record ${line}: expected an Avro container, got ${seen}`,
      { cause, context: { file } },
    );
  decoder.once("metadata", (type: avsc.Type, _codec: string, header: { sync: Buffer }) => {
    sync = header.sync;
    const names = avsc.Type.isType(type, "record")
      ? (type as avsc.types.RecordType).fields.map((field) => field.name)
      : [];
    const missing = required.find((name) => !names.includes(name));
    if (missing !== undefined) decoder.destroy(refused(`a record without "${missing}"`));
  });
  // avsc takes a file that breaks off for one that ends: every container ends with its own sync marker, so look for that.
  const watched = new Transform({
    transform(chunk: Buffer, _, done) {
      tail = Buffer.concat([tail, chunk]).subarray(-SYNC_BYTES);
      done(null, chunk);
    },
  });
  stream.once("error", (error) => decoder.destroy(error));
  stream.pipe(watched).pipe(decoder);
  try {
    for await (const record of decoder as AsyncIterable<Record<string, unknown>>) {
      line++;
      const cells: Record<string, unknown> = {};
      for (const name of Object.keys(record)) cells[name] = plain(record[name]);
      yield { line, cells, bad: null };
    }
    if (sync === null || !tail.equals(sync)) throw refused("an end in the middle");
  } catch (error) {
    throw error instanceof PipelineError ? error : refused((error as Error).message, error);
  }
}

const SYNC_BYTES = 16;

/** avsc wraps a value in `{type: value}` when a union has two number types. */
function plain(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Buffer.isBuffer(value)) return value;
  const values = Object.values(value);
  return values.length === 1 ? values[0] : value;
}
