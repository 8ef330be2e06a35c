// The bytes of a file behind gzip, as of a moment: a log that grows is read as far as it went when the run began.
// Knows bytes and lines, nothing of rows.

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { PipelineError } from "../../contract/index.ts";

/** gzip shows in the first two bytes, whatever the name says. Errors: `config_invalid` for a file that cannot be read. */
export async function opened(path: string): Promise<Readable> {
  const first = Buffer.alloc(2);
  try {
    const handle = await open(path);
    try {
      await handle.read(first, 0, 2, 0);
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw unreadable(path, error);
  }
  const file = createReadStream(path, { highWaterMark: 1 << 18 });
  if (first[0] !== 0x1f || first[1] !== 0x8b) return file;
  return Readable.from(members(path, file), { objectMode: false });
}

/** Errors: for bytes behind the last member that are no padding. Node takes a zero byte there for the end, whatever follows. */
async function* members(path: string, file: Readable): AsyncGenerator<Buffer> {
  const plain = createGunzip({ chunkSize: 1 << 18 });
  file.once("error", (error) => plain.destroy(error));
  try {
    yield* file.pipe(plain) as AsyncIterable<Buffer>;
    const rest = createReadStream(path, { start: plain.bytesWritten });
    for await (const chunk of rest as AsyncIterable<Buffer>)
      if (chunk.some((byte) => byte !== 0)) throw new Error("other bytes behind its first part");
  } finally {
    file.destroy();
    plain.destroy();
  }
}

/** The first so many bytes; all that are there when there are fewer. */
export async function openedTo(path: string, bytes: number): Promise<Readable> {
  const stream = await opened(path);
  async function* first(): AsyncGenerator<Buffer> {
    let left = bytes;
    try {
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        if (chunk.length >= left) {
          if (left > 0) yield chunk.subarray(0, left);
          return;
        }
        left -= chunk.length;
        yield chunk;
      }
    } finally {
      stream.destroy();
    }
  }
  return Readable.from(first(), { objectMode: false });
}

export interface Extent {
  readonly bytes: number;
  readonly sha256: string;
  /** Bytes and number of the lines that are whole, each with its line feed. */
  readonly lines_bytes: number;
  readonly lines: number;
}

const LINE_FEED = 10;

/** Reads a file's first `limit` bytes, fewer where there are fewer. Errors: `config_invalid`. */
export async function measure(path: string, limit = Number.POSITIVE_INFINITY): Promise<Extent> {
  const hash = createHash("sha256");
  let [bytes, lines_bytes, lines] = [0, 0, 0];
  try {
    for await (const chunk of (await openedTo(path, limit)) as AsyncIterable<Buffer>) {
      hash.update(chunk);
      for (let at = chunk.indexOf(LINE_FEED); at >= 0; at = chunk.indexOf(LINE_FEED, at + 1)) {
        lines_bytes = bytes + at + 1;
        lines++;
      }
      bytes += chunk.length;
    }
  } catch (error) {
    throw unreadable(path, error);
  }
  return { bytes, sha256: hash.digest("hex"), lines_bytes, lines };
}

/** Whether the byte at that place begins a line end. */
export async function endsLineAt(path: string, at: number): Promise<boolean> {
  let byte: number | undefined;
  for await (const chunk of (await openedTo(path, at + 1)) as AsyncIterable<Buffer>) byte = chunk.at(-1);
  return byte === LINE_FEED || byte === 13;
}

export function unreadable(path: string, error: unknown): PipelineError {
  if (error instanceof PipelineError) return error;
  return new PipelineError(
    "config_invalid",
    `Cannot read "${path}": expected a readable file, got ${(error as NodeJS.ErrnoException).code ?? "an error"}`,
    { cause: error, context: { path } },
  );
}
