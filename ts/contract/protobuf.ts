// Observations as protobuf: the .proto of a contract, and records to bytes and back.
//
//   | 0 | schema id, big endian | 0 | one message |
//
// The byte before the message is Confluent's message index: the first message of the file. A field's number is its place in
// the contract, from 1; compatibility.ts keeps every field at its place. All fields are `optional`, so that what is not there is
// not taken for a zero.
// The wire is read here and not by a library: those at hand take the wire type of a known field for granted and read one number
// as another, where Spark (protobuf-java) refuses the record (jobs/pyspark/spark_jobs/kit/protobuf_records.py).

import { encoder } from "./avro.ts";
import { bareShape, decodeUtf8, fieldDescription, noRule } from "./json.ts";
import { type FieldShape, parseRecord, pascal, type RecordShape, type Shape } from "./schema.ts";

const TYPES: Readonly<Partial<Record<Shape["kind"], string>>> = {
  string: "string",
  timestamp: "int64",
  long: "int64",
  int: "int32",
  double: "double",
  boolean: "bool",
  // Days since 1970-01-01, as in Avro.
  date: "int32",
};

/** The message index of the first message of a file, as writers put it down: the short form, and the long one. */
export const MESSAGE_INDEXES: readonly Buffer[] = [Buffer.from([0]), Buffer.from([2, 0])];

/** The text of a .proto with one message. Errors: `contract_rejected` for a shape without a rule. */
export function protoFile(avro: string): string {
  const record = parseRecord(avro, "the contract");
  const lines = [
    'syntax = "proto3";',
    "",
    ...(record.namespace === null ? [] : [`package ${record.namespace};`, ""]),
    ...comment(record.doc, ""),
    `message ${pascal(record.name)} {`,
    ...record.fields.flatMap((field, i) => [
      ...comment(field.doc === "" ? "" : fieldDescription(field), "  "),
      `  optional ${typeName(field)} ${field.name} = ${i + 1};`,
    ]),
    "}",
    ...enums(record),
  ];
  return `${lines.join("\n")}\n`;
}

function comment(text: string, indent: string): string[] {
  return text === "" ? [] : [`${indent}// ${text}`];
}

function typeName(field: FieldShape): string {
  const bare = bareShape(field);
  const type = bare.kind === "enum" ? pascal(bare.name) : TYPES[bare.kind];
  if (type === undefined) throw noRule(field, "protobuf");
  return type;
}

/** Symbols count from 1: 0 is what proto3 wants an enum to begin with, and no symbol of the contract. */
function enums(record: RecordShape): string[] {
  return record.fields.flatMap((field) => {
    const bare = bareShape(field);
    if (bare.kind !== "enum") return [];
    const symbol = (word: string) => `${bare.name}_${word}`.toUpperCase();
    return [
      "",
      `enum ${pascal(bare.name)} {`,
      `  ${symbol("unspecified")} = 0;`,
      ...bare.symbols.map((word, i) => `  ${symbol(word)} = ${i + 1};`),
      "}",
    ];
  });
}

const VARINT = 0;
const EIGHT_BYTES = 1;
const LENGTH = 2;
const GROUP = 3;
const END_GROUP = 4;
const FOUR_BYTES = 5;

const wireType = ({ kind }: Shape): number =>
  kind === "double" ? EIGHT_BYTES : kind === "string" ? LENGTH : VARINT;

/** Writes records of a contract without a frame, fields in order of their numbers. Errors: as the Avro encoder's. */
export function protobufWriter(avro: string): (record: object) => Buffer {
  const fields = parseRecord(avro, "the contract").fields.map((field, i) => ({
    name: field.name,
    shape: bareShape(field),
    tag: varint(BigInt(((i + 1) << 3) | wireType(bareShape(field)))),
  }));
  const check = encoder(avro, 0);
  return (record) => {
    check(record);
    const parts: Buffer[] = [];
    for (const { name, shape, tag } of fields) {
      const cell = (record as Record<string, unknown>)[name];
      if (cell !== null && cell !== undefined) parts.push(tag, payload(shape, cell));
    }
    return Buffer.concat(parts);
  };
}

