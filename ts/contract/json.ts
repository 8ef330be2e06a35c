// Observations as JSON text: the JSON Schema of a contract, and records to bytes and back.
//
//   | 0 | schema id, big endian | one JSON object, UTF-8 |     as our own sources write it
//   | one JSON object, UTF-8 |                                as others may: it is taken for the applied contract's
//
// Strict where JSON is loose: text for a number, a fraction for a time or anything behind the object is refused. A date is text
// as in 2024-02-29. Of a field that occurs twice the last counts, and fields the contract does not know are ignored, as Spark reads them
// (jobs/pyspark/spark_jobs/kit/json_records.py). Frames are read in wire.ts.

import { dateText, dayOf } from "./attribute.ts";
import { encoder } from "./avro.ts";
import { PipelineError } from "./errors.ts";
import { type FieldShape, parseRecord, type Shape } from "./schema.ts";

type Json = Readonly<Record<string, unknown>>;

/** Text of bytes; throws for what is no UTF-8. */
const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
export const decodeUtf8 = (bytes: Buffer): string => UTF8.decode(bytes);

/** A field's shape beside null: an absent field and null say the same. */
export function bareShape({ shape }: Pick<FieldShape, "shape">): Shape {
  return shape.kind === "nullable" ? shape.of : shape;
}

const TYPES: Readonly<Partial<Record<Shape["kind"], string>>> = {
  string: "string",
  enum: "string",
  timestamp: "integer",
  long: "integer",
  int: "integer",
  double: "number",
  boolean: "boolean",
  date: "string",
};

/** Draft 7, which every validator knows. Errors: `contract_rejected` for a shape without a rule. */
export function jsonSchema(avro: string): Json {
  const record = parseRecord(avro, "the contract");
  const property = (field: FieldShape): Json => {
    const bare = bareShape(field);
    const type = TYPES[bare.kind];
    if (type === undefined) throw noRule(field, "JSON");
    const nullable = field.shape.kind === "nullable";
    return {
      type: nullable ? [type, "null"] : type,
      ...(bare.kind === "enum" ? { enum: nullable ? [...bare.symbols, null] : bare.symbols } : {}),
      ...(bare.kind === "date" ? { format: "date" } : {}),
      ...(field.doc === "" ? {} : { description: fieldDescription(field) }),
    };
  };
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: record.name,
    ...(record.doc === "" ? {} : { description: record.doc }),
    type: "object",
    properties: Object.fromEntries(record.fields.map((field) => [field.name, property(field)])),
    required: record.fields.filter(({ shape }) => shape.kind !== "nullable").map(({ name }) => name),
  };
}

/** A field's sentence with its unit and range. */
export function fieldDescription({ doc, unit, range }: FieldShape): string {
  const ends = range === null ? "" : ` from ${range[0]} to ${range[1]}`;
  return unit === null ? doc : `${doc} Unit: ${unit}${ends}.`;
}

export function noRule(field: FieldShape, format: string): PipelineError {
  return new PipelineError(
    "contract_rejected",
    `Cannot write field "${field.name}" as ${format}: expected ${Object.keys(TYPES).join(", ")}, got ${bareShape(field).kind}`,
  );
}

/**
 * Writes records of a contract without a frame, fields in contract order. Errors: `contract_rejected` as the Avro encoder's, and
 * for a number JSON has no word for.
 */
export function jsonWriter(avro: string): (record: object) => Buffer {
  const { fields } = parseRecord(avro, "the contract");
  const names = fields.map(({ name }) => name);
  const dates = new Set(fields.filter((field) => bareShape(field).kind === "date").map(({ name }) => name));
  const check = encoder(avro, 0);
  return (record) => {
    check(record);
    const cells = record as Json;
    const odd = names.find((name) => typeof cells[name] === "number" && !Number.isFinite(cells[name]));
    if (odd !== undefined)
      throw new PipelineError(
        "contract_rejected",
        `Cannot encode a record as JSON at ${odd}: expected a finite number, got ${cells[odd]}`,
      );
    const written = (name: string, cell: unknown) =>
      dates.has(name) && cell !== null ? dateText(cell as number) : cell;
    return Buffer.from(
      JSON.stringify(Object.fromEntries(names.map((name) => [name, written(name, cells[name] ?? null)]))),
    );
  };
}

/** A number as it was written: JSON.parse alone does not tell 1 from 1.0. */
class Numeral {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** Reads one whole record, null for what is not there. Throws an Error that says what was wanted and seen. */
export function jsonReader(avro: string): (body: Buffer) => Record<string, unknown> {
  const fields = parseRecord(avro, "the contract").fields.map((field) => ({
    name: field.name,
    shape: bareShape(field),
  }));
  return (body) => {
    const json: unknown = JSON.parse(decodeUtf8(body), (_, value: unknown, context?: { source?: string }) =>
      typeof value === "number" ? new Numeral(context?.source ?? String(value)) : value,
    );
    if (typeof json !== "object" || json === null || Array.isArray(json) || json instanceof Numeral)
      throw new Error("expected one JSON object");
    return Object.fromEntries(
      fields.map(({ name, shape }) => [
        name,
        Object.hasOwn(json, name) ? value(name, shape, (json as Json)[name]) : null,
      ]),
    );
  };
}

function value(name: string, shape: Shape, json: unknown): unknown {
  if (json === null) return null;
  switch (shape.kind) {
    case "boolean":
      if (typeof json === "boolean") return json;
      break;
    // Which words an attribute takes is for its rules to say, as with any other rule of it.
    case "string":
    case "enum":
      if (typeof json === "string") return json;
      break;
    case "date": {
      const day = typeof json === "string" ? dayOf(json) : null;
      if (day !== null) return day;
      break;
    }
    case "double":
      if (json instanceof Numeral) return Number(json.text);
      break;
    case "timestamp":
    case "long":
    case "int":
      // Written without point and exponent, and small enough to be exact here.
      if (json instanceof Numeral && /^-?\d+$/.test(json.text) && Math.abs(Number(json.text)) < 2 ** 52)
        return Number(json.text) + 0;
  }
  const seen = json instanceof Numeral ? json.text : JSON.stringify(json);
  throw new Error(`${name}: expected ${shape.kind}, got ${seen.slice(0, 80)}`);
}
