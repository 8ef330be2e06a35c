import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Decoder, encoder, framePrefix, schemaIdOf, toJson } from "./avro.ts";
import { PipelineError } from "./errors.ts";

const READING = JSON.stringify({
  type: "record",
  name: "reading",
  fields: [
    { name: "id", type: "string" },
    { name: "at", type: { type: "long", logicalType: "timestamp-millis" } },
    { name: "value", type: ["null", "double"], default: null },
    { name: "count", type: "int" },
    { name: "versions", type: { type: "array", items: { type: "long", wide: true } } },
    { name: "raw", type: ["null", "bytes"], default: null },
    { name: "by_name", type: { type: "map", values: "double" } },
    { name: "state", type: { type: "enum", name: "state", symbols: ["good", "bad"] } },
  ],
});

const reading = fc.record({
  id: fc.string({ unit: "grapheme" }),
  at: fc.bigInt({ min: 1n - (1n << 52n), max: (1n << 52n) - 1n }).map(Number),
  value: fc.option(fc.double()),
  count: fc.integer(),
  versions: fc.array(fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n })),
  raw: fc.option(fc.uint8Array().map((bytes) => Buffer.from(bytes))),
  by_name: fc.dictionary(
    fc.string({ minLength: 1 }).filter((name) => name !== "__proto__"),
    fc.double(),
  ),
  state: fc.constantFrom("good", "bad"),
});

const simple = { id: "a", at: 1, value: 1.5, count: 2, versions: [], raw: null, by_name: {}, state: "good" };
const known = new Decoder(READING, async (id) => (id === 7 ? READING : null));

describe("encoder() and Decoder", () => {
  it("give back every record, whole numbers of 64 bits and bytes included", async () => {
    const encode = encoder(READING, 7);
    await fc.assert(
      fc.asyncProperty(reading, async (record) => {
        const decoded = await known.decode(encode(record));
        expect(decoded).toEqual({ ok: true, schema_id: 7, record });
      }),
    );
  });

  it("write the frame that Confluent's clients write", () => {
    expect(encoder(READING, 0x01020304)(simple).subarray(0, 5).toString("hex")).toBe("0001020304");
    expect(schemaIdOf(Buffer.concat([framePrefix(4_294_967_295), Buffer.of(1)]))).toBe(4_294_967_295);
  });

  it.each([
    ["an unknown field", { ...simple, rain: 1 }, '"rain"'],
    ["a wrong type", { ...simple, value: "1.5" }, 'value: expected ["null","double"], got "1.5"'],
    ["a missing field", { ...simple, id: undefined }, "id: expected"],
    ["a fraction where a whole number is due", { ...simple, at: 1.5 }, "at: expected"],
    ["a whole number past 2^52", { ...simple, at: -(2 ** 52) }, "at: expected"],
    ["a symbol that is none", { ...simple, state: "odd" }, "state: expected"],
  ])("encode() rejects a record with %s and names it", (_, record, words) => {
    const encode = () => encoder(READING, 7)(record);
    expect(encode).toThrow(PipelineError);
    expect(encode).toThrow(words);
  });

  it("decode() says what is wrong with bytes, as a value", async () => {
    const bytes = encoder(READING, 7)(simple);
    const cases: [Buffer | null, string][] = [
      [null, "bad_framing"],
      [Buffer.alloc(0), "bad_framing"],
      [bytes.subarray(0, 4), "bad_framing"],
      [Buffer.concat([Buffer.of(1), bytes.subarray(1)]), "bad_framing"],
      [Buffer.concat([framePrefix(8), bytes.subarray(5)]), "unknown_schema"],
      [bytes.subarray(0, bytes.length - 1), "undecodable"],
      [Buffer.concat([bytes, Buffer.of(0)]), "undecodable"],
    ];
    for (const [value, reason] of cases)
      expect(await known.decode(value)).toMatchObject({ ok: false, reason });
  });

  it("decode() reads an older writer's record into the reader's, and asks for each id once", async () => {
    const fields = (JSON.parse(READING) as { fields: { name: string }[] }).fields;
    const older = JSON.stringify({
      ...JSON.parse(READING),
      fields: fields.filter((f) => f.name !== "value"),
    });
    let asked = 0;
    const decoder = new Decoder(READING, async () => {
      asked++;
      return older;
    });
    const { value: _, ...rest } = simple;
    const bytes = encoder(older, 3)(rest);
    for (let i = 0; i < 3; i++)
      expect(await decoder.decode(bytes)).toMatchObject({ ok: true, record: { ...rest, value: null } });
    expect(asked).toBe(1);
  });

  it("decode() refuses a whole number that a double cannot hold, rather than rounding it", async () => {
    const wide = JSON.stringify({
      type: "record",
      name: "n",
      fields: [{ name: "n", type: { type: "long", wide: true } }],
    });
    const plain = wide.replace(',"wide":true', "");
    const bytes = encoder(wide, 1)({ n: -(1n << 52n) - 1n });
    expect(await new Decoder(plain, async () => plain).decode(bytes)).toMatchObject({
      reason: "undecodable",
    });
    expect(await new Decoder(wide, async () => plain).decode(bytes)).toMatchObject({
      record: { n: -(1n << 52n) - 1n },
    });
  });

  it("decode() calls a writer whose records can never become the reader's undecodable", async () => {
    const other = JSON.stringify({ type: "record", name: "reading", fields: [{ name: "id", type: "int" }] });
    const decoder = new Decoder(READING, async () => other);
    expect(await decoder.decode(encoder(other, 1)({ id: 1 }))).toMatchObject({ reason: "undecodable" });
  });
});

describe("toJson()", () => {
  it("prints bigints, bytes and NaN so that any JSON reader takes them", () =>
    expect(toJson({ a: 1n << 60n, b: Buffer.from("hi"), c: Number.NaN, d: [null, 1.5] })).toBe(
      '{"a":"1152921504606846976","b":"aGk=","c":null,"d":[null,1.5]}',
    ));
});
