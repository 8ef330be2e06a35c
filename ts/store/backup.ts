// The tables of a pipeline as one file, and back: by COPY, since the embedded programs have no pg_dump. A file is of one moment
// (repeatable read), and is there whole or not at all; so is what a restore makes of it. Gzip around
//
//   | header, a line of JSON |  then for each table  | 4-byte length | bytes of a binary COPY | … | 0 |  | trailer, a line of JSON |
//
// The trailer has the rows of each table and the SHA-256 of everything before it. Offsets are not in it: what they name are places in
// topics, which may be others where it is restored, and a sink that begins without them writes each record that is there already once
// again into its own row, which is none twice.

import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { PassThrough, Readable } from "node:stream";
import { pipeline as stream } from "node:stream/promises";
import { createGunzip, createGzip } from "node:zlib";
import type pg from "pg";
import { from as copyFrom, to as copyTo } from "pg-copy-streams";
import { PipelineError } from "../contract/index.ts";
import { appliedOn, migrate, openClient, type StorePlace, storeError } from "./database.ts";
import { VERSION } from "./migrations/index.ts";

/** All that is kept; `offsets` alone stays behind. Those that others are derived from come first, for whoever reads the file. */
const TABLES = [
  "schemas",
  "entities",
  "features",
  "latest_features",
  "predictions",
  "latest_predictions",
  "anomalies",
  "verifications",
  "rejects",
] as const;
type Table = (typeof TABLES)[number];

const FORMAT = "millrace-store-1";
/** Speed before size: most bytes are measured numbers, which compress by little. */
const LEVEL = 1;
/** Longest line of JSON: names and columns. */
const LINE_BYTES_MAX = 64 * 1024;
/** Longest piece of a COPY. PostgreSQL sends a row at a time, and a row is at most some kilobytes. */
const PIECE_BYTES_MAX = 64 * 1024 * 1024;

interface Header {
  readonly format: string;
  readonly pipeline: string;
  /** Last step of the tables. */
  readonly version: string;
  /** When it was made, wall time, RFC 3339. */
  readonly at: string;
  readonly columns: Readonly<Record<Table, readonly string[]>>;
}

export interface BackupReport {
  readonly pipeline: string;
  readonly version: string;
  readonly at: string;
  readonly rows: Readonly<Record<Table, number>>;
}

const columnsOf = async (client: pg.Client): Promise<Record<Table, string[]>> => {
  const { rows } = await client.query<{ table_name: Table; column_name: string }>(
    `select table_name, column_name from information_schema.columns
       where table_schema = current_schema() and table_name = any($1) order by table_name, ordinal_position`,
    [TABLES],
  );
  const columns = Object.fromEntries(TABLES.map((table) => [table, [] as string[]])) as Record<
    Table,
    string[]
  >;
  for (const { table_name, column_name } of rows) columns[table_name].push(column_name);
  return columns;
};

const quoted = (columns: readonly string[]) => columns.map((column) => `"${column}"`).join(", ");

const lengthOf = (bytes: number): Buffer => {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes);
  return length;
};

function refused(action: string, path: string, wanted: string, seen: string, cause?: unknown): PipelineError {
  return new PipelineError(
    "config_invalid",
    `Cannot ${action} "${path}": expected ${wanted}, got ${seen}`,
    cause === undefined ? {} : { cause },
  );
}

