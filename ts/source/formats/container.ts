// Avro container files as cells by the contract's field names. The file's own schema is its writer's: writer.ts says what it
// means. Codecs: null and deflate. Containers for the Spark backfill are written by stage.ts.

import { type Readable, Transform } from "node:stream";
import avsc from "avsc";
import { PipelineError } from "../../contract/index.ts";
import type { SourceContract } from "./cells.ts";
import type { Located } from "./csv.ts";
import { type WriterField, writerFields, writerType } from "./writer.ts";

/** Records handed on at once. */
const CHUNK = 512;

/**
 * `onUnits` gets the units that the file's schema names, by the contract's fields, before the first record.
 * Errors: `config_invalid` for what is no container, breaks in the middle, or has a field whose meaning is not certain.
 */
export async function* avroCells(
  stream: Readable,
  file: string,
  contract: SourceContract,
  onUnits: (units: Readonly<Record<string, string>>) => void,
): AsyncGenerator<readonly Located[]> {
  let fields: readonly WriterField[] = [];
  let sync: Buffer | null = null;
  let tail = Buffer.alloc(0);
  let line = 0;
  const refused = (seen: string, cause?: unknown): PipelineError =>
    new PipelineError(
      "config_invalid",
      `Cannot read "${file}" after record ${line}: expected an Avro container, got ${seen}`,
      { cause, context: { file } },
    );
  const decoder = new avsc.streams.BlockDecoder({
    parseHook(schema) {
      fields = writerFields(schema, file, contract);
      onUnits(Object.fromEntries(fields.flatMap(({ name, unit }) => (unit === null ? [] : [[name, unit]]))));
      return writerType(schema);
    },
  });
  decoder.once("metadata", (_type: avsc.Type, _codec: string, header: { sync: Buffer }) => {
    sync = header.sync;
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
  let located: Located[] = [];
  try {
    for await (const record of decoder as AsyncIterable<Record<string, unknown>>) {
      const cells: Record<string, unknown> = {};
      for (const { from, name, read } of fields) cells[name] = read(record[from]);
      located.push({ line: ++line, cells, bad: null });
      if (located.length < CHUNK) continue;
      yield located;
      located = [];
    }
    if (located.length > 0) yield located;
    if (sync === null || !tail.equals(sync)) throw refused("an end in the middle");
  } catch (error) {
    throw error instanceof PipelineError ? error : refused((error as Error).message, error);
  }
}

const SYNC_BYTES = 16;
