// The change check: whether a schema may follow another under the same name. Stricter than the registry, which sees Avro's types
// but not what a number means: a unit, quantity, range, role or rule for text that changes would turn what is stored into a lie.
// A support may come, go and change: it bounds forecasts to come and says nothing of a number that is stored.
// Pure; says what is wrong by field, and leaves asking the registry to whoever applies.

import { PipelineError } from "./errors.ts";
import { definitionOf } from "./format.ts";
import { type FieldShape, parseRecord, type RecordShape, type Shape } from "./schema.ts";

/** One reason why a change is refused. `field` is a path: `confidence.temperature_confidence`. */
export interface Breach {
  readonly field: string;
  readonly reason: string;
}

/**
 * Why `after` may not follow `before`; empty when it may. Allowed: a nullable field more, a symbol more at the end of an
 * enumeration, another doc, another place in the record. In protobuf a field's number is its place: there every field stays at
 * its place and new ones come last, so that no number ever means another field.
 */
export function breaches(before: string, after: string): Breach[] {
  const [was, is] = [definitionOf(before), definitionOf(after)];
  if (was.format !== is.format)
    return [{ field: "the stream", reason: `changes its format: expected ${was.format}, got ${is.format}` }];
  const then = parseRecord(was.avro, "the registered schema");
  const now = parseRecord(is.avro, "the new schema");
  return [...changedRecord(then, now, ""), ...(is.format === "protobuf" ? movedNumbers(then, now) : [])];
}

function movedNumbers(before: RecordShape, after: RecordShape): Breach[] {
  return before.fields.flatMap(({ name }, i) => {
    const place = after.fields.findIndex((field) => field.name === name);
    if (place === i || place < 0) return [];
    return [
      {
        field: name,
        reason: `changes its number: expected ${i + 1}, got ${place + 1}; a new field comes last`,
      },
    ];
  });
}

/** Errors: `contract_rejected`, naming the subject and every field, both values of what changed in the message. */
export function assertCompatible(subject: string, before: string, after: string): void {
  const found = breaches(before, after);
  if (found.length === 0) return;
  const reasons = found.map(({ field, reason }) => `${field} ${reason}`).join("; ");
  throw new PipelineError("contract_rejected", `Cannot change "${subject}": ${reasons}`, {
    context: { subject, fields: found.map(({ field }) => field) },
  });
}

function changedRecord(before: RecordShape, after: RecordShape, at: string): Breach[] {
  const now = new Map(after.fields.map((field) => [field.name, field]));
  const then = new Set(before.fields.map((field) => field.name));
  const found: Breach[] = [];
  for (const field of before.fields) {
    const path = `${at}${field.name}`;
    const successor = now.get(field.name);
    if (successor) found.push(...changedField(field, successor, path));
    else found.push({ field: path, reason: "is gone: expected every field to stay under its name" });
  }
  for (const field of after.fields)
    if (!then.has(field.name) && field.shape.kind !== "nullable")
      found.push({
        field: `${at}${field.name}`,
        reason: `is new and ${word(field.shape)}: expected a nullable one`,
      });
  return found;
}

const MEANINGS = ["unit", "quantity", "role", "range", "max_length", "pattern"] as const;

function changedField(before: FieldShape, after: FieldShape, path: string): Breach[] {
  const found = MEANINGS.flatMap((what) => {
    const [was, is] = [JSON.stringify(before[what]), JSON.stringify(after[what])];
    return was === is ? [] : [{ field: path, reason: `changes its ${what}: expected ${was}, got ${is}` }];
  });
  return [...found, ...changedShape(before.shape, after.shape, path)];
}

function changedShape(before: Shape, after: Shape, path: string): Breach[] {
  if (before.kind === "nullable" && after.kind === "nullable") return changedShape(before.of, after.of, path);
  if (before.kind === "array" && after.kind === "array")
    return changedShape(before.items, after.items, `${path}[]`);
  if (before.kind === "map" && after.kind === "map")
    return changedShape(before.values, after.values, `${path}{}`);
  if (before.kind === "record" && after.kind === "record") return changedRecord(before, after, `${path}.`);
  if (before.kind === "enum" && after.kind === "enum") {
    const kept = before.symbols.every((symbol, i) => after.symbols[i] === symbol);
    return kept ? [] : [{ field: path, reason: `loses or moves a symbol of ${before.symbols.join(", ")}` }];
  }
  if (word(before) === word(after)) return [];
  return [{ field: path, reason: `changes its type: expected ${word(before)}, got ${word(after)}` }];
}

function word(shape: Shape): string {
  if (shape.kind === "nullable") return `nullable ${word(shape.of)}`;
  return shape.kind === "long" && shape.wide ? "wide long" : shape.kind;
}
