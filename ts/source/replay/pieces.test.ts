// Pieces begin and end with the input, keep its order, and are the same each time.

import { expect, it } from "vitest";
import type { Input, Row } from "../row.ts";
import { pauseBefore, piecesOf } from "./pieces.ts";

const input = (count: number): Input => ({
  name: "rows",
  fingerprint: async () => `f${count}`,
  async *rows() {
    for (let i = 0; i < count; i += 7)
      yield Array.from(
        { length: Math.min(7, count - i) },
        (_, j): Row => ({ key: "a", time: i + j, record: {}, clock: i + j }),
      );
  },
});
const times = async ({ rows }: Input) => {
  const found: number[] = [];
  for await (const chunk of rows()) found.push(...chunk.map(({ time }) => time));
  return found;
};

it("piecesOf() takes all of a short input and spreads equal pieces over a long one", async () => {
  const short = await piecesOf(input(80), 80);
  expect(await times(short.input)).toHaveLength(80);
  const long = await piecesOf(input(1_000), 81);
  expect(long).toMatchObject({ total: 1_000, rows: 80, span: { first_ms: 0, last_ms: 999 } });
  const found = await times(long.input);
  expect(found).toHaveLength(80);
  expect([found[0], found[9], found.at(-1)]).toEqual([0, 9, 999]);
  expect(found).toEqual([...found].sort((a, b) => a - b));
  expect(await long.input.fingerprint()).toBe(await (await piecesOf(input(1_000), 81)).input.fingerprint());
  expect(await long.input.fingerprint()).not.toBe(
    await (await piecesOf(input(1_000), 90)).input.fingerprint(),
  );
});

it("piecesOf() says that an input is empty", async () =>
  expect(await piecesOf(input(0), 10)).toMatchObject({ total: 0, rows: 0, span: null }));

it("held() waits once and loses no row", async () => {
  let waits = 0;
  const waiting = pauseBefore(input(30), 15, async () => void waits++);
  expect(await times(waiting)).toHaveLength(30);
  expect(waits).toBe(1);
});
