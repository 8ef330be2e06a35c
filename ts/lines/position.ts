// How far the lines of a stream are: one small file a batch, named by its number, so that only one writer can have made it. It is the
// commit of its batch. Reading it is enough to know which hours are closed.

import { PipelineError } from "../contract/index.ts";
import type { Files } from "./files.ts";
import { batchIn, HIDDEN, POSITIONS, positionFile } from "./layout.ts";

/** What a batch adds to the file of an hour, and that file. */
export interface Part {
  readonly part: string;
  readonly file: string;
}

/** A reject as it is sent: its key and its framed bytes, base64. */
export interface LateReject {
  readonly key: string | null;
  readonly value: string;
}

export interface Position {
  readonly batch: number;
  readonly topic: string;
  /** Next offset, by partition. */
  readonly next: Readonly<Record<string, number>>;
  /** Newest event time, epoch ms, by partition; of one without an accepted record there is none. */
  readonly newest_ms: Readonly<Record<string, number>>;
  /** Hours that end at or before this are closed: their files do not change any more. Null while none is. */
  readonly closed_until_ms: number | null;
  /** Lines written, and records that came too late, of all batches so far. */
  readonly lines: number;
  readonly late: number;
  /** Of this batch. */
  readonly parts: readonly Part[];
  readonly rejects: readonly LateReject[];
}

export function firstPosition(topic: string): Position {
  return {
    ...{ batch: 0, topic, next: {}, newest_ms: {}, closed_until_ms: null },
    ...{ lines: 0, late: 0, parts: [], rejects: [] },
  };
}

/** The newest one; null where nobody has written yet. Errors: `store_unreachable`, `config_invalid` for one that cannot be read. */
export async function readPosition(
  files: Pick<Files, "list" | "read" | "address">,
): Promise<Position | null> {
  // One that is taken away while it is read was followed by another.
  for (let look = 0; look < 3; look++) {
    const numbers = (await files.list(POSITIONS)).flatMap(({ name }) => batchIn(name) ?? []);
    if (numbers.length === 0) return null;
    const path = positionFile(Math.max(...numbers));
    const text = await files.read(path);
    if (text === null) continue;
    try {
      return JSON.parse(text) as Position;
    } catch (cause) {
      throw new PipelineError(
        "config_invalid",
        `Cannot go on with the lines at "${files.address}": expected JSON in "${path}"; take that file away to repeat its batch, or the folder "${POSITIONS}" and "raw" to begin anew`,
        { cause },
      );
    }
  }
  throw new PipelineError(
    "store_unreachable",
    `Cannot read how far the lines at "${files.address}" are: expected a position that stays for a moment, it moved on three times`,
  );
}

/** Whether this position is now the one that counts; false where another writer has taken its number. */
export async function commitPosition(files: Files, position: Position, writer: string): Promise<boolean> {
  const beside = `${POSITIONS}/${HIDDEN}${writer}.json`;
  await files.write(beside, `${JSON.stringify(position)}\n`);
  return files.rename(beside, positionFile(position.batch));
}
