// Observations of every format: one table of examples, read here and by jobs/pyspark/tests/test_formats.py.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { PipelineError } from "./errors.ts";
import { definitionOf, schemaIn } from "./format.ts";
import { observationEncoder, WireDecoder } from "./wire.ts";

const root = join(import.meta.dirname, "..", "..");
const schemas = join(root, "schemas");
// The contract the examples are of, as it was when they were written: the pipeline's own may gain fields.
const AVRO = readFileSync(join(schemas, "formats", "weather_observation.avsc"), "utf8");
const OBSERVATION = JSON.stringify(JSON.parse(AVRO));

interface Example {
  readonly format: "json" | "protobuf";
  readonly name: string;
  readonly why: string;
  readonly frame?: string;
  readonly text?: string;
  readonly hex?: string;
  readonly reason: string | null;
  readonly record: Record<string, string | number | boolean | null> | null;
}

const examplesOf = (record: string) =>
  JSON.parse(readFileSync(join(schemas, "formats", `${record}.json`), "utf8")) as readonly Example[];
const EXAMPLES = examplesOf("weather_observation");

function bytesOf({ frame = "", text = "", hex = "" }: Example): Buffer {
  return Buffer.concat([Buffer.from(frame, "hex"), Buffer.from(text), Buffer.from(hex, "hex")]);
}

const named = (format: string, name: string): Example =>
  EXAMPLES.find((example) => example.format === format && example.name === name)!;

describe.each(["json", "protobuf"] as const)("%s", (format) => {
  const schema = schemaIn(format, OBSERVATION);
  const decoder = new WireDecoder(definitionOf(schema), async (id) => (id === 7 ? schema : null));

  it.each(EXAMPLES.filter((example) => example.format === format))("$name: $why", async (example) => {
    const decoded = await decoder.decode(bytesOf(example));
    if (example.record !== null) expect(decoded).toMatchObject({ ok: true, record: example.record });
    else expect(decoded).toMatchObject({ ok: false, reason: example.reason });
  });

  it("writes what the table holds, byte for byte", () => {
    const encode = observationEncoder(format, OBSERVATION, 7);
    for (const name of ["full", "silent-sensors", "extremes"]) {
      const example = named(format, name);
      const written = encode(example.record!);
      if (format === "protobuf") expect(written.toString("hex")).toBe(bytesOf(example).toString("hex"));
      // JSON has more than one word for a number.
      else expect(JSON.parse(written.subarray(5).toString())).toEqual(JSON.parse(example.text!));
    }
  });

  it("refuses to write what Avro refuses, naming the field", () => {
    const encode = observationEncoder(format, OBSERVATION, 7);
    const { record } = named(format, "full");
    for (const [field, value] of [
      ["timestamp", 1.5],
      ["station_id", 42],
      ["temperature", "3.1"],
      ["humidity", true],
      ["rain", 1],
    ] as const)
      expect(() => encode({ ...record, [field]: value })).toThrow(new RegExp(field));
  });

  it("is registered with the contract it was made from", () =>
    expect(definitionOf(schema)).toEqual({ format, avro: OBSERVATION }));
});

describe.each(["json", "protobuf"] as const)("attributes in %s", (format) => {
  const works = readFileSync(join(root, "ts/test/pipelines/works/works_notice.avsc"), "utf8");
  const avro = JSON.stringify(JSON.parse(works));
  const schema = schemaIn(format, avro);
  const decoder = new WireDecoder(definitionOf(schema), async (id) => (id === 7 ? schema : null));
  const examples = examplesOf("works_notice").filter((example) => example.format === format);

  it.each(examples)("$name: $why", async (example) => {
    const decoded = await decoder.decode(bytesOf(example));
    if (example.record !== null) expect(decoded).toMatchObject({ ok: true, record: example.record });
    else expect(decoded).toMatchObject({ ok: false, reason: example.reason });
  });

  it("come back as they were written", async () => {
    const { record } = examples.find(({ name }) => name === "full")!;
    const written = observationEncoder(format, avro, 7)(record!);
    expect(await decoder.decode(written)).toEqual({ ok: true, schema_id: 7, record });
  });
});

describe("observationEncoder()", () => {
  it("writes no number JSON has no word for", () => {
    const encode = observationEncoder("json", OBSERVATION, 7);
    const { record } = named("json", "full");
    expect(() => encode({ ...record, temperature: Number.NaN })).toThrow(PipelineError);
  });

  it("writes Avro as it always was", () => {
    const { record } = named("json", "full");
    expect(observationEncoder("avro", OBSERVATION, 7)(record!).toString("hex")).toBe(
      [
        "0000000007106e65772d796f726bc091809f995602cdcccccccccc0840020000000000804e40023333333333eb8f4002",
        "0000000000001040020000000000e07540020000000000000000",
      ].join(""),
    );
  });
});

describe("WireDecoder", () => {
  it("reads each id by its own schema's format, and JSON without a frame only for a stream of JSON", async () => {
    const byId = new Map([
      [1, OBSERVATION],
      [2, schemaIn("json", OBSERVATION)],
      [3, schemaIn("protobuf", OBSERVATION)],
      [4, '{"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}'],
    ]);
    const decoder = new WireDecoder(null, async (id) => byId.get(id) ?? null);
    const { record } = named("json", "full");
    for (const [id, format] of [
      [1, "avro"],
      [2, "json"],
      [3, "protobuf"],
    ] as const)
      expect(await decoder.decode(observationEncoder(format, OBSERVATION, id)(record!))).toEqual({
        ok: true,
        schema_id: id,
        record,
      });
    expect(await decoder.decode(Buffer.from(JSON.stringify(record)))).toMatchObject({
      reason: "bad_framing",
    });
    expect(await decoder.decode(Buffer.from([0, 0, 0, 0, 4, 123, 125]))).toMatchObject({
      reason: "undecodable",
    });
    expect(await decoder.decode(Buffer.from([0, 0, 0, 0, 9]))).toMatchObject({ reason: "unknown_schema" });
  });
});

describe("definitionOf()", () => {
  it("refuses a schema of somebody else's: what its numbers mean is not known", () => {
    expect(() => definitionOf('syntax = "proto3"; message A { string a = 1; }')).toThrow(PipelineError);
    expect(() => definitionOf('{"$schema": "x", "type": "object"}')).toThrow(PipelineError);
  });
});
