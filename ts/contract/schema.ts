// Reads an Avro schema into a closed set of shapes: what Millrace has a rule for, and nothing else.
// The generator, the codec and the change check all stand on it. Refuses every word it does not know, so that a feature of
// Avro that one language would read otherwise never gets in unseen. Knows nothing of pipelines.

import { dayOf, isPortable } from "./attribute.ts";
import { PipelineError } from "./errors.ts";
import { isUnit, UNITS } from "./units.ts";

/** Beside Avro's own: `timestamp` is timestamp-millis, `date` days since 1970-01-01; a `wide` long may pass 2^52 and is a bigint in TypeScript. */
export type Shape =
  | { readonly kind: "boolean" | "int" | "double" | "string" | "bytes" | "timestamp" | "date" }
  | { readonly kind: "long"; readonly wide: boolean }
  | { readonly kind: "enum"; readonly name: string; readonly symbols: readonly string[] }
  | RecordShape
  | { readonly kind: "array"; readonly items: Shape }
  | { readonly kind: "map"; readonly values: Shape }
  | { readonly kind: "nullable"; readonly of: Shape };

export interface RecordShape {
  readonly kind: "record";
  readonly name: string;
  readonly namespace: string | null;
  readonly doc: string;
  readonly fields: readonly FieldShape[];
}

/** The closed roles of an observation's field. Other records have none. */
export const ROLES = ["key", "event_time", "measurement", "circular", "attribute"] as const;
export type Role = (typeof ROLES)[number];

/** What a quantity can be, in the field's unit: inclusive ends, null where it has none. */
export type Support = readonly [number | null, number | null];

export interface FieldShape {
  readonly name: string;
  readonly shape: Shape;
  readonly doc: string;
  readonly quantity: string | null;
  readonly unit: string | null;
  /** What a sensor may say: inclusive on both ends, in the field's unit; of a date, days since 1970-01-01. */
  readonly range: readonly [number, number] | null;
  readonly support: Support | null;
  /** Of a text, in code points. */
  readonly max_length: number | null;
  /** Of a text: a regular expression that all of it matches. */
  readonly pattern: string | null;
  readonly role: Role | null;
  /** Of a direction: the field of what has it, for people and pictures. No calculation reads it. */
  readonly magnitude: string | null;
}

/** `job_progress` → `JobProgress`. */
export function pascal(name: string): string {
  return name
    .split("_")
    .map((part) => part.slice(0, 1).toUpperCase() + part.slice(1))
    .join("");
}

/** `nullable string`: a shape in words, for messages. */
export function shapeWord(shape: Shape): string {
  return shape.kind === "nullable" ? `nullable ${shape.of.kind}` : shape.kind;
}

type Json = Readonly<Record<string, unknown>>;

/** Which keys each construct may carry. A key that is not here is refused by name. */
export const KEYS = {
  record: ["type", "name", "namespace", "doc", "fields"],
  field: [
    "name",
    "type",
    "default",
    "doc",
    "quantity",
    "unit",
    "range",
    "support",
    "max_length",
    "pattern",
    "role",
    "magnitude",
  ],
  enum: ["type", "name", "namespace", "doc", "symbols"],
  array: ["type", "items"],
  map: ["type", "values"],
  primitive: ["type", "logicalType", "wide"],
} as const;

export const PRIMITIVES = ["boolean", "int", "long", "double", "string", "bytes"] as const;

const NAME = /^[a-z][a-z0-9_]*$/;

/**
 * The shape of a record schema. `source` says in messages where the text is from.
 * Errors: `contract_rejected`, naming the place in the schema and the word that has no rule.
 */
export function parseRecord(text: string, source: string): RecordShape {
  const shape = parseSchema(text, source);
  if (shape.kind !== "record") throw refused(source, "the top", "a record", shape.kind);
  return shape;
}

/** Like parseRecord, for any named type. */
export function parseSchema(text: string, source: string): Shape {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new PipelineError("contract_rejected", `Cannot read schema "${source}": expected JSON`, { cause });
  }
  return new Parser(source).shape(json, "the top");
}

class Parser {
  readonly #source: string;
  readonly #named = new Map<string, Shape>();

