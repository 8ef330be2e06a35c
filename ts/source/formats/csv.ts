// Comma-separated files (RFC 4180) as cells by column name. The header's names are the contract's fields.
// Parsing is csv-parse's, some lines at once. This keeps one broken line from taking the lines behind it along: csv-parse goes
// on inside a quote that is never closed, so where a line does not stand alone, this decides whether it is a cell of several
// lines or a stray quote.

import type { Readable } from "node:stream";
import type { Info } from "csv-parse";
import { parse } from "csv-parse/sync";
import { PipelineError } from "../../contract/index.ts";
import { type BadCell, badLine, type Cells } from "./cells.ts";
import { linesOf, RecordLengths, type TextLine } from "./lines.ts";

/** One record with the line it begins on, its cells or what is wrong with it as a whole. */
export interface Located {
  readonly line: number;
  readonly cells: Cells | null;
  readonly bad: BadCell | null;
}

/** A record as it stands; null for lines that are none. */
export interface CsvRecord {
  readonly line: number;
  readonly cells: readonly string[] | null;
  readonly reason: string | null;
  /** Rows that are lost by what is refused, as far as its length tells. */
  readonly rows: number;
}

/** Longest line: a file that is no CSV must not be taken into memory whole. */
const LINE_CHARACTERS_MAX = 1 << 16;
/** Most lines of one record. Names and numbers have one; a quote that is open for longer is a mistake. */
const RECORD_LINES_MAX = 8;
/** Lines parsed at once, and after a stray quote, where the next is near. */
const LINES_AT_ONCE = 1_024;
const LINES_AFTER_STRAY = 16;

const OPTIONS = {
  record_delimiter: "\n",
  relax_column_count: true,
  // A quote inside a cell stays a character of it.
  relax_quotes: true,
  skip_records_with_error: true,
};

/** Lists of records of a stream, never an empty list. Blank lines and lines of nothing but commas are none. */
export async function* csvRecords(stream: Readable): AsyncGenerator<readonly CsvRecord[]> {
  /** Cells of the first record: what a record of the file has. */
  let width: number | null = null;
  /** Lines that may need those behind them. */
  let open: readonly TextLine[] = [];
  const lengths = new RecordLengths();
  const take = (texts: readonly TextLine[], first: number, last: boolean): CsvRecord[] => {
    const records: CsvRecord[] = [];
    const add = (at: number, cells: readonly string[]) => {
      if (cells.every((cell) => cell === "" || cell.trim() === "")) return;
      width ??= cells.length;
      lengths.add(String(texts[at]));
      records.push({ line: first + at, cells, reason: null, rows: 1 });
    };
    const refuse = (at: number, reason: string, rows = 1) =>
      records.push({ line: first + at, cells: null, reason, rows });
    let at = 0;
    let size = LINES_AT_ONCE;
    while (at < texts.length) {
      const text = texts[at]!;
      if (typeof text === "number") {
        refuse(at++, `expected at most ${LINE_CHARACTERS_MAX} characters in a line`, lengths.rowsIn(text));
        continue;
      }
      const long = texts.findIndex((line, i) => i > at && typeof line === "number");
      const limit = long < 0 ? texts.length : long;
      const part = texts.slice(at, Math.min(at + size, limit)) as string[];
      const start = at;
      const stray = readLines(
        part,
        () => width,
        (i, cells) => add(start + i, cells),
      );
      at += stray ?? part.length;
      if (stray === null) size = Math.min(size * 2, LINES_AT_ONCE);
      else if (part.length - stray < RECORD_LINES_MAX && start + part.length < limit) size = RECORD_LINES_MAX;
      else if (part.length - stray < RECORD_LINES_MAX && !last && long < 0) break;
      else {
        refuse(at++, `expected a quote to be closed, on its line or within ${RECORD_LINES_MAX} lines`);
        size = LINES_AFTER_STRAY;
      }
    }
    open = texts.slice(at);
    return records;
  };
  let next = 1;
  for await (const { first, texts } of linesOf(stream, LINE_CHARACTERS_MAX)) {
    const records = take([...open, ...texts], first - open.length, false);
    if (records.length > 0) yield records;
    next = first + texts.length;
  }
  const records = take(open, next - open.length, true);
  if (records.length > 0) yield records;
}

/**
 * Hands on the records of some lines in order. Gives the place of the first line whose quote stays open and which is no cell of
 * several lines; null when there is none.
 */
function readLines(
  lines: readonly string[],
  width: () => number | null,
  onRecord: (at: number, cells: readonly string[]) => void,
): number | null {
  const text = `${lines.join("\n")}\n`;
  const records = parse(text, OPTIONS) as string[][];
  // A line adds at most one record, so as many of both means that each line stands alone.
  if (records.length === lines.length) {
    for (let i = 0; i < records.length; i++) onRecord(i, records[i]!);
    return null;
  }
  let at = 0;
  for (const { record, info } of parse(text, { ...OPTIONS, info: true }) as unknown as {
    record: string[];
    info: Info;
  }[]) {
    const end = info.lines;
    if (end - at > 1 && !isOneRecord(lines.slice(at, end), width())) return at;
    onRecord(at, record);
    at = end;
  }
  return at < lines.length ? at : null;
}

