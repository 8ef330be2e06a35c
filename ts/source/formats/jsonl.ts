// JSON Lines (one object a line) as cells by field name. Blank lines are skipped, as between appended files.

import type { Readable } from "node:stream";
import { badLine } from "./cells.ts";
import type { Located } from "./csv.ts";
import { linesOf, RecordLengths, type TextLine } from "./lines.ts";

/** Longest line: a file that is not JSON Lines must not be read into memory whole. */
const LINE_CHARACTERS_MAX = 1 << 20;

export async function* jsonCells(stream: Readable): AsyncGenerator<readonly Located[]> {
  const lengths = new RecordLengths();
  for await (const { first, texts } of linesOf(stream, LINE_CHARACTERS_MAX)) {
    const located: Located[] = [];
    for (let i = 0; i < texts.length; i++) {
      const text = texts[i]!;
      if (typeof text === "string" && text.trim() === "") continue;
      const record = parseLine(first + i, text, lengths);
      located.push(record);
      if (record.cells !== null) lengths.add(String(text));
    }
    if (located.length > 0) yield located;
  }
}

function parseLine(line: number, text: TextLine, lengths: RecordLengths): Located {
  const refused = (reason: string, rows = 1): Located => ({ line, cells: null, bad: badLine(reason, rows) });
  if (typeof text === "number")
    return refused(`expected at most ${LINE_CHARACTERS_MAX} characters in a line`, lengths.rowsIn(text));
  const value = parsed(text.trim());
  if (typeof value === "object" && value !== null && !Array.isArray(value))
    return { line, cells: value as Record<string, unknown>, bad: null };
  // Several in one line: a line that was cut takes the end from the one behind it, and a list holds all it holds.
  const objects = text.match(/\{\s*"/g)?.length ?? 0;
  return refused(value === undefined ? "expected JSON" : "expected a JSON object", Math.max(1, objects));
}

/** Strings, and what stands behind a colon and is no JSON: `NaN`, `nan`, `None`, `NA`, `+1.5`, `.5`. */
const STRING_OR_WORD = /"(?:[^"\\]|\\.)*"|(?<=:\s*)[^\s"{}[\],:]+(?=\s*[,}])/g;
/** What JSON has behind a colon beside strings, lists and objects. */
const JSON_WORD = /^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)$/;

/** Undefined for what is no JSON. A word that is none becomes a text, so that it costs its cell and not its row. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    const mended = text.replace(STRING_OR_WORD, (found) =>
      found.startsWith('"') || JSON_WORD.test(found) ? found : `"${found}"`,
    );
    if (mended === text) return undefined;
    try {
      return JSON.parse(mended);
    } catch {
      return undefined;
    }
  }
}
