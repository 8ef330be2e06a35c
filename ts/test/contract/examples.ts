// The examples of schemas/avro/examples as values and bytes: what examples.test.ts judges, and what golden.write.ts brings up
// to date when a contract has changed. jobs/pyspark/tests/test_contract.py reads the same files in Python.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { encoder, parseRecord, type Shape } from "../../contract/index.ts";
import { pipelineOf, SCHEMA_NAMES, schemaOf } from "../../pipelines/index.ts";

export const EXAMPLES = join(import.meta.dirname, "..", "..", "..", "schemas", "avro", "examples");
/** The id in every example's frame. */
export const SCHEMA_ID = 7;
/** Digits in a line of hex. */
const LINE = 96;

type Value = Record<string, unknown>;

/** Every record that goes through a topic of the weather. */
export const records = SCHEMA_NAMES.map((name) => {
  const schema = schemaOf(pipelineOf("weather").contract, name);
  return { schema, shape: parseRecord(schema, name) as Extract<Shape, { kind: "record" }> };
});

/** Names of a record's examples. */
export const examplesOf = (record: string, folder: "accepted" | "rejected", ending = ".json"): string[] =>
  readdirSync(join(EXAMPLES, record, folder))
    .filter((name) => name.endsWith(ending))
    .map((name) => name.slice(0, -ending.length))
    .sort();

const path = (record: string, name: string) => join(EXAMPLES, record, name);

/** An accepted example, as its file has it. */
const acceptedJson = (record: string, name: string) =>
  parsed(readFileSync(path(record, `accepted/${name}.json`), "utf8")) as Value;

/** An accepted example as a record of ours. */
export const accepted = (shape: Shape & { readonly name: string }, name: string): Value =>
  native(shape, acceptedJson(shape.name, name)) as Value;

/** The bytes an accepted example must have. */
export const acceptedBytes = (record: string, name: string): Buffer =>
  Buffer.from(readFileSync(path(record, `accepted/${name}.hex`), "utf8").replaceAll("\n", ""), "hex");

/**
 * A rejected example: bytes that no reader may accept, or a record that no writer may encode. Either stands alone (`hex`), or is
 * an accepted example (`of`) but for what is wrong with it: fields that are `put` or `drop`ped, bytes that are `cut` off or `more`.
 */
export function rejected(
  shape: Shape & { readonly name: string },
  name: string,
): { readonly why: string; readonly bytes: Buffer } | { readonly why: string; readonly record: unknown } {
  const file = parsed(readFileSync(path(shape.name, `rejected/${name}.json`), "utf8")) as {
    readonly why: string;
    readonly hex?: string;
    readonly of?: string;
    readonly put?: Value;
    readonly drop?: readonly string[];
    readonly cut?: bigint;
    readonly more?: string;
  };
  const { why, hex, of = "" } = file;
  if (hex !== undefined) return { why, bytes: Buffer.from(hex, "hex") };
  if (file.put === undefined && file.drop === undefined) {
    const whole = acceptedBytes(shape.name, of);
    const bytes = [
      whole.subarray(0, whole.length - Number(file.cut ?? 0)),
      Buffer.from(file.more ?? "", "hex"),
    ];
    return { why, bytes: Buffer.concat(bytes) };
  }
  const record = acceptedJson(shape.name, of);
  const at = (place: string): [Value, string] => {
    const names = place.split(".");
    const last = names.pop()!;
    return [names.reduce((value, field) => value[field] as Value, record), last];
  };
  for (const [place, value] of Object.entries(file.put ?? {})) {
    const [holder, field] = at(place);
    holder[field] = value;
  }
  for (const place of file.drop ?? []) {
    const [holder, field] = at(place);
    delete holder[field];
  }
  return { why, record: native(shape, record) };
}

/**
 * Brings the accepted examples up to date with the contract: a field that is new in it is null, or 0 where it may not be null,
 * one that is gone is left out, and the bytes follow. What an example says on purpose stays.
 */
export function writeExamples(): void {
  for (const { schema, shape } of records) {
    const encode = encoder(schema, SCHEMA_ID);
    for (const name of examplesOf(shape.name, "accepted")) {
      const before = acceptedJson(shape.name, name);
      const now = Object.fromEntries(
        shape.fields.map((field) => [
          field.name,
          Object.hasOwn(before, field.name)
            ? before[field.name]
            : field.shape.kind === "nullable"
              ? null
              : 0n,
        ]),
      );
      const hex = encode(native(shape, now) as Value).toString("hex");
      const lines = hex.match(new RegExp(`.{1,${LINE}}`, "g")) ?? [];
      writeFileSync(path(shape.name, `accepted/${name}.hex`), `${lines.join("\n")}\n`);
      if (Object.keys(now).join() !== Object.keys(before).join())
        writeFileSync(path(shape.name, `accepted/${name}.json`), `${text(now)}\n`);
    }
  }
}

/** JSON with whole numbers as long as they are. */
function text(value: unknown): string {
  const mark = "\u0000";
  return JSON.stringify(value, (_, v: unknown) => (typeof v === "bigint" ? `${mark}${v}` : v), 2).replaceAll(
    /"\\u0000(-?\d+)"/g,
    "$1",
  );
}

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
function parsed(json: string): unknown {
  return JSON.parse(json, (_, value: unknown, context?: { source?: string }) =>
    typeof value === "number" && /^-?\d+$/.test(context?.source ?? "") ? BigInt(context!.source!) : value,
  );
}
