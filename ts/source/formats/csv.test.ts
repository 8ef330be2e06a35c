import { Readable } from "node:stream";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Cells } from "./cells.ts";
import { csvCells, csvRecords } from "./csv.ts";

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

describe("csvCells()", () => {
  const COLUMNS = { columns: ["id", "time", "a", "b"], required: ["id", "time"], some: ["a", "b"] };
  async function cellsOf(text: string): Promise<{ cells: Cells[]; lost: number; reasons: string[] }> {
    const cells: Cells[] = [];
    const reasons: string[] = [];
    let lost = 0;
    for await (const records of csvCells(Readable.from([Buffer.from(text)]), "f.csv", COLUMNS))
      for (const record of records) {
        if (record.cells !== null) cells.push(record.cells);
        if (record.bad === null) continue;
        lost += record.bad.rows ?? 1;
        reasons.push(record.bad.reason);
      }
    return { cells, lost, reasons };
  }

  it("reads by the header that stands above a row: files put behind each other have their columns in another order", async () => {
    const { cells, lost } = await cellsOf(
      "id,time,a,b\nx,1,2,3\n\uFEFFid,time,b,a\nx,2,3,2\nid,time,a,b\nx,3,2,3\n",
    );
    expect(cells).toEqual(["1", "2", "3"].map((time) => ({ id: "x", time, a: "2", b: "3" })));
    expect(lost).toBe(0);
  });

  it("loses the rows behind a header that names other columns, and counts each", async () => {
    const { cells, lost, reasons } = await cellsOf(
      "id,time,a\nx,1,2\nid,time,c\nx,2,2\nx,3,2\nid,time,a\nx,4,2\n",
    );
    expect(cells.map((cell) => cell["time"])).toEqual(["1", "4"]);
    expect([lost, reasons[0]]).toEqual([2, expect.stringContaining('got "c" in line 3')]);
  });

  it.each(["\u2028", "\u0085", "\u001e", "\v", ","])(
    "counts the rows that %j holds in one line",
    async (end) => {
      const row = (i: number) => `x,${i},2,3`;
      const rows = (from: number, count: number) =>
        Array.from({ length: count }, (_, i) => row(1_000 + from + i));
      const { cells, lost } = await cellsOf(`id,time,a,b\n${row(1)}\n${rows(2, 900).join(end)}\n${row(3)}\n`);
      expect(cells).toHaveLength(2);
      expect(lost / 900).toBeCloseTo(1, 0);
      expect(lost).toBeGreaterThan(800);
    },
  );

  it("counts about as many rows as a line holds that is too long to be read", async () => {
    const rows = Array.from({ length: 20_000 }, (_, i) => `x,${10_000 + i},2,3`);
    const { cells, lost } = await cellsOf(
      `id,time,a,b\n${rows.slice(0, 10).join("\n")}\n${rows.join(" ")}\n${rows[0]}\n`,
    );
    expect(cells).toHaveLength(11);
    expect(Math.abs(lost - 20_000)).toBeLessThan(3_000);
  });
});
