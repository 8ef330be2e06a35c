// Bytes of a text file as lines, whatever ends them: LF, CRLF and CR in any mixture. UTF-8, or UTF-16 where the file
// begins with its mark. Under csv.ts and jsonl.ts, which say what a line means.

import type { Readable } from "node:stream";
import { StringDecoder } from "node:string_decoder";

export interface Lines {
  /** Number of the first one; lines count from 1. */
  readonly first: number;
  /** Without their ends. Never empty. */
  readonly texts: readonly TextLine[];
}

/** A line, or how many characters one has that is too long. */
export type TextLine = string | number;

/** How long the lines of a file are that were records: what tells how many rows stand in one that is none. */
export class RecordLengths {
  #characters = 0;
  #count = 0;

  add(line: string): void {
    this.#characters += line.length;
    this.#count++;
  }

  /** Rows that so many characters are worth, at least 1; 1 before the first record. */
  rowsIn(characters: number): number {
    return Math.max(1, Math.round((characters * this.#count) / Math.max(1, this.#characters)));
  }
}

/** All lines of a stream, as many at once as a chunk holds. No more than `characters_max` of a line are held in memory. */
export async function* linesOf(stream: Readable, characters_max: number): AsyncGenerator<Lines> {
  let decoder: StringDecoder | null = null;
  /** What follows the last line end that is certain: a CR may be half of a CRLF. */
  let rest = "";
  let first = 1;
  /** Characters let go of the line that is not at its end yet. */
  let dropped = 0;
  const take = (text: string, last: boolean): Lines | null => {
    const half = !last && text.endsWith("\r");
    const whole = half ? text.slice(0, -1) : text;
    const texts: TextLine[] = (whole.includes("\r") ? whole.replace(/\r\n?/g, "\n") : whole).split("\n");
    rest = last ? "" : (texts.pop() as string) + (half ? "\r" : "");
    if (last && texts.at(-1) === "" && dropped === 0) texts.pop();
    if (texts.length === 0) return null;
    for (let i = 0; i < texts.length; i++) {
      const characters = (texts[i] as string).length + (i === 0 ? dropped : 0);
      if (characters > characters_max) texts[i] = characters;
    }
    dropped = 0;
    first += texts.length;
    return { first: first - texts.length, texts };
  };
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    if (decoder === null) {
      decoder = new StringDecoder(chunk[0] === 0xff && chunk[1] === 0xfe ? "utf16le" : "utf8");
      rest = decoder.write(chunk);
      if (rest.startsWith("\uFEFF")) rest = rest.slice(1);
    } else rest += decoder.write(chunk);
    const lines = take(rest, false);
    if (lines !== null) yield lines;
    if (rest.length > characters_max) {
      dropped += rest.length;
      rest = rest.endsWith("\r") ? "\r" : "";
    }
  }
  const lines = take(rest + (decoder?.end() ?? ""), true);
  if (lines !== null) yield lines;
}
