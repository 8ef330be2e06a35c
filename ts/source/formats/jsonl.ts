// JSON Lines (UTF-8, one object a line) as cells by field name. Blank lines are skipped, as between appended files.

import type { Readable } from "node:stream";
import { StringDecoder } from "node:string_decoder";
import type { Located } from "./csv.ts";

/** Longest line: a file that is not JSON Lines must not be read into memory whole. */
const LINE_CHARACTERS_MAX = 1 << 20;

export async function* jsonRecords(stream: Readable): AsyncGenerator<Located> {
  const decoder = new StringDecoder("utf8");
  let rest = "";
  let line = 0;
  let swallowing = false;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    const lines = (rest + decoder.write(chunk)).split("\n");
    rest = lines.pop()!;
    for (const text of lines) {
      line++;
      if (swallowing) swallowing = false;
      else yield* one(text, line);
    }
    if (rest.length > LINE_CHARACTERS_MAX) {
      if (!swallowing) yield tooLong(line + 1);
      swallowing = true;
      rest = "";
    }
  }
  rest += decoder.end();
  if (!swallowing) yield* one(rest, line + 1);
}

function* one(text: string, line: number): Generator<Located> {
  if (text.trim() === "") return;
  if (text.length > LINE_CHARACTERS_MAX) {
    yield tooLong(line);
    return;
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    yield { line, cells: null, bad: { column: null, reason: "expected JSON" } };
    return;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    yield { line, cells: null, bad: { column: null, reason: "expected a JSON object" } };
    return;
  }
  yield { line, cells: value as Record<string, unknown>, bad: null };
}

function tooLong(line: number): Located {
  const reason = `expected at most ${LINE_CHARACTERS_MAX} characters in a line`;
  return { line, cells: null, bad: { column: null, reason } };
}
