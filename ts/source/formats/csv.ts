// Comma-separated files (RFC 4180, UTF-8) as cells by column name. The header's names are the contract's fields.
// Parsing is csv-parse's; this gives its records line numbers and our reasons.

import type { Readable } from "node:stream";
import { type CsvError, type Info, parse } from "csv-parse";
import { PipelineError } from "../../contract/index.ts";
import type { BadCell, Cells } from "./cells.ts";

/** One record with the line it ends on, its cells or what is wrong with it as a whole. */
export interface Located {
  readonly line: number;
  readonly cells: Cells | null;
  readonly bad: BadCell | null;
}

/** Longest record: a quote that is never closed must not take the file into memory. */
const RECORD_CHARACTERS_MAX = 1 << 16;

/** Errors: `config_invalid` for a header without the required columns, with unknown or repeated ones. */
export async function* csvRecords(
  stream: Readable,
  file: string,
  fields: readonly string[],
  required: readonly string[],
): AsyncGenerator<Located> {
  const skipped: Located[] = [];
  const parser = stream.pipe(
    parse({
      bom: true,
      info: true,
      relax_column_count: true,
      // A stray quote stays a character of its cell, which then is no number. Refused by the parser, it would swallow
      // every row after it: csv-parse goes on inside the quote.
      relax_quotes: true,
      skip_empty_lines: true,
      skip_records_with_error: true,
      max_record_size: RECORD_CHARACTERS_MAX,
      on_skip: (error: CsvError | undefined) => {
        const line = (error as { lines?: number } | undefined)?.lines ?? 0;
        skipped.push({ line, cells: null, bad: { column: null, reason: reasonOf(error) } });
      },
    }),
  );
  // pipe() does not carry errors along.
  stream.once("error", (error) => parser.destroy(error));
  let header: readonly string[] | null = null;
  for await (const { record, info } of parser as AsyncIterable<{ record: string[]; info: Info }>) {
    yield* skipped.splice(0);
    if (header === null) {
      header = checkedHeader(
        record.map((name) => name.trim()),
        file,
        fields,
        required,
      );
      continue;
    }
    if (record.length !== header.length) {
      const reason = `expected ${header.length} cells, got ${record.length}`;
      yield { line: info.lines, cells: null, bad: { column: null, reason } };
      continue;
    }
    const cells: Record<string, string> = {};
    for (let i = 0; i < header.length; i++) cells[header[i]!] = record[i]!;
    yield { line: info.lines, cells, bad: null };
  }
  yield* skipped.splice(0);
  if (header === null)
    throw new PipelineError(
      "config_invalid",
      `Cannot read "${file}": expected a header line, got an empty file`,
    );
}

function checkedHeader(
  names: readonly string[],
  file: string,
  fields: readonly string[],
  required: readonly string[],
): readonly string[] {
  const refused = (seen: string): PipelineError =>
    new PipelineError(
      "config_invalid",
      `Cannot read "${file}": expected a header of ${fields.join(", ")}, got ${seen}`,
      { context: { file } },
    );
  for (const name of names) {
    if (!fields.includes(name)) throw refused(`"${name}"`);
    if (names.indexOf(name) !== names.lastIndexOf(name)) throw refused(`"${name}" twice`);
  }
  for (const name of required) if (!names.includes(name)) throw refused(`none called "${name}"`);
  return names;
}

const REASONS: Readonly<Record<string, string>> = {
  CSV_MAX_RECORD_SIZE: `expected at most ${RECORD_CHARACTERS_MAX} characters in a record, or a quote to be closed`,
  CSV_QUOTE_NOT_CLOSED: "expected the quote to be closed before the file ends",
};

function reasonOf(error: CsvError | undefined): string {
  return REASONS[error?.code ?? ""] ?? `expected RFC 4180, got ${error?.code ?? "something else"}`;
}
