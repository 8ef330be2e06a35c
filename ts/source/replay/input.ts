// One file of observations as an Input: opens it, undoes gzip, picks the format, maps cells, keeps the time order.
// Rows that cannot be observations are handed to `onBad` and left out, as are those that were there before; the others go on.

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { basename } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { PipelineError } from "../../contract/index.ts";
import { isBad, mapperOf, type SourceContract } from "../formats/cells.ts";
import { avroRecords } from "../formats/container.ts";
import { csvRecords, type Located } from "../formats/csv.ts";
import { jsonRecords } from "../formats/jsonl.ts";
import type { BadRow, Input, Row } from "../row.ts";
import { Repeats } from "./repeats.ts";

export type Format = "csv" | "jsonl" | "avro";

export interface FileOptions {
  readonly path: string;
  readonly contract: SourceContract;
  /** Unit a column comes in, where it is not the contract's. */
  readonly units?: Readonly<Record<string, string>>;
  /** Default: by the name's ending, before `.gz`. */
  readonly format?: Format;
  /** Event time, epoch ms, inclusive. */
  readonly from_ms?: number | null;
  /** Event time, epoch ms, exclusive. */
  readonly to_ms?: number | null;
  /** `time`: a row older than the one above it is bad. `file`: rows come as they stand, late ones too. */
  readonly order?: "time" | "file";
  /** Each bad row once, however often the rows are read. One of them: a station's second row of one time with other values. */
  readonly onBad?: (bad: BadRow) => void;
  /** Each row that was there before, value for value, and is left out. */
  readonly onRepeat?: () => void;
}

const ENDINGS: Readonly<Record<string, Format>> = {
  csv: "csv",
  jsonl: "jsonl",
  ndjson: "jsonl",
  avro: "avro",
};

/** Rows handed on at once: enough that a promise costs nothing, few enough to stop soon. */
const CHUNK = 512;

/** Errors: `config_invalid` for a file that is missing, of no known format, or lacks a column. */
export function fileInput(options: FileOptions): Input {
  const {
    path,
    contract,
    units = {},
    from_ms = null,
    to_ms = null,
    order = "time",
    onBad = () => {},
    onRepeat = () => {},
  } = options;
  const format = options.format ?? formatOf(path);
  const mapper = mapperOf(contract, units);
  const fields = contract.fields.map((field) => field.name);
  const required = [contract.key, contract.event_time];
  const file = basename(path);
  // A looping feed reads the file again and again; each bad row is told once.
  let told_line = 0;
  const tell = (bad: BadRow): void => {
    if (bad.line <= told_line) return;
    told_line = bad.line;
    onBad(bad);
  };
  let counted_line = 0;
  const count = (line: number): void => {
    if (line <= counted_line) return;
    counted_line = line;
    onRepeat();
  };

  async function* rows(): AsyncGenerator<readonly Row[]> {
    const stream = await opened(path);
    let chunk: Row[] = [];
    let newest = Number.NEGATIVE_INFINITY;
    const repeats = new Repeats();
    try {
      for await (const { line, cells, bad } of recordsOf(format, stream, path, fields, required)) {
        const row = cells === null ? bad! : mapper(cells);
        if (isBad(row)) {
          tell({ file, line, ...row });
          continue;
        }
        const verdict = repeats.judge(row);
        if (verdict === "repeat") {
          count(line);
          continue;
        }
        if (verdict === "conflict") {
          const reason = `expected one row of "${row.key}" at ${new Date(row.time).toISOString()}, got a second one with other values; the first stays`;
          tell({ file, line, column: null, reason });
          continue;
        }
        if (order === "time" && row.time < newest) {
          const reason = `expected rows in time order, got ${new Date(row.time).toISOString()} after ${new Date(newest).toISOString()}`;
          tell({ file, line, column: contract.event_time, reason });
          continue;
        }
        newest = Math.max(newest, row.time);
        if (from_ms !== null && row.time < from_ms) continue;
        if (to_ms !== null && row.time >= to_ms) {
          if (order === "time") break;
          continue;
        }
        chunk.push(row);
        if (chunk.length === CHUNK) {
          yield chunk;
          chunk = [];
        }
      }
      if (chunk.length > 0) yield chunk;
    } catch (error) {
      if (error instanceof PipelineError) throw error;
      throw new PipelineError(
        "config_invalid",
        `Cannot read "${path}": expected a whole file, got ${(error as Error).message}`,
        {
          cause: error,
          context: { path },
        },
      );
    } finally {
      stream.destroy();
    }
  }

  return {
    name: path,
    rows,
    async fingerprint() {
      const hash = createHash("sha256");
      const sorted = Object.entries(units).sort(([a], [b]) => (a < b ? -1 : 1));
      hash.update(JSON.stringify({ format, order, from_ms, to_ms, units: sorted, fields }));
      try {
        await pipeline(createReadStream(path), hash);
      } catch (error) {
        throw unreadable(path, error);
      }
      return hash.digest("hex");
    },
  };
}

function recordsOf(
  format: Format,
  stream: Readable,
  path: string,
  fields: readonly string[],
  required: readonly string[],
): AsyncIterable<Located> {
  switch (format) {
    case "csv":
      return csvRecords(stream, path, fields, required);
    case "jsonl":
      return jsonRecords(stream);
    case "avro":
      return avroRecords(stream, path, required);
  }
}

function formatOf(path: string): Format {
  const name = basename(path).replace(/\.gz$/, "");
  const format = ENDINGS[name.slice(name.lastIndexOf(".") + 1).toLowerCase()];
  if (format !== undefined) return format;
  throw new PipelineError(
    "config_invalid",
    `Cannot tell the format of "${path}": expected a name that ends in ${Object.keys(ENDINGS)
      .map((ending) => `.${ending}`)
      .join(", ")}, each also with .gz, got "${basename(path)}"; "--format" says it otherwise`,
  );
}

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
  const plain = createGunzip({ chunkSize: 1 << 18 });
  file.once("error", (error) => plain.destroy(error));
  plain.once("close", () => file.destroy());
  return file.pipe(plain);
}

function unreadable(path: string, error: unknown): PipelineError {
  return new PipelineError(
    "config_invalid",
    `Cannot read "${path}": expected a readable file, got ${(error as NodeJS.ErrnoException).code ?? "an error"}`,
    { cause: error, context: { path } },
  );
}
