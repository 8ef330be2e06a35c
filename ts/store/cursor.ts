// Where a page ends, as opaque text that only the question it belongs to takes back: the key of its last row, and a digest of what
// was asked. A foreign or a forged one is refused, and none can do more than name a place in the order.

import { createHash } from "node:crypto";
import { PipelineError } from "../contract/index.ts";
import { canonicalJson } from "../ground/canonical.ts";

export type Key = readonly (string | number)[];

export interface Cursors {
  write(key: Key): string;
  /** Errors: `config_invalid` for a text that this question has not written. */
  read(cursor: string | null): Key | null;
}

/** Longest cursor: a name of 1,000 characters, each of 4 bytes, in base64, and a little. */
const LENGTH_MAX = 8_000;
const DIGEST = 12;

/** `question`: all that decides which rows there are and in which order, without the limit. `shape`: what its keys are made of. */
export function cursorsOf(question: object, shape: readonly ("string" | "number")[]): Cursors {
  const digest = createHash("sha256").update(canonicalJson(question)).digest("base64url").slice(0, DIGEST);
  return {
    write: (key) => `${digest}${Buffer.from(JSON.stringify(key)).toString("base64url")}`,
    read(cursor) {
      if (cursor === null) return null;
      const key =
        cursor.length <= LENGTH_MAX && cursor.startsWith(digest) ? keyIn(cursor.slice(DIGEST)) : null;
      const fits =
        key !== null &&
        key.length === shape.length &&
        key.every(
          (part, i) =>
            typeof part === shape[i] &&
            (typeof part === "number" ? Number.isSafeInteger(part) : !(part as string).includes("\0")),
        );
      if (fits) return key as Key;
      throw new PipelineError(
        "config_invalid",
        "Cannot use the cursor: expected one that the same question handed out, with the same range, order and filters",
      );
    },
  };
}

function keyIn(text: string): readonly unknown[] | null {
  try {
    const key: unknown = JSON.parse(Buffer.from(text, "base64url").toString("utf8"));
    return Array.isArray(key) ? key : null;
  } catch {
    return null;
  }
}