function payload(shape: Shape, cell: unknown): Buffer {
  switch (shape.kind) {
    case "double": {
      const bytes = Buffer.alloc(8);
      bytes.writeDoubleLE(cell as number);
      return bytes;
    }
    case "string": {
      const bytes = Buffer.from(cell as string);
      return Buffer.concat([varint(BigInt(bytes.length)), bytes]);
    }
    case "boolean":
      return varint(cell === true ? 1n : 0n);
    case "enum":
      return varint(BigInt(shape.symbols.indexOf(cell as string) + 1));
    default:
      return varint(BigInt(cell as number | bigint));
  }
}

/** Negative numbers as two's complement in 64 bits: ten bytes. */
function varint(value: bigint): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Buffer.from(bytes);
}

/**
 * Reads one whole message, null for what is not there. Of a field that occurs twice the last counts, fields of unknown numbers
 * are ignored. Throws an Error that says what was wanted and seen.
 */
export function protobufReader(avro: string): (body: Buffer) => Record<string, unknown> {
  const fields = parseRecord(avro, "the contract").fields.map((field) => ({
    name: field.name,
    shape: bareShape(field),
  }));
  return (body) => {
    const record: Record<string, unknown> = Object.fromEntries(fields.map(({ name }) => [name, null]));
    const wire = new Wire(body);
    while (!wire.atEnd) {
      const [number, type] = wire.tag();
      const field = fields[number - 1];
      if (field === undefined) wire.skip(number, type);
      else if (type !== wireType(field.shape))
        throw new Error(`${field.name}: expected wire type ${wireType(field.shape)}, got ${type}`);
      else record[field.name] = value(field.name, field.shape, wire);
    }
    return record;
  };
}

function value(name: string, shape: Shape, wire: Wire): unknown {
  switch (shape.kind) {
    case "double":
      return wire.bytes(8).readDoubleLE();
    case "string":
      return decodeUtf8(wire.bytes(wire.length()));
    case "boolean":
      return wire.varint() !== 0n;
    case "enum": {
      const number = Number(BigInt.asIntN(32, wire.varint()));
      // A number without a symbol stays one, which no rule of an attribute accepts.
      return shape.symbols[number - 1] ?? String(number);
    }
    case "int":
    case "date":
      return Number(BigInt.asIntN(32, wire.varint()));
    default: {
      const number = Number(BigInt.asIntN(64, wire.varint()));
      if (Math.abs(number) >= 2 ** 52) throw new Error(`${name}: a whole number past 2^52`);
      return number;
    }
  }
}

/** Groups within groups, as protobuf-java allows them. */
const DEPTH_MAX = 100;

/** Bytes of a message from front to back. Source: protobuf.dev, "Encoding". */
class Wire {
  readonly #all: Buffer;
  #at = 0;

  constructor(all: Buffer) {
    this.#all = all;
  }

  get atEnd(): boolean {
    return this.#at === this.#all.length;
  }

  bytes(count: number): Buffer {
    if (count > this.#all.length - this.#at)
      throw new Error(`expected ${count} bytes at ${this.#at}, got ${this.#all.length - this.#at}`);
    this.#at += count;
    return this.#all.subarray(this.#at - count, this.#at);
  }

  varint(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.bytes(1)[0]!;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw new Error("expected a number of at most ten bytes");
  }

  length(): number {
    const length = Number(BigInt.asIntN(32, this.varint()));
    if (length < 0) throw new Error(`expected a length, got ${length}`);
    return length;
  }

  /** Number and wire type. */
  tag(): [number, number] {
    const tag = Number(BigInt.asUintN(32, this.varint()));
    if (tag >>> 3 === 0) throw new Error("expected a field number of at least 1, got 0");
    return [tag >>> 3, tag & 7];
  }

  skip(number: number, type: number, depth = 0): void {
    if (type === VARINT) this.varint();
    else if (type === EIGHT_BYTES) this.bytes(8);
    else if (type === LENGTH) this.bytes(this.length());
    else if (type === FOUR_BYTES) this.bytes(4);
    else if (type === GROUP && depth < DEPTH_MAX) {
      for (;;) {
        const [inner, its] = this.tag();
        if (its === END_GROUP && inner === number) return;
        this.skip(inner, its, depth + 1);
      }
    } else throw new Error(`field ${number}: expected a wire type of 0, 1, 2 or 5, got ${type}`);
  }
}
