// JSON in one form whatever the order of its keys, for comparing and hashing. Source: RFC 8785.

import canonicalize from "canonicalize";

/** Keys sorted, no spaces; a key that is undefined is left out, as in JSON. Errors: `TypeError` for what JSON has no form for. */
export function canonicalJson(value: unknown): string {
  const text = canonicalize(value);
  if (text === undefined) throw new TypeError(`No JSON for a value of type ${typeof value}`);
  return text;
}
