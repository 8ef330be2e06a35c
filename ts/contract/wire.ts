// One decoder and one encoder for observations of any format: what tail, rejects, sources and the supervisor use where a record
// may be one of a stream. Which format a record has is said by the schema its id names; JSON without a frame by its stream.

import { type Decoded, Decoder, encoder, framePrefix, MAGIC, PREFIX_BYTES, schemaIdOf } from "./avro.ts";
import { definitionOf, type SchemaDefinition, type StreamFormat } from "./format.ts";
import { jsonReader, jsonWriter } from "./json.ts";
import { MESSAGE_INDEXES, protobufReader, protobufWriter } from "./protobuf.ts";

/** Framed observations of a contract, given as Avro JSON, under one registry id. Errors: `contract_rejected`. */
export function observationEncoder<T extends object>(
  format: StreamFormat,
  avro: string,
  schema_id: number,
): (record: T) => Buffer {
  const prefix = framePrefix(schema_id);
  switch (format) {
    case "avro":
      return encoder<T>(avro, schema_id);
    case "json": {
      const write = jsonWriter(avro);
      return (record) => Buffer.concat([prefix, write(record)]);
    }
    case "protobuf": {
      const write = protobufWriter(avro);
      return (record) => Buffer.concat([prefix, MESSAGE_INDEXES[0]!, write(record)]);
    }
  }
}

type Cells = Record<string, unknown>;
type Reader = (body: Buffer) => Cells;

/** What JSON without a frame is read by: an applied definition, or what it says itself; null refuses it as `bad_framing`. */
export type Unframed = SchemaDefinition | "any_json" | null;

/** Decodes values of any registered format by the schema each was written with. */
export class WireDecoder {
  readonly #avro: Decoder;
  readonly #schemaById: (id: number) => Promise<string | null>;
  readonly #unframed: Reader | null;
  readonly #readers = new Map<number, Reader | "avro">();

  constructor(unframed: Unframed, schemaById: (id: number) => Promise<string | null>) {
    this.#schemaById = schemaById;
    this.#avro = new Decoder(null, schemaById);
    if (unframed === "any_json") this.#unframed = anyJson;
    else this.#unframed = unframed?.format === "json" ? jsonReader(unframed.avro) : null;
  }

  async decode(value: Buffer | null): Promise<Decoded<Cells>> {
    if (this.#unframed !== null && value !== null && value.length > 0 && value[0] !== MAGIC)
      return outcome(null, this.#unframed, value);
    const schema_id = schemaIdOf(value);
    if (value === null || schema_id === null) return this.#avro.decode(value);
    let reader = this.#readers.get(schema_id);
    if (reader === undefined) {
      const schema = await this.#schemaById(schema_id);
      if (schema === null) return this.#avro.decode(value);
      reader = readerOf(schema);
      this.#readers.set(schema_id, reader);
    }
    if (reader === "avro") return this.#avro.decode(value);
    return outcome(schema_id, reader, value.subarray(PREFIX_BYTES));
  }
}

function anyJson(body: Buffer): Cells {
  const json: unknown = JSON.parse(body.toString("utf8"));
  if (typeof json === "object" && json !== null && !Array.isArray(json)) return json as Cells;
  throw new Error("expected one JSON object");
}

function outcome(schema_id: number | null, reader: Reader, body: Buffer): Decoded<Cells> {
  try {
    return { ok: true, schema_id, record: reader(body) };
  } catch (error) {
    return { ok: false, schema_id, reason: "undecodable", detail: (error as Error).message };
  }
}

function readerOf(schema: string): Reader | "avro" {
  let definition: SchemaDefinition;
  try {
    definition = definitionOf(schema);
  } catch (error) {
    // A schema of somebody else's: its records are shown as what they are, bytes.
    return () => {
      throw error;
    };
  }
  const { format, avro } = definition;
  switch (format) {
    case "avro":
      return "avro";
    case "json":
      return jsonReader(avro);
    case "protobuf":
      return firstMessage(protobufReader(avro));
  }
}

function firstMessage(read: Reader): Reader {
  return (body) => {
    const index = MESSAGE_INDEXES.find((bytes) => body.subarray(0, bytes.length).equals(bytes));
    if (index === undefined)
      throw new Error(`expected the file's first message, got index ${body.subarray(0, 2).toString("hex")}`);
    return read(body.subarray(index.length));
  };
}
