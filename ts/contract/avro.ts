// Avro values in Confluent framing, to bytes and back:
//
//   | 0 | schema id, big endian | Avro binary |
//     1        4                  rest
//
// The fast path of every TypeScript reader and writer: types are compiled once, a record costs no promise and no look-up.
// Registers nothing and fetches nothing itself: ids and schema texts are handed in.

import avsc from "avsc";
import { PipelineError } from "./errors.ts";

export const MAGIC = 0;
export const PREFIX_BYTES = 5;

/** Compiled types by schema text. As many as there are schemas: a handful a pipeline. */
const types = new Map<string, avsc.Type>();

/**
 * Encodes records of one schema under one registry id. Times and offsets are numbers, wide longs bigints, bytes Buffers.
 * Errors: `contract_rejected` for a record that does not fit, naming the field: an unknown one, a missing one without a
 * default, a wrong type, a whole number past 2^52 where none is foreseen.
 */
export function encoder<T extends object>(schema: string, schema_id: number): (record: T) => Buffer {
  const type = typeOf(schema);
  const prefix = framePrefix(schema_id);
  return (record) => {
    if (!type.isValid(record, STRICT)) throw misfit(type, record);
    return Buffer.concat([prefix, type.toBuffer(record)]);
  };
}

/** What became of the bytes of one record. Bad bytes are an outcome, not an error: they are counted and kept. */
export type Decoded<T> =
  /** The id is null for JSON without a frame alone. */
  | { readonly ok: true; readonly schema_id: number | null; readonly record: T }
  | {
      readonly ok: false;
      /** Null when there is no frame to read it from. */
      readonly schema_id: number | null;
      readonly reason: "bad_framing" | "unknown_schema" | "undecodable";
      readonly detail: string;
    };

type Reader = (body: Buffer) => unknown;

/**
 * Decodes framed values by the schema each was written with, into the reader's record; with `reader` null, into the writer's own.
 * `schemaById` gives Avro JSON, or null for an id the registry does not know; its errors pass through. Each id is asked for once.
 */
export class Decoder<T = Record<string, unknown>> {
  readonly #reader: avsc.Type | null;
  readonly #schemaById: (id: number) => Promise<string | null>;
  readonly #readers = new Map<number, Reader | string>();

  constructor(reader: string | null, schemaById: (id: number) => Promise<string | null>) {
    this.#reader = reader === null ? null : typeOf(reader);
    this.#schemaById = schemaById;
  }

  /** Edges: null and anything shorter than a frame are `bad_framing`; bytes left over behind the record are `undecodable`. */
  async decode(value: Buffer | null): Promise<Decoded<T>> {
    const schema_id = schemaIdOf(value);
    if (value === null || schema_id === null)
      return { ok: false, schema_id, reason: "bad_framing", detail: describeFrame(value) };
    let reader = this.#readers.get(schema_id);
    if (reader === undefined) {
      const schema = await this.#schemaById(schema_id);
      // Not remembered: an id that is unknown today may be registered tomorrow.
      if (schema === null)
        return {
          ok: false,
          schema_id,
          reason: "unknown_schema",
          detail: `no schema has the id ${schema_id}`,
        };
      reader = this.#readerOf(schema);
      this.#readers.set(schema_id, reader);
    }
    if (typeof reader === "string") return { ok: false, schema_id, reason: "undecodable", detail: reader };
    try {
      return { ok: true, schema_id, record: reader(value.subarray(PREFIX_BYTES)) as T };
    } catch (error) {
      return { ok: false, schema_id, reason: "undecodable", detail: (error as Error).message };
    }
  }

  /** A reader of bytes, or the reason why this writer's records can never become the reader's. */
  #readerOf(schema: string): Reader | string {
    try {
      const writer = typeOf(schema);
      if (this.#reader === null || this.#reader === writer)
        return (body) => writer.fromBuffer(body) as unknown;
      const reader = this.#reader;
      const resolver = reader.createResolver(writer);
      return (body) => reader.fromBuffer(body, resolver) as unknown;
    } catch (error) {
      return `the writer's schema cannot be read: ${(error as Error).message}`;
    }
  }
}

