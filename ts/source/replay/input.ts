// One file of observations as an Input: opens it, undoes gzip, picks the format, maps cells, keeps the time order.
// Rows that cannot be observations are handed to `onBad` and left out, as are those that were there before; cells that are no
// numbers are handed to it and become null; the others go on. A file that nothing can be used of is an error, whoever reads it.

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { basename } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { PipelineError, unitNamed } from "../../contract/index.ts";
import { wallClock } from "../../ground/clock.ts";
import type { Contract } from "../../pipelines/contract.ts";
import { type BadCell, isBad, mapperOf, type SourceContract, values as valuesOf } from "../formats/cells.ts";
import { avroCells } from "../formats/container.ts";
import { csvCells, type Located } from "../formats/csv.ts";
import { jsonCells } from "../formats/jsonl.ts";
import { type BadRow, effectiveTime, type Input, type Observation, type Row } from "../row.ts";
import { measure, opened, openedTo, unreadable } from "./content.ts";
import { describeKnown, goOnIn, type KnownFile } from "./growth.ts";
import { Repeats } from "./repeats.ts";
import { Timeline } from "./timeline.ts";

export type Format = "csv" | "jsonl" | "avro";

export interface FileOptions {
  readonly path: string;
  readonly contract: SourceContract & Pick<Contract, "lateness_ms">;
  /** Unit a column comes in, where it is not the contract's. */
  readonly units?: Readonly<Record<string, string>>;
  /** Words for no value, as `mapperOf` takes them. */
  readonly nulls?: readonly string[];
  /** Reads the first so many bytes only, behind gzip. Default: all, as of `fingerprint()` once that was asked for. */
  readonly bytes?: number;
  /** Default: by the name's ending, before `.gz`. */
  readonly format?: Format;
  /** Event time, epoch ms, inclusive. A row that leads the file's clock stands where the clock does. */
  readonly from_ms?: number | null;
  /** Event time, epoch ms, exclusive. */
  readonly to_ms?: number | null;
  /** `time`: a row from before the file's clock is bad. `file`: rows come as they stand, late ones too. */
  readonly order?: "time" | "file";
  /**
   * Each bad row or cell once, however often the rows are read. One of them: a station's second row of one time with other values.
   */
  readonly onBad?: (bad: BadRow) => void;
  /** Each row that was there before, value for value, and is left out. */
  readonly onRepeat?: () => void;
  /** Wall time, epoch ms: the file's clock never goes beyond it. */
  readonly now?: () => number;
}

/** What was read of a row: an observation with the cells that are null in it, what is wrong with it, or null for a repeat. */
interface Reading {
  readonly line: number;
  readonly row: Observation | BadCell | null;
  readonly nulled: readonly BadCell[];
}