/**
 * Whether lines that a quote holds together are a record, and not rows behind a stray one: few, as wide as the file once it is
 * closed, quoted by the rules, and no line but the last would be a row by itself.
 */
function isOneRecord(lines: readonly string[], width: number | null): boolean {
  if (width === null || lines.length > RECORD_LINES_MAX) return false;
  if (lines.slice(0, -1).some((line) => line.split(",").length >= width)) return false;
  const strict = parse(lines.join("\n"), { ...OPTIONS, relax_quotes: false }) as string[][];
  return strict.length === 1 && strict[0]!.length === width;
}

/** What a header may and must name. */
export interface Columns {
  readonly columns: readonly string[];
  readonly required: readonly string[];
  /** At least one of these; empty for no such wish. */
  readonly some?: readonly string[];
}

/**
 * Records by the header's names. A header that comes again, as where files were put behind each other, holds for what is behind
 * it; one that is no header of the contract costs every row behind it.
 * Errors: `config_invalid` for a first header that lacks a column, has an unknown or a repeated one.
 */
export async function* csvCells(
  stream: Readable,
  file: string,
  wanted: Columns,
): AsyncGenerator<readonly Located[]> {
  let header: readonly string[] | null = null;
  /** What is wrong with the header above, where it is not the first. */
  let unusable: string | null = null;
  for await (const records of csvRecords(stream)) {
    const located: Located[] = [];
    const refuse = (line: number, reason: string, rows: number) =>
      located.push({ line, cells: null, bad: badLine(reason, rows) });
    for (const { line, cells, reason, rows } of records) {
      if (header === null) header = headerOf(cells, reason, file, wanted);
      else if (cells === null) refuse(line, reason!, rows);
      else if (isHeader(cells, wanted)) {
        try {
          header = headerOf(cells, reason, file, wanted);
          unusable = null;
        } catch (error) {
          unusable = `${(error as Error).message} in line ${line}`;
        }
      } else if (unusable !== null) refuse(line, unusable, rows);
      else located.push(named(line, header, cells));
    }
    if (located.length > 0) yield located;
  }
  if (header === null) throw refusedHeader(file, wanted, "an empty file");
}

/** How many rows stand in one line where their ends are none of ours, as in files of records; a few cells too many are one row. */
function rowsIn(cells: number, width: number): number {
  const rows = Math.floor((cells - 1) / Math.max(1, width - 1));
  return rows < RECORD_LINES_MAX ? 1 : rows;
}

function named(line: number, header: readonly string[], values: readonly string[]): Located {
  const width = header.length;
  // Empty cells behind the last column are commas that a spreadsheet leaves. Missing ones may be a row that was cut off.
  if (
    values.length < width ||
    (values.length > width && values.some((cell, i) => i >= width && cell.trim() !== ""))
  ) {
    const reason = `expected ${width} cells, got ${values.length}`;
    return { line, cells: null, bad: badLine(reason, rowsIn(values.length, width)) };
  }
  const cells: Record<string, string> = {};
  for (let i = 0; i < width; i++) cells[header[i]!] = values[i]!;
  return { line, cells, bad: null };
}

/** No row names the columns that every row must have. */
function isHeader(cells: readonly string[], { required }: Columns): boolean {
  if (cells.length < required.length || !required.some((name) => cells.includes(name))) return false;
  const names = cells.map((cell) => cell.trim());
  return required.every((name) => names.includes(name));
}

function refusedHeader(file: string, { columns }: Columns, seen: string): PipelineError {
  return new PipelineError(
    "config_invalid",
    `Cannot read "${file}": expected a header of ${columns.join(", ")}, got ${seen}`,
    { context: { file } },
  );
}

function headerOf(
  cells: readonly string[] | null,
  reason: string | null,
  file: string,
  wanted: Columns,
): readonly string[] {
  const { columns, required, some = [] } = wanted;
  const refused = (seen: string) => refusedHeader(file, wanted, seen);
  if (cells === null) throw refused(`a line that cannot be read (${reason})`);
  const names = cells.map((name) => name.trim());
  while (names.at(-1) === "") names.pop();
  for (const name of names) {
    if (!columns.includes(name)) throw refused(`"${name}"`);
    if (names.indexOf(name) !== names.lastIndexOf(name)) throw refused(`"${name}" twice`);
  }
  for (const name of required) if (!names.includes(name)) throw refused(`none called "${name}"`);
  if (some.length > 0 && !some.some((name) => names.includes(name)))
    throw refused(`none of ${some.join(", ")}`);
  return names;
}