/** Writes the file, by way of one beside it. Errors: `store_unreachable`; `config_invalid` for a file that cannot be written. */
export async function backup(place: StorePlace, path: string, now_ms: number): Promise<BackupReport> {
  const client = await openClient(place);
  const partial = `${path}.partial`;
  try {
    const report = { pipeline: place.names.pipeline, version: VERSION, at: new Date(now_ms).toISOString() };
    await client.query("begin isolation level repeatable read read only");
    const version = await appliedOn(client);
    if (version !== VERSION)
      throw refused(
        "back up",
        path,
        `tables of version ${VERSION}`,
        `${version ?? "none"}; run "millrace store rebuild"`,
      );
    const columns = await columnsOf(client);
    const rows = {} as Record<Table, number>;
    const digest = createHash("sha256");
    async function* content(): AsyncGenerator<Buffer> {
      const seal = (bytes: Buffer) => {
        digest.update(bytes);
        return bytes;
      };
      const header: Header = { format: FORMAT, ...report, columns };
      yield seal(Buffer.from(`${JSON.stringify(header)}\n`));
      for (const table of TABLES) {
        const copy = client.query(
          copyTo(`copy ${table} (${quoted(columns[table])}) to stdout (format binary)`),
        );
        for await (const piece of copy as AsyncIterable<Buffer>) {
          yield seal(lengthOf(piece.length));
          yield seal(piece);
        }
        yield seal(lengthOf(0));
        rows[table] = copy.rowCount;
      }
      yield Buffer.from(`${JSON.stringify({ rows, sha256: digest.digest("hex") })}\n`);
    }
    try {
      await stream(
        Readable.from(content(), { objectMode: false }),
        createGzip({ level: LEVEL }),
        createWriteStream(partial, { mode: 0o600 }),
      );
      const file = await open(partial, "r+");
      await file.sync();
      await file.close();
      await rename(partial, path);
    } catch (cause) {
      if (cause instanceof Error && "syscall" in cause && "path" in cause)
        throw refused(
          "back up into",
          path,
          "a file that can be written",
          String((cause as NodeJS.ErrnoException).code),
          cause,
        );
      throw cause;
    }
    await client.query("commit");
    return { ...report, rows };
  } catch (error) {
    // Where it could not be written it is not there either.
    await rm(partial, { force: true }).catch(() => undefined);
    throw storeError("read the store", place, error);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Takes lines and pieces out of a stream of bytes. */
class Pieces {
  readonly #source: AsyncIterator<Buffer>;
  readonly #digest = createHash("sha256");
  #held: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  get sha256(): string {
    return this.#digest.copy().digest("hex");
  }

  /** So many bytes; null where the stream ends before. */
  async take(length: number): Promise<Buffer | null> {
    while (this.#held.length < length) if (!(await this.#more())) return null;
    return this.#cut(length);
  }

  /** Up to a line's end, without it; null where there is none. `sealed`: whether it counts for the digest. */
  async line(sealed: boolean): Promise<string | null> {
    for (;;) {
      const at = this.#held.indexOf(10);
      if (at >= 0) return this.#cut(at + 1, sealed).toString("utf8", 0, at);
      if (this.#held.length > LINE_BYTES_MAX || !(await this.#more())) return null;
    }
  }

  /** Whether nothing follows. */
  async ended(): Promise<boolean> {
    return this.#held.length === 0 && !(await this.#more());
  }

  async #more(): Promise<boolean> {
    const { value, done } = await this.#source.next();
    if (done) return false;
    this.#held = this.#held.length === 0 ? value : Buffer.concat([this.#held, value]);
    return true;
  }

  #cut(length: number, sealed = true): Buffer {
    const bytes = this.#held.subarray(0, length);
    this.#held = this.#held.subarray(length);
    if (sealed) this.#digest.update(bytes);
    return bytes;
  }
}

export interface RestoreOptions {
  /** Whether rows that are there may go. */
  readonly replace: boolean;
}

/**
 * Puts what a file has in the place of what the tables have, in one transaction. A sink that runs waits, sees that the offsets are
 * gone, and reads its topics from their beginning. Errors: `config_invalid` for no such file, one of another pipeline or version, one
 * that is not whole, and for tables with rows unless they may go; nothing is changed then. `store_unreachable`.
 */
export async function restore(
  place: StorePlace,
  path: string,
  { replace }: RestoreOptions,
): Promise<BackupReport> {
  await migrate(place);
  const client = await openClient(place);
  const bad = (seen: string, cause?: unknown) =>
    refused("restore", path, "a whole backup of a store", seen, cause);
  const file = createReadStream(path);
  const unzipped = createGunzip();
  // Its failure ends the other, whose reader hears of it.
  stream(file, unzipped).catch((error: unknown) => unzipped.destroy(error as Error));
  try {
    const pieces = new Pieces(unzipped);
    const header = parsed<Header>(await pieces.line(true));
    if (header?.format !== FORMAT) throw bad("a file of another kind");
    if (header.pipeline !== place.names.pipeline)
      throw refused(
        "restore",
        path,
        `one of pipeline "${place.names.pipeline}"`,
        `one of "${header.pipeline}"`,
      );
    if (header.version !== VERSION)
      throw refused(
        "restore",
        path,
        `tables of version ${VERSION}`,
        `${header.version}; restore it with the software that wrote it`,
      );
    await client.query("begin");
    // The batch that a writer has in hand is in before this, or it sees that the offsets moved.
    await client.query("lock table offsets in exclusive mode");
    if (!replace) await refuseRows(client, path);
    await client.query(`truncate offsets, ${TABLES.join(", ")}`);
    const rows = {} as Record<Table, number>;
    for (const table of TABLES) {
      const copy = client.query(
        copyFrom(`copy ${table} (${quoted(header.columns[table])}) from stdin (format binary)`),
      );
      await stream(Readable.from(piecesOf(pieces, bad), { objectMode: false }), new PassThrough(), copy);
      rows[table] = copy.rowCount;
    }
    const { sha256 } = pieces;
    const trailer = parsed<{ rows: Record<Table, number>; sha256: string }>(await pieces.line(false));
    if (trailer === null || trailer.sha256 !== sha256)
      throw bad("one whose bytes are not those that were written");
    if (!(await pieces.ended())) throw bad("one with something behind its end");
    for (const table of TABLES)
      if (rows[table] !== trailer.rows[table])
        throw bad(`${rows[table]} rows of ${table} where ${trailer.rows[table]} were written`);
    await client.query("commit");
    // What PostgreSQL knows of empty tables would choose bad plans for full ones.
    await client.query("analyze");
    return { pipeline: header.pipeline, version: header.version, at: header.at, rows };
  } catch (error) {
    if (error instanceof PipelineError) throw error;
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (code === "ENOENT" || code === "EACCES" || code === "EISDIR")
      throw bad(`no file that can be read (${code})`, error);
    if (code.startsWith("Z_") || code.startsWith("22") || code === "ERR_STREAM_PREMATURE_CLOSE")
      throw bad(`one that is cut or broken (${code})`, error);
    throw storeError("restore the store", place, error);
  } finally {
    file.destroy();
    // A connection that is closed rolls back.
    await client.end().catch(() => undefined);
  }
}

async function* piecesOf(pieces: Pieces, bad: (seen: string) => PipelineError): AsyncGenerator<Buffer> {
  for (;;) {
    const head = await pieces.take(4);
    if (head === null) throw bad("one that is cut");
    const length = head.readUInt32BE();
    if (length === 0) return;
    const piece = length > PIECE_BYTES_MAX ? null : await pieces.take(length);
    if (piece === null) throw bad("one that is cut or broken");
    yield piece;
  }
}

async function refuseRows(client: pg.Client, path: string): Promise<void> {
  for (const table of TABLES) {
    const { rows } = await client.query(`select 1 from ${table} limit 1`);
    if (rows.length > 0)
      throw refused("restore", path, "empty tables, or --replace", `rows in ${table}, which would be lost`);
  }
}

function parsed<T>(line: string | null): T | null {
  try {
    return line === null ? null : (JSON.parse(line) as T);
  } catch {
    return null;
  }
}