  constructor(source: string) {
    this.#source = source;
  }

  shape(json: unknown, at: string): Shape {
    if (typeof json === "string") return this.#word(json, at);
    if (Array.isArray(json)) return this.#nullable(json, at);
    const schema = this.#object(json, at);
    const type = schema["type"];
    if (type === "record") return this.#record(schema, at);
    if (type === "enum") return this.#enum(schema, at);
    if (type === "array") {
      this.#keys(schema, "array", at);
      return { kind: "array", items: this.shape(schema["items"], `${at}[]`) };
    }
    if (type === "map") {
      this.#keys(schema, "map", at);
      return { kind: "map", values: this.shape(schema["values"], `${at}{}`) };
    }
    if (typeof type !== "string") throw refused(this.#source, at, "a type by name", JSON.stringify(type));
    this.#keys(schema, "primitive", at);
    const { logicalType, wide } = schema;
    if (logicalType === undefined && wide === undefined) return this.#word(type, at);
    if (type === "long" && logicalType === undefined && wide === true) return { kind: "long", wide: true };
    if (type === "long" && logicalType === "timestamp-millis" && wide === undefined)
      return { kind: "timestamp" };
    if (type === "int" && logicalType === "date" && wide === undefined) return { kind: "date" };
    throw refused(
      this.#source,
      at,
      "timestamp-millis or wide on a long, or date on an int",
      JSON.stringify(schema),
    );
  }

  #word(word: string, at: string): Shape {
    const named = this.#named.get(word);
    if (named) return named;
    if (word === "long") return { kind: "long", wide: false };
    for (const kind of PRIMITIVES) if (kind !== "long" && kind === word) return { kind };
    throw refused(this.#source, at, `one of ${PRIMITIVES.join(", ")} or a name defined above`, `"${word}"`);
  }

  #nullable(union: readonly unknown[], at: string): Shape {
    if (union.length !== 2 || union[0] !== "null")
      throw refused(this.#source, at, 'a union of "null" and one type', JSON.stringify(union));
    const of = this.shape(union[1], at);
    if (of.kind === "nullable") throw refused(this.#source, at, "a plain type beside null", "a union");
    return { kind: "nullable", of };
  }

  #record(schema: Json, at: string): RecordShape {
    this.#keys(schema, "record", at);
    const name = this.#name(schema, at);
    const { fields, namespace } = schema;
    if (!Array.isArray(fields)) throw refused(this.#source, at, "a list of fields", typeof fields);
    const shape: RecordShape = {
      kind: "record",
      name,
      namespace: typeof namespace === "string" ? namespace : null,
      doc: text(schema["doc"]),
      fields: fields.map((field) => this.#field(field, name)),
    };
    const twice = shape.fields.find((field, i) => shape.fields.findIndex((f) => f.name === field.name) < i);
    if (twice) throw refused(this.#source, name, "every field once", `"${twice.name}" twice`);
    return this.#define(name, shape, at);
  }

  #enum(schema: Json, at: string): Shape {
    this.#keys(schema, "enum", at);
    const name = this.#name(schema, at);
    const symbols: unknown = schema["symbols"];
    if (!Array.isArray(symbols) || !symbols.every((s) => typeof s === "string" && NAME.test(s)))
      throw refused(this.#source, name, "symbols in snake_case", JSON.stringify(symbols));
    return this.#define(name, { kind: "enum", name, symbols }, at);
  }

  #field(json: unknown, record: string): FieldShape {
    const schema = this.#object(json, record);
    const name = this.#name(schema, record);
    const at = `${record}.${name}`;
    this.#keys(schema, "field", at);
    const shape = this.shape(schema["type"], at);
    if ("default" in schema && !(shape.kind === "nullable" && schema["default"] === null))
      throw refused(
        this.#source,
        at,
        "no default, or null on a nullable field",
        JSON.stringify(schema["default"]),
      );
    const { unit, quantity, role } = schema;
    if (unit !== undefined && !(typeof unit === "string" && isUnit(unit)))
      throw refused(
        this.#source,
        at,
        `a unit of the table in ts/contract/units.ts (${Object.keys(UNITS).join(", ")}; another is one line there)`,
        JSON.stringify(unit),
      );
    if (quantity !== undefined && !(typeof quantity === "string" && NAME.test(quantity)))
      throw refused(this.#source, at, "a quantity in snake_case", JSON.stringify(quantity));
    const known = ROLES.find((candidate) => candidate === role) ?? null;
    if (role !== undefined && !known)
      throw refused(this.#source, at, `a role of ${ROLES.join(", ")}`, JSON.stringify(role));
    const { magnitude } = schema;
    if (magnitude !== undefined && !(typeof magnitude === "string" && NAME.test(magnitude)))
      throw refused(this.#source, at, "a magnitude that names a field", JSON.stringify(magnitude));
    return {
      name,
      shape,
      doc: text(schema["doc"]),
      quantity: quantity ?? null,
      unit: unit ?? null,
      range: this.#range(schema["range"], shape, at),
      support: this.#support(schema["support"], at),
      max_length: this.#maxLength(schema["max_length"], at),
      pattern: this.#pattern(schema["pattern"], at),
      role: known,
      magnitude: magnitude ?? null,
    };
  }

  #range(json: unknown, shape: Shape, at: string): readonly [number, number] | null {
    if (json === undefined) return null;
    const dates = (shape.kind === "nullable" ? shape.of : shape).kind === "date";
    if (Array.isArray(json) && json.length === 2) {
      const [low, high]: unknown[] = dates ? json.map((end) => dayOf(String(end))) : json;
      if (typeof low === "number" && typeof high === "number" && low < high) return [low, high];
    }
    const wanted = dates ? 'two rising days as in "2024-02-29"' : "two rising numbers";
    throw refused(this.#source, at, `a range of ${wanted}`, JSON.stringify(json));
  }

  #maxLength(json: unknown, at: string): number | null {
    if (json === undefined) return null;
    if (typeof json === "number" && Number.isInteger(json) && json >= 1) return json;
    throw refused(this.#source, at, "a max_length of at least 1", JSON.stringify(json));
  }

  #pattern(json: unknown, at: string): string | null {
    if (json === undefined) return null;
    if (typeof json === "string" && isPortable(json)) return json;
    throw refused(
      this.#source,
      at,
      "a pattern of plain characters, [classes], (groups), | and quantifiers, which every engine reads alike",
      JSON.stringify(json),
    );
  }

  #support(json: unknown, at: string): Support | null {
    if (json === undefined) return null;
    if (Array.isArray(json) && json.length === 2) {
      const [low, high]: unknown[] = json;
      if (typeof low === "number" && (high === null || (typeof high === "number" && low < high)))
        return [low, high];
      if (low === null && typeof high === "number") return [low, high];
    }
    throw refused(
      this.#source,
      at,
      "a support of two rising numbers, or of one and null",
      JSON.stringify(json),
    );
  }

  #define<S extends Shape>(name: string, shape: S, at: string): S {
    if (this.#named.has(name)) throw refused(this.#source, at, "every name defined once", `"${name}" twice`);
    this.#named.set(name, shape);
    return shape;
  }

  #name(schema: Json, at: string): string {
    const name = schema["name"];
    if (typeof name === "string" && NAME.test(name)) return name;
    throw refused(this.#source, at, "a name in snake_case", JSON.stringify(name));
  }

  #object(json: unknown, at: string): Json {
    if (typeof json === "object" && json !== null && !Array.isArray(json)) return json as Json;
    throw refused(this.#source, at, "a type", JSON.stringify(json));
  }

  #keys(schema: Json, construct: keyof typeof KEYS, at: string): void {
    const known: readonly string[] = KEYS[construct];
    const unknown = Object.keys(schema).find((key) => !known.includes(key));
    if (unknown)
      throw refused(this.#source, at, `only ${known.join(", ")} on a ${construct}`, `"${unknown}"`);
  }
}

function text(doc: unknown): string {
  return typeof doc === "string" ? doc : "";
}

function refused(source: string, at: string, wanted: string, seen: string): PipelineError {
  return new PipelineError(
    "contract_rejected",
    `Cannot read schema "${source}" at ${at}: expected ${wanted}, got ${seen}`,
  );
}
