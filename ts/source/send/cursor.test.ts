import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { pipelineOf } from "../../pipelines/index.ts";
import { fakeKafka } from "../../test/fakes/kafka.ts";
import { type Cursor, cursorCodecOf, readCursor, readCursors } from "./cursor.ts";

const { contract } = pipelineOf("weather");
const before = join(import.meta.dirname, "..", "..", "..", "schemas", "golden", "before");
const json = (path: string) => JSON.parse(readFileSync(join(before, path), "utf8"));
const written: readonly { key: string; value: string }[] = json("topics/cursors.json");
const schemas: Readonly<Record<string, string>> = json("state/default/applied-weather.json").tables.cursors;
const ID = 99;
const codec = cursorCodecOf(contract.schemas.cursors, ID, async (id) =>
  id === ID ? contract.schemas.cursors : (schemas[id] ?? null),
);

describe("cursors of before", () => {
  it("are read as the positions of a replay", async () => {
    const cursors = await Promise.all(written.map(({ value }) => codec.decode(Buffer.from(value, "hex"))));
    const fingerprint = "5d515959582c44c8447c049853c817ed61738dcee039cbe103ac0d460ded5117";
    expect(cursors[1]).toEqual({
      source: "replay-0",
      kind: "replay",
      commits: 0,
      token: JSON.stringify({ pass: 0, position: 6, fingerprint }),
      event_time: Date.parse("2017-01-01T01:00:00Z"),
    });
    expect(cursors.at(-1)).toMatchObject({ source: "reject/weather-raw/2/13/temperature", commits: 0 });
  });
});

describe("readCursor()", () => {
  it("finds the newest of a source among many, of before and of now", async () => {
    const kafka = fakeKafka();
    await kafka.admin.ensure([{ topic: "cursors", partitions: 1, config: {} }]);
    const place = { kafka, cursors_topic: "cursors", cursorCodec: codec };
    const producer = await kafka.producer({ transactional_id: "test" });
    const send = async (records: readonly { key: string; value: Buffer }[]): Promise<void> => {
      const transaction = await producer.begin();
      await transaction.send(records.map((record) => ({ topic: "cursors", ...record })));
      await transaction.commit();
    };
    await send(written.map(({ key, value }) => ({ key, value: Buffer.from(value, "hex") })));
    const busy = (commits: number): Cursor => ({
      source: "busy-0",
      kind: "poll",
      commits,
      token: "any text",
      event_time: null,
    });
    for (let i = 0; i < 50; i++)
      await send(
        Array.from({ length: 100 }, (_, j) => ({
          key: "busy-0",
          value: codec.encode(busy(100 * i + j)),
        })),
      );
    expect(await readCursor(place, "busy-0")).toEqual(busy(4_999));
    expect(await readCursor(place, "replay-0")).toMatchObject({ kind: "replay", commits: 0 });
    expect(await readCursor(place, "nobody-0")).toBeNull();
    expect((await readCursors(place)).map(({ source }) => source).sort()).toEqual([
      "busy-0",
      "reject/weather-raw/2/13/temperature",
      "replay-0",
    ]);
  });
});
