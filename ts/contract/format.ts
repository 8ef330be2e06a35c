// The formats a stream of observations may have. The observation contract in Avro is the one definition; what a registry holds for
// another format is rendered from it and carries it along, so that whoever reads the registry knows the units as well.
// Pure; knows which text is of which format, and nothing of records.

import { PipelineError } from "./errors.ts";
import { jsonSchema } from "./json.ts";
import { protoFile } from "./protobuf.ts";

export const STREAM_FORMATS = ["avro", "json", "protobuf"] as const;
export type StreamFormat = (typeof STREAM_FORMATS)[number];

/** What a registered schema says. */
export interface SchemaDefinition {
  readonly format: StreamFormat;
  /** The contract it was rendered from, as Avro JSON. */
  readonly avro: string;
}

/** Where a JSON Schema and a .proto keep the contract they were rendered from. */
export const JSON_KEYWORD = "x-avro";
export const PROTO_COMMENT = "// avro: ";

/** What is registered for a contract, given as Avro JSON. Errors: `contract_rejected` for a shape the format has no rule for. */
export function schemaIn(format: StreamFormat, avro: string): string {
  switch (format) {
    case "avro":
      return avro;
    case "json":
      return JSON.stringify({ ...jsonSchema(avro), [JSON_KEYWORD]: JSON.parse(avro) as object });
    case "protobuf":
      return `${PROTO_COMMENT}${avro}\n${protoFile(avro)}`;
  }
}

/** A schema for people to read and to generate code from: with all sentences, without the contract. `origin` says where it is from. */
export function readableSchema(format: "json" | "protobuf", avro: string, origin: string): string {
  if (format === "protobuf") return `// ${origin}\n${protoFile(avro)}`;
  return `${JSON.stringify({ $comment: origin, ...jsonSchema(avro) }, null, 2)}\n`;
}

/**
 * The format of a registered schema and its contract. Errors: `contract_rejected` for a JSON Schema or .proto that was not made
 * from one: what its numbers mean is not known.
 */
export function definitionOf(text: string): SchemaDefinition {
  const kept = text.split("\n").find((line) => line.startsWith(PROTO_COMMENT));
  if (kept !== undefined) return { format: "protobuf", avro: kept.slice(PROTO_COMMENT.length) };
  const json = parsed(text);
  if (json === null || "$schema" in json) {
    const avro = json?.[JSON_KEYWORD];
    if (typeof avro === "object" && avro !== null) return { format: "json", avro: JSON.stringify(avro) };
    throw new PipelineError(
      "contract_rejected",
      `Cannot read a registered schema: expected one that "millrace apply" registered, got "${text.slice(0, 80)}"`,
    );
  }
  return { format: "avro", avro: text };
}

/** Null for text that is no JSON object, such as a .proto. */
function parsed(text: string): Record<string, unknown> | null {
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === "object" && json !== null ? (json as Record<string, unknown>) : {};
  } catch {
    return null;
  }
}
