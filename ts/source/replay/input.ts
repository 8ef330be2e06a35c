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
import { wallClock } from "../../ground/clock.ts";
import type { Contract } from "../../pipelines/contract.ts";
import { type BadCell, isBad, mapperOf, type SourceContract } from "../formats/cells.ts";
import { avroRecords } from "../formats/container.ts";
import { csvRecords, type Located } from "../formats/csv.ts";
import { jsonRecords } from "../formats/jsonl.ts";
import { type BadRow, type Input, type Observation, placeOf, type Row } from "../row.ts";
import { Repeats } from "./repeats.ts";
import { Timeline } from "./timeline.ts";

export type Format = "csv" | "jsonl" | "avro";

export interface FileOptions {
  readonly path: string;
  readonly contract: SourceContract & Pick<Contract, "lateness_ms">;
  /** Unit a column comes in, where it is not the contract's. */
  readonly units?: Readonly<Record<string, string>>;
  /** Default: by the name's ending, before `.gz`. */
  readonly format?: Format;
  /** Event time, epoch ms, inclusive. A row that leads the file's clock stands where the clock does. */
  readonly from_ms?: number | null;
  /** Event time, epoch ms, exclusive. */
  readonly to_ms?: number | null;
  /** `time`: a row from before the file's clock is bad. `file`: rows come as they stand, late ones too. */
  readonly order?: "time" | "file";
  /** Each bad row once, however often the rows are read. One of them: a station's second row of one time with other values. */
  readonly onBad?: (bad: BadRow) => void;
  /** Each row that was there before, value for value, and is left out. */
  readonly onRepeat?: () => void;
  /** Wall time, epoch ms: the file's clock never goes beyond it. */
  readonly now?: () => number;
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
    now = wallClock.nowMs,
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
    const timeline = new Timeline<{ line: number; row: Observation | BadCell | null }>({
      // Where the order counts, any row that leads would make those after it bad.
      trust_ms: order === "time" ? 0 : contract.lateness_ms,
      limit: now,
    });
    let chunk: Row[] = [];
    const repeats = new Repeats();
    /** An observation, what is wrong with it, or null for a repeat. */
    const read = ({ cells, bad }: Located): Observation | BadCell | null => {
      const row = cells === null ? bad! : mapper(cells);
      if (isBad(row)) return row;
      const verdict = repeats.judge(row);
      if (verdict === "new") return row;
      if (verdict === "repeat") return null;
      const reason = `expected one row of "${row.key}" at ${new Date(row.time).toISOString()}, got a second one with other values; the first stays`;
      return { column: null, reason };
    };
    /** Moves the rows whose clock is decided into the chunk. False once none of the range follows. */
    const settle = (): boolean => {
      for (let timed = timeline.next(); timed !== null; timed = timeline.next()) {
        const { line, row: found } = timed.value;
        if (found === null) {
          count(line);
          continue;
        }
        if (isBad(found)) {
          tell({ file, line, ...found });
          continue;
        }
        const clock = timed.clock!;
        if (order === "time" && found.time < clock) {
          const reason = `expected rows in time order, got ${new Date(found.time).toISOString()} after ${new Date(clock).toISOString()}`;
          tell({ file, line, column: contract.event_time, reason });
          continue;
        }
        const row = { ...found, clock };
        const place = placeOf(row);
        if (to_ms !== null && place >= to_ms && order === "time") return false;
        if ((from_ms === null || place >= from_ms) && (to_ms === null || place < to_ms)) chunk.push(row);
      }
      return true;
    };
    try {
      let wanted = true;
      for await (const located of recordsOf(format, stream, path, fields, required)) {
        const row = read(located);
        timeline.push({ line: located.line, row }, row === null || isBad(row) ? null : row);
        wanted = settle();
        if (!wanted) break;
        if (chunk.length < CHUNK) continue;
        yield chunk;
        chunk = [];
      }
      timeline.end();
      if (wanted) settle();
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
