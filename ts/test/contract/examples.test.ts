// Every record's examples, in TypeScript; jobs/pyspark/tests/test_contract.py reads the same files in Python.
// accepted/x.json encodes to exactly the bytes of accepted/x.hex (made by the other language, id 7) and back.
// rejected/x.json holds a record that cannot be encoded, or bytes that cannot be decoded, and why.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Decoder, encoder, PipelineError, parseRecord, type Shape } from "../../contract/index.ts";
import { pipelineOf, SCHEMA_NAMES, schemaOf } from "../../pipelines/index.ts";

const avro = join(import.meta.dirname, "..", "..", "..", "schemas", "avro");
const SCHEMA_ID = 7;

const { contract } = pipelineOf("weather");
const records = SCHEMA_NAMES.map((name) => {
  const schema = schemaOf(contract, name);
  return { schema, shape: parseRecord(schema, name) };
});

const names = (record: string, folder: string, ending: string) =>
  readdirSync(join(avro, "examples", record, folder))
    .filter((name) => name.endsWith(ending))
    .map((name) => name.slice(0, -ending.length))
    .sort();
const read = (record: string, path: string) => readFileSync(join(avro, "examples", record, path), "utf8");

/** A file's JSON as our records: wide longs as bigint, bytes (code points 0 to 255, as in Avro's JSON) as Buffer. */
function native(shape: Shape, json: unknown): unknown {
  if (json === null || json === undefined) return json;
  if (shape.kind === "nullable") return native(shape.of, json);
  if (shape.kind === "bytes" && typeof json === "string") return Buffer.from(json, "latin1");
  if (shape.kind === "long" && typeof json === "bigint") return shape.wide ? json : Number(json);
  if (shape.kind === "array" && Array.isArray(json)) return json.map((item) => native(shape.items, item));
  if (typeof json === "bigint") return Number(json);
  if (typeof json !== "object") return json;
  const of = (name: string): Shape | undefined =>
    shape.kind === "map"
      ? shape.values
      : shape.kind === "record"
        ? shape.fields.find((field) => field.name === name)?.shape
        : undefined;
  return Object.fromEntries(
    Object.entries(json).map(([name, value]) => [name, native(of(name) ?? { kind: "string" }, value)]),
  );
}

/** Whole numbers by their digits: JSON.parse alone would round the large ones. */
function parsed(text: string): unknown {
  return JSON.parse(text, (_, value: unknown, context?: { source?: string }) =>
    typeof value === "number" && /^-?\d+$/.test(context?.source ?? "") ? BigInt(context!.source!) : value,
  );
}

describe.each(records)("$shape.name", ({ schema, shape }) => {
  const encode = encoder(schema, SCHEMA_ID);
  const decoder = new Decoder(schema, async () => schema);
  const record = shape.name;

  it("has examples of both kinds", () => {
    expect(names(record, "accepted", ".json")).toEqual(names(record, "accepted", ".hex"));
    expect(names(record, "accepted", ".json").length).toBeGreaterThan(0);
    expect(names(record, "rejected", ".json").length).toBeGreaterThan(2);
  });

  it.each(names(record, "accepted", ".json"))("accepts %s, byte for byte", async (name) => {
    const value = native(shape, parsed(read(record, `accepted/${name}.json`))) as object;
    const bytes = Buffer.from(read(record, `accepted/${name}.hex`).replaceAll("\n", ""), "hex");
    expect(encode(value).toString("hex")).toBe(bytes.toString("hex"));
    expect(await decoder.decode(bytes)).toEqual({ ok: true, schema_id: SCHEMA_ID, record: value });
  });

  it.each(names(record, "rejected", ".json"))("refuses %s", async (name) => {
    const file = parsed(read(record, `rejected/${name}.json`)) as {
      why: string;
      record?: unknown;
      hex?: string;
    };
    expect(file.why).toMatch(/\w/);
    if (file.hex === undefined)
      expect(() => encode(native(shape, file.record) as object)).toThrow(PipelineError);
    else expect(await decoder.decode(Buffer.from(file.hex, "hex"))).toMatchObject({ ok: false });
  });
});

describe("examples", () => {
  it("exist for every record that goes through a topic, and for nothing else", () =>
    expect(readdirSync(join(avro, "examples")).sort()).toEqual(
      ["README.md", ...records.map(({ shape }) => shape.name)].sort(),
    ));

  it("cover every hand-written and every derived record of the weather", () => {
    const files = ["records", "generated"].flatMap((folder) => readdirSync(join(avro, folder)));
    const enums = ["error_code.avsc"];
    // The same generator makes those of other domains, from a contract that has no more kinds of fields than this one.
    const others = (file: string) => file.startsWith("meter");
    expect(files.filter((file) => !enums.includes(file) && !others(file)).sort()).toEqual(
      records.map(({ shape }) => `${shape.name}.avsc`).sort(),
    );
  });
});
