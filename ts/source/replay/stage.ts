// Writes an input into an Avro container for the Spark backfill: the contract's fields, and beside them what a raw record
// would have had. `offset` is the row's number from 0, `clock` the input's own clock. Spark then computes the same windows, versions and time jumps from the file as from the topic.

import { createWriteStream } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import avsc from "avsc";
import { PipelineError } from "../../contract/index.ts";
import { effectiveTime, type Input } from "../row.ts";

export interface Staged {
  readonly path: string;
  readonly rows: number;
  /** Event times, epoch ms, both inclusive; null for an empty input. */
  readonly first_ms: number | null;
  readonly last_ms: number | null;
}

/** Blocks of this many bytes: Spark splits a file at them. */
const BLOCK_BYTES = 1 << 18;
/** How often progress is told: a few times a second. */
const TELL_ROWS = 100_000;

/**
 * `schema` is the contract's observation as Avro JSON. The file appears whole or not at all. `onProgress` gets the rows so far,
 * now and then.
 * Errors: `config_invalid` when it cannot be written.
 */
export async function stage(
  input: Input,
  path: string,
  schema: string,
  onProgress: (rows: number) => void = () => {},
): Promise<Staged> {
  const observation = JSON.parse(schema) as { name: string; fields: readonly object[] };
  const type = avsc.Type.forSchema({
    ...observation,
    name: `staged_${observation.name}`,
    fields: [...observation.fields, { name: "offset", type: "long" }, { name: "clock", type: "long" }],
  } as avsc.Schema);
  const part = `${path}.part`;
  const encoder = new avsc.streams.BlockEncoder(type, { blockSize: BLOCK_BYTES, codec: "null" });
  let [rows, first_ms, last_ms] = [0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  async function* staged(): AsyncGenerator<object> {
    let told = 0;
    for await (const chunk of input.rows()) {
      for (const row of chunk) {
        first_ms = Math.min(first_ms, effectiveTime(row));
        last_ms = Math.max(last_ms, row.clock);
        yield { ...row.record, offset: rows++, clock: row.clock };
      }
      if (rows - told < TELL_ROWS) continue;
      told = rows;
      onProgress(rows);
    }
  }
  try {
    await pipeline(
      Readable.from(staged(), { objectMode: true, highWaterMark: 1024 }),
      encoder,
      createWriteStream(part),
    );
    await rename(part, path);
  } catch (error) {
    await rm(part, { force: true });
    if (error instanceof PipelineError) throw error;
    throw new PipelineError(
      "config_invalid",
      `Cannot write "${path}": expected to stage ${input.name}, got an error`,
      {
        cause: error,
        context: { path },
      },
    );
  }
  return {
    path,
    rows,
    first_ms: rows === 0 ? null : first_ms,
    last_ms: rows === 0 ? null : last_ms,
  };
}
