// Every record's examples, in TypeScript; jobs/pyspark/tests/test_contract.py reads the same files in Python.
// An accepted one encodes to exactly the bytes of its file and back; a rejected one cannot be encoded, or not decoded.

import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Decoder, encoder, PipelineError } from "../../contract/index.ts";
import { accepted, acceptedBytes, EXAMPLES, examplesOf, records, rejected, SCHEMA_ID } from "./examples.ts";

const avro = join(EXAMPLES, "..");
/** What to do about bytes that are no longer what the contract makes. */
const NEXT = "the contract has changed: make golden, and say in the commit what moved and why";

describe.each(records)("$shape.name", ({ schema, shape }) => {
  const encode = encoder(schema, SCHEMA_ID);
  const decoder = new Decoder(schema, async () => schema);
  const record = shape.name;

  it("has examples of both kinds", () => {
    expect(examplesOf(record, "accepted")).toEqual(examplesOf(record, "accepted", ".hex"));
    expect(examplesOf(record, "accepted").length).toBeGreaterThan(0);
    expect(examplesOf(record, "rejected").length).toBeGreaterThan(2);
  });

  it.each(examplesOf(record, "accepted"))("accepts %s, byte for byte", async (name) => {
    const value = accepted(shape, name);
    const bytes = acceptedBytes(record, name);
    expect(Object.keys(value), NEXT).toEqual(shape.fields.map((field) => field.name));
    expect(encode(value).toString("hex"), NEXT).toBe(bytes.toString("hex"));
    expect(await decoder.decode(bytes)).toEqual({ ok: true, schema_id: SCHEMA_ID, record: value });
  });

  it.each(examplesOf(record, "rejected"))("refuses %s", async (name) => {
    const example = rejected(shape, name);
    expect(example.why).toMatch(/\w/);
    if ("bytes" in example) expect(await decoder.decode(example.bytes)).toMatchObject({ ok: false });
    else expect(() => encode(example.record as object)).toThrow(PipelineError);
  });
});

describe("examples", () => {
  it("exist for every record that goes through a topic, and for nothing else", () =>
    expect(readdirSync(EXAMPLES).sort()).toEqual(
      ["README.md", ...records.map(({ shape }) => shape.name)].sort(),
    ));

  it("cover every hand-written and every derived record of the weather", () => {
    const files = ["records", "generated"].flatMap((folder) => readdirSync(join(avro, folder)));
    const enums = ["error_code.avsc"];
    // The same generator makes those of other domains, from a contract that has no more kinds of fields than this one.
    const others = (file: string) => /^(meters?|city)_/.test(file);
    expect(files.filter((file) => !enums.includes(file) && !others(file)).sort()).toEqual(
      records.map(({ shape }) => `${shape.name}.avsc`).sort(),
    );
  });
});