/** The id in the frame; null when there is none. */
export function schemaIdOf(value: Buffer | null): number | null {
  if (value === null || value.length < PREFIX_BYTES || value[0] !== MAGIC) return null;
  return value.readUInt32BE(1);
}

/** The five bytes before a value. */
export function framePrefix(schema_id: number): Buffer {
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt8(MAGIC, 0);
  prefix.writeUInt32BE(schema_id, 1);
  return prefix;
}

/** One line of JSON for a person or a pipe: bigints as digits in text, bytes in base64, NaN as null. */
export function toJson(record: unknown): string {
  return JSON.stringify(record, function (this: Record<string, unknown>, key, value: unknown) {
    const raw = this[key];
    if (Buffer.isBuffer(raw)) return raw.toString("base64");
    return typeof value === "bigint" ? value.toString() : value;
  });
}

const STRICT = { noUndeclaredFields: true };

/** A long that may pass 2^52: a bigint on this side. */
const WIDE = avsc.types.LongType.__with({
  fromBuffer: (buffer: Buffer) => buffer.readBigInt64LE(),
  toBuffer: (value: bigint) => {
    const buffer = Buffer.alloc(8);
    buffer.writeBigInt64LE(value);
    return buffer;
  },
  fromJSON: (value: number | string) => BigInt(value),
  toJSON: (value: bigint) => value.toString(),
  isValid: (value: unknown) => typeof value === "bigint" && BigInt.asIntN(64, value) === value,
  compare: (a: bigint, b: bigint) => (a < b ? -1 : a > b ? 1 : 0),
});

/** Exclusive either way: avsc's varint arithmetic is in doubles, and -2^52 - 1 comes back as 2^52. Nothing of ours comes near. */
const LONG_LIMIT = 2 ** 52;

/** A long that is a number on this side: times, offsets, counts. Refuses what avsc would write or read wrongly. */
class NumberLong extends avsc.types.LongType {
  _check(value: unknown, _flags: unknown, hook?: (value: unknown, type: avsc.Type) => void): boolean {
    const fits = Number.isInteger(value) && Math.abs(value as number) < LONG_LIMIT;
    if (!fits) hook?.(value, this);
    return fits;
  }

  _read(tap: { readLong(): number }): number {
    const value = tap.readLong();
    if (Math.abs(value) >= LONG_LIMIT) throw new Error("a whole number past 2^52");
    return value;
  }
}
const LONG = new NumberLong();

function typeOf(schema: string): avsc.Type {
  let type = types.get(schema);
  if (type === undefined) {
    type = avsc.Type.forSchema(JSON.parse(schema) as avsc.Schema, {
      wrapUnions: "never",
      omitRecordMethods: true,
      typeHook: (part) => (isWide(part) ? WIDE : isLong(part) ? LONG : undefined),
    });
    types.set(schema, type);
  }
  return type;
}

function isWide(part: unknown): boolean {
  return typeof part === "object" && part !== null && "wide" in part && part.wide === true;
}

function isLong(part: unknown): boolean {
  return (
    part === "long" || (typeof part === "object" && part !== null && "type" in part && part.type === "long")
  );
}

function misfit(type: avsc.Type, record: unknown): PipelineError {
  let where = "";
  type.isValid(record, {
    ...STRICT,
    errorHook: (path, value, wanted) => {
      where ||= `${path.join(".") || "the record"}: expected ${wantedBy(wanted)}, got ${short(value, wanted)}`;
    },
  });
  return new PipelineError("contract_rejected", `Cannot encode a "${type.name}" at ${where}`);
}

function wantedBy(type: avsc.Type): string {
  return avsc.Type.isType(type, "record") ? "only its own fields" : String(type);
}

function short(value: unknown, wanted: avsc.Type): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? String(value);
  if (!avsc.Type.isType(wanted, "record")) return "an object";
  const known = (wanted as avsc.types.RecordType).fields.map((field) => field.name);
  return `"${Object.keys(value).find((name) => !known.includes(name))}"`;
}

function describeFrame(value: Buffer | null): string {
  if (value === null) return "expected a framed value, got none";
  if (value.length < PREFIX_BYTES) return `expected at least ${PREFIX_BYTES} bytes, got ${value.length}`;
  return `expected magic byte ${MAGIC}, got ${value[0]}`;
}
