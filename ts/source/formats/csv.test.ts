import { Readable } from "node:stream";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { csvRecords } from "./csv.ts";

async function read(chunks: readonly Buffer[]) {
  const found: (readonly string[] | null)[] = [];
  const lines: number[] = [];
  for await (const records of csvRecords(Readable.from(chunks)))
    for (const { line, cells } of records) {
      found.push(cells);
      lines.push(line);
    }
  return { found, lines };
}

describe("csvRecords()", () => {
  it("finds the same records and lines wherever its stream is cut", async () => {
    // Between CR and LF, inside a letter, inside a cell of several lines, behind a stray quote.
    const line = fc.constantFrom(
      { text: "Zürich,1,2", cells: ["Zürich", "1", "2"] },
      { text: '"a ""b"", c",1,2', cells: ['a "b", c', "1", "2"] },
      { text: '"two\nlines",1,2', cells: ["two\nlines", "1", "2"] },
      { text: '"東京\r\n\n\rend",1,2', cells: ["東京\n\n\nend", "1", "2"] },
      { text: '"stray,1,2', cells: null },
      { text: 'stray,"1,2', cells: null },
      { text: "", cells: undefined },
    );
    const end = fc.constantFrom("\n", "\r\n", "\r");
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(line, end), { maxLength: 30 }),
        fc.array(fc.nat(), { maxLength: 20 }),
        async (lines, places) => {
          const text = `h,i,j\n${lines.map(([{ text }, ends]) => text + ends).join("")}last,1,2`;
          const bytes = Buffer.from(text);
          const cuts = [...new Set([0, ...places.map((n) => n % bytes.length), bytes.length])].sort(
            (a, b) => a - b,
          );
          const { found, lines: numbers } = await read(
            cuts.slice(1).map((to, i) => bytes.subarray(cuts[i], to)),
          );
          expect(found).toEqual([
            ["h", "i", "j"],
            ...lines.flatMap(([{ cells }]) => (cells === undefined ? [] : [cells])),
            ["last", "1", "2"],
          ]);
          expect(numbers.at(-1)).toBe(text.replace(/\r\n?/g, "\n").split("\n").length);
        },
      ),
      { numRuns: 200 },
    );
  });
});