/** Most rows have no bad cell. */
const NONE: readonly BadCell[] = [];

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
    nulls = [],
    from_ms = null,
    to_ms = null,
    order = "time",
    onBad = () => {},
    onRepeat = () => {},
    now = wallClock.nowMs,
  } = options;
  const format = options.format ?? formatOf(path);
  let mapper = mapperOf(contract, { units, nulls });
  const fields = contract.fields.map((field) => field.name);
  const values = valuesOf(contract);
  const file = basename(path);
  // A looping feed reads the file again and again; what is bad in it is told once.
  let told_line = 0;
  let counted_line = 0;
  const count = (line: number): void => {
    if (line <= counted_line) return;
    counted_line = line;
    onRepeat();
  };

  function recordsOf(stream: Readable): AsyncIterable<readonly Located[]> {
    switch (format) {
      case "csv":
        return csvCells(stream, path, {
          columns: fields,
          required: [contract.key, contract.event_time],
          some: values,
        });
      case "jsonl":
        return jsonCells(stream);
      case "avro":
        return avroCells(stream, path, contract, (own) => {
          mapper = mapperOf(contract, { units: agreed(path, units, own), nulls });
        });
    }
  }

  let bytes = options.bytes ?? null;
  const settings = {
    ...{ format, order, from_ms, to_ms },
    units: Object.entries(units).sort(([a], [b]) => (a < b ? -1 : 1)),
  };
  const words = nulls.length === 0 ? {} : { nulls: [...nulls].sort() };

  async function known(): Promise<KnownFile> {
    const extent = await measure(path, bytes ?? Number.POSITIVE_INFINITY);
    // A file that grows meanwhile is read as far as it is known.
    bytes = extent.bytes;
    const digest = createHash("sha256").update(JSON.stringify({ ...settings, ...words }));
    return { path, settings: digest.digest("hex").slice(0, 16), bytes, sha256: extent.sha256 };
  }

  /** What a fingerprint was before a file could grow. */
  async function fingerprintOfWhole(): Promise<string> {
    const hash = createHash("sha256").update(JSON.stringify({ ...settings, fields, ...words }));
    try {
      await pipeline(createReadStream(path), hash);
    } catch (error) {
      throw unreadable(path, error);
    }
    return hash.digest("hex");
  }

  async function* rows(): AsyncGenerator<readonly Row[]> {
    const stream = bytes === null ? await opened(path) : await openedTo(path, bytes);
    const timeline = new Timeline<Reading>({
      // Where the order counts, any row that leads would make those after it bad.
      trust_ms: order === "time" ? 0 : contract.lateness_ms,
      limit: now,
    });
    let chunk: Row[] = [];
    const repeats = new Repeats();
    let nulled = NONE;
    const onBadCell = (cell: BadCell): void => {
      nulled = [...nulled, cell];
    };
    const read = ({ line, cells, bad }: Located): Reading => {
      nulled = NONE;
      const row = cells === null ? bad! : mapper(cells, onBadCell);
      if (isBad(row)) return { line, row, nulled };
      const verdict = repeats.judge(row);
      if (verdict === "new") return { line, row, nulled };
      if (verdict === "repeat") return { line, row: null, nulled };
      const reason = `expected one row of "${row.key}" at ${new Date(row.time).toISOString()}, got a second one with other values; the first stays`;
      return { line, row: { column: null, reason }, nulled };
    };
    let [used, valued, rows_lost, cells_lost] = [0, false, 0, 0];
    const tell = (lost: BadRow["lost"], line: number, cells: readonly BadCell[]): void => {
      if (lost === "row") rows_lost += cells.reduce((sum, { rows = 1 }) => sum + rows, 0);
      else cells_lost += cells.length;
      if (line <= told_line) return;
      told_line = line;
      for (const cell of cells) onBad({ lost, file, line, ...cell });
    };
    /** Moves the rows whose clock is decided into the chunk. False once none of the range follows. */
    const settle = (): boolean => {
      for (let timed = timeline.next(); timed !== null; timed = timeline.next()) {
        const { line, row: found, nulled: cells } = timed.value;
        if (found === null) {
          count(line);
          continue;
        }
        if (isBad(found)) {
          tell("row", line, [found]);
          continue;
        }
        const clock = timed.clock!;
        if (order === "time" && found.time < clock) {
          const reason = `expected rows in time order, got ${new Date(found.time).toISOString()} after ${new Date(clock).toISOString()}`;
          tell("row", line, [{ column: contract.event_time, reason }]);
          continue;
        }
        const row = { ...found, clock };
        const place = effectiveTime(row);
        if (to_ms !== null && place >= to_ms && order === "time") return false;
        if (cells.length > 0) tell("cell", line, cells);
        if ((from_ms !== null && place < from_ms) || (to_ms !== null && place >= to_ms)) continue;
        used++;
        valued ||= values.some((name) => row.record[name] !== null);
        chunk.push(row);
      }
      return true;
    };
    try {
      let wanted = true;
      reading: for await (const records of recordsOf(stream))
        for (const located of records) {
          const reading = read(located);
          timeline.push(reading, reading.row === null || isBad(reading.row) ? null : reading.row);
          wanted = settle();
          if (!wanted) break reading;
          if (chunk.length < CHUNK) continue;
          yield chunk;
          chunk = [];
        }
      timeline.end();
      if (wanted) settle();
      // Rows without any value are rows, unless that is what became of all that stood in them.
      if (used === 0 || (!valued && cells_lost > 0)) throw unusable(options, used, rows_lost, cells_lost);
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
    fingerprint: async () => describeKnown(await known()),
    goOn: async (earlier) =>
      goOnIn(await known(), earlier, {
        lines: format !== "avro",
        first: (bytes, onLeftOut = () => {}) =>
          fileInput({ ...options, bytes, onBad: onLeftOut, onRepeat: onLeftOut }),
        fingerprintOfWhole,
        onBad,
      }),
  };
}

/** Units of the flags and of the file itself. Errors: `config_invalid` where both speak of a field and differ. */
function agreed(
  path: string,
  flags: Readonly<Record<string, string>>,
  own: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  for (const [name, unit] of Object.entries(flags))
    if (own[name] !== undefined && unitNamed(own[name]) !== unitNamed(unit))
      throw new PipelineError(
        "config_invalid",
        `Cannot read "${path}": expected "${name}" in ${unit}, as it was asked for, got ${own[name]} by the file's own schema`,
      );
  return { ...flags, ...own };
}

function unusable(
  { path, from_ms = null, to_ms = null }: FileOptions,
  used: number,
  rows_lost: number,
  cells_lost: number,
): PipelineError {
  const range = from_ms === null && to_ms === null ? "" : " in the range";
  const got = used === 0 ? "none" : "rows without a value";
  return new PipelineError(
    "config_invalid",
    `Cannot use "${path}": expected observations${range}, got ${got} (${rows_lost} bad rows, ${cells_lost} bad cells)`,
    { context: { path } },
  );
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
