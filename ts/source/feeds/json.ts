// JSON as feeds answer it: bytes to a value, or a reason that says what came instead. Shared by the feeds; knows none of them.

import { Unusable } from "./feed.ts";

const SHOWN_CHARS = 60;

/** Errors: Unusable for what is no UTF-8 and no JSON. */
export function parseJson(body: Buffer): unknown {
  if (body.length === 0) throw new Unusable("expected JSON, got an empty body");
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(body);
  } catch {
    throw new Unusable("expected JSON in UTF-8, got bytes of another encoding");
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new Unusable(`expected JSON, got ${shownText(text)}`);
  }
}

/** What came in place of JSON, in short. */
function shownText(text: string): string {
  const start = text.trimStart();
  if (start.startsWith("<")) return `a page of HTML or XML that begins ${quoted(start)}`;
  if (/^[[{]/.test(start)) return `JSON that ends in the middle or is broken, beginning ${quoted(start)}`;
  return `a text that begins ${quoted(start)}`;
}

const quoted = (text: string): string =>
  JSON.stringify(text.length > SHOWN_CHARS ? `${text.slice(0, SHOWN_CHARS).replaceAll(/\s+/g, " ")}…` : text);

export type Json = Readonly<Record<string, unknown>>;

export const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The value as an object, empty for anything else: a part that is missing has no values. */
export const objectOf = (value: unknown): Json => (isObject(value) ? value : {});

/** What a provider says is wrong, in its own words; null when it says nothing. */
export function complaintOf(body: Buffer): string | null {
  let value: unknown;
  try {
    value = parseJson(body);
  } catch {
    return null;
  }
  const { reason, detail, message, title } = objectOf(value);
  const text = [reason, detail, message, title].find((word) => typeof word === "string");
  return typeof text === "string" ? text.slice(0, 200) : null;
}
