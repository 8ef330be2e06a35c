// What may stand in a field that is no measurement: text, a word of a list, yes or no, a whole number, a day. The rules are stated in
// the schema, here read and judged; spark_jobs/windows/attributes.py and the oracle judge by the same ones, and
// schemas/acceptance.json holds examples for all three.

import { type FieldShape, type Shape, shapeWord } from "./schema.ts";

export type AttributeKind = "string" | "enum" | "boolean" | "integer" | "date";

export interface Attribute {
  readonly kind: AttributeKind;
  /** A record without an accepted value for it is refused as a whole; for any other the value alone is. */
  readonly required: boolean;
  /** Of an enum: its words. */
  readonly symbols: readonly string[] | null;
  /** Of an integer, and of a date in days since 1970-01-01: inclusive ends. */
  readonly range: readonly [number, number] | null;
  /** Of a string, in code points. */
  readonly max_length: number | null;
  /** Of a string: a regular expression that all of it matches. */
  readonly pattern: string | null;
}

/** Text is for people: what is longer is no note but a document, and every copy of it costs. */
export const MAX_LENGTH = 1_000;
const INT: readonly [number, number] = [-(2 ** 31), 2 ** 31 - 1];
/** Whole numbers that are numbers in TypeScript on the wire (avro.ts). */
const LONG: readonly [number, number] = [1 - 2 ** 52, 2 ** 52 - 1];
/** The years 1 to 9999, in days since 1970-01-01: as far as the engines' calendars go. */
const DATES: readonly [number, number] = [-719_162, 2_932_896];
const DAY_MS = 86_400_000;

/** What the engines' regular expressions (JavaScript, Java, Python) read alike: no dot, no class by letter, no look-around. */
const PORTABLE =
  /^(?:[A-Za-z0-9 _:;,@#%&/<>"'~!-]|\\[\\.^$|?*+()[\]{}/-]|\[\^?(?:[^\\[\]&~|-]|[^\\[\]&~|-]-[^\\[\]&~|-]|\\[\\\]^-])+\]|\((?!\?)|[)|*+?]|\{\d+(?:,\d*)?\})+$/;

export function isPortable(pattern: string): boolean {
  if (!PORTABLE.test(pattern)) return false;
  try {
    new RegExp(pattern, "u");
    return true;
  } catch {
    return false;
  }
}

/** The day of a text as in `2024-02-29`, in days since 1970-01-01; null for a text that is none. */
export function dayOf(text: string): number | null {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return null;
  const at_ms = Date.parse(`${text}T00:00:00Z`);
  // A day that does not exist is none; some engines roll it over.
  return Number.isFinite(at_ms) && dateText(at_ms / DAY_MS) === text ? at_ms / DAY_MS : null;
}

/** `2024-02-29` of days since 1970-01-01. */
export function dateText(days: number): string {
  return new Date(days * DAY_MS).toISOString().slice(0, 10);
}

/**
 * The rules of a field by its shape, each with its default where the schema says none; or what is wrong with them, in words:
 * what was wanted, what was seen.
 */
export function attributeOf({
  shape,
  range,
  max_length,
  pattern,
}: Pick<FieldShape, "shape" | "range" | "max_length" | "pattern">): Attribute | readonly [string, string] {
  const required = shape.kind !== "nullable";
  const inner: Shape = shape.kind === "nullable" ? shape.of : shape;
  const none = { required, symbols: null, range: null, max_length: null, pattern: null };
  const text = inner.kind === "string";
  if ((max_length !== null || pattern !== null) && !text)
    return ["max_length and pattern on a string only", `them on a ${inner.kind}`];
  const whole = inner.kind === "int" || inner.kind === "long";
  if (range !== null && !whole && inner.kind !== "date")
    return ["a range on a whole number or a date only", `one on a ${inner.kind}`];
  switch (inner.kind) {
    case "string":
      return { ...none, kind: "string", max_length: max_length ?? MAX_LENGTH, pattern };
    case "enum":
      return { ...none, kind: "enum", symbols: inner.symbols };
    case "boolean":
      return { ...none, kind: "boolean" };
    case "int":
      return within(range, INT) ?? { ...none, kind: "integer", range: range ?? INT };
    case "date":
      return within(range, DATES) ?? { ...none, kind: "date", range: range ?? DATES };
    case "long":
      if (!inner.wide) return within(range, LONG) ?? { ...none, kind: "integer", range: range ?? LONG };
  }
  return ["a string, an enum, a boolean, an int, a long or a date, nullable or not", shapeWord(shape)];
}

/** What is wrong with a range that reaches beyond what the type holds; null for one that does not. */
function within(
  range: Attribute["range"],
  [low, high]: readonly [number, number],
): readonly [string, string] | null {
  if (range === null || (low <= range[0] && range[1] <= high)) return null;
  return [`a range within [${low}, ${high}]`, JSON.stringify(range)];
}

/**
 * Why a value is not accepted, in words: what was expected, what was seen; null for one that is. A value that is not there is
 * accepted where it is not required.
 */
export function unaccepted(rules: Attribute, value: unknown): string | null {
  const { kind, required, symbols, range, max_length, pattern } = rules;
  if (value === null || value === undefined) return required ? "expected a value, got nothing" : null;
  const seen = typeof value === "string" ? JSON.stringify(shortened(value)) : String(value);
  switch (kind) {
    case "boolean":
      return typeof value === "boolean" ? null : `expected true or false, got ${seen}`;
    case "enum":
      return symbols!.includes(value as string)
        ? null
        : `expected one of ${symbols!.join(", ")}, got ${seen}`;
    case "integer":
    case "date": {
      const [low, high] = range!;
      const [from, to] = kind === "date" ? [dateText(low), dateText(high)] : [low, high];
      if (typeof value === "number" && Number.isInteger(value) && low <= value && value <= high) return null;
      const days = kind === "date" && typeof value === "number" ? ` (days since 1970-01-01)` : "";
      return `expected ${kind === "date" ? "a day" : "a whole number"} from ${from} to ${to}, got ${seen}${days}`;
    }
    case "string": {
      if (typeof value !== "string") return `expected text, got ${seen}`;
      // By code points, as the engines count.
      const length = value.length <= max_length! ? value.length : [...value].length;
      if (length > max_length!) return `expected at most ${max_length} characters, got ${length}`;
      return pattern === null || new RegExp(`^(?:${pattern})$`, "u").test(value)
        ? null
        : `expected text like ${pattern}, got ${seen}`;
    }
  }
}

function shortened(text: string): string {
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
