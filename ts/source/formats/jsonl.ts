// JSON Lines (one object a line) as cells by field name. Blank lines are skipped, as between appended files.

import type { Readable } from "node:stream";
import type { Located } from "./csv.ts";
import { linesOf } from "./lines.ts";

/** Longest line: a file that is not JSON Lines must not be read into memory whole. */
const LINE_CHARACTERS_MAX = 1 << 20;

export async function* jsonCells(stream: Readable): AsyncGenerator<readonly Located[]> {
  for await (const { first, texts } of linesOf(stream, LINE_CHARACTERS_MAX)) {
    const located: Located[] = [];
    for (let i = 0; i < texts.length; i++) {
      const text = texts[i]!;
      if (text === null || text.trim() !== "") located.push(one(first + i, text));
    }
    if (located.length > 0) yield located;
  }
}

function one(line: number, text: string | null): Located {
  const refused = (reason: string): Located => ({ line, cells: null, bad: { column: null, reason } });
  if (text === null) return refused(`expected at most ${LINE_CHARACTERS_MAX} characters in a line`);
  const value = parsed(text.trim());
  if (value === undefined) return refused("expected JSON");
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return refused("expected a JSON object");
  return { line, cells: value as Record<string, unknown>, bad: null };
}

/** Strings, and the words that are no JSON though Python writes them for numbers that are none. */
const STRING_OR_WORD = /"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b/g;

/** Undefined for what is no JSON. NaN and Infinity become texts, so that they cost their cell and not their row. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    const mended = text.replace(STRING_OR_WORD, (found) => (found.startsWith('"') ? found : `"${found}"`));
    if (mended === text) return undefined;
    try {
      return JSON.parse(mended);
    } catch {
      return undefined;
    }
  }
}
