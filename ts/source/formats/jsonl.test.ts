import { Readable } from "node:stream";
import { describe, expect, it } from "vitest";
import { jsonCells } from "./jsonl.ts";

async function read(text: string) {
  const cells: unknown[] = [];
  let lost = 0;
  for await (const records of jsonCells(Readable.from([Buffer.from(text)])))
    for (const record of records)
      if (record.cells === null) lost += record.bad?.rows ?? 1;
      else cells.push(record.cells);
  return { cells, lost };
}

describe("jsonCells()", () => {
  it.each(["NaN", "-NaN", "nan", "None", "NA", "undefined", "-inf", "+1.5", ".5", "007", "0x10"])(
    "makes a text of %s, which is no JSON, so that it costs its cell only",
    async (word) => {
      const text = `{"id": "a, b: NaN", "x": ${word}, "y": [1, -2e3], "z" :${word}}`;
      expect((await read(text)).cells).toEqual([{ id: "a, b: NaN", x: word, y: [1, -2000], z: word }]);
    },
  );

  it.each([
    ['{"id":"a","x":1}{"id":"b","x":2}', 2],
    ['{"id":"a","ti{"id":"b","x":2}', 2],
    ['[{"id":"a"},{"id":"b"},{"id":"c"}]', 3],
    ["nothing", 1],
    ['{"id":', 1],
  ])("counts what is lost with the line %s", async (line, rows) => {
    const { cells, lost } = await read(`{"id":"a"}\n${line}\n{"id":"z"}\n`);
    expect(cells).toHaveLength(2);
    expect(lost).toBe(rows);
  });

  it("counts about as many rows as a line holds that is too long to be read", async () => {
    const row = JSON.stringify({ id: "a".repeat(90) });
    const { cells, lost } = await read(`${row}\n${row.repeat(20_000)}\n${row}\n`);
    expect(cells).toHaveLength(2);
    expect(lost).toBe(20_000);
  });
});
