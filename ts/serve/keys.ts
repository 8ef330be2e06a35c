// API keys of a namespace: who may ask a server that other machines reach. The file holds a digest of each; a key itself is shown
// once, where it is made. Keys are random and long, so that a plain SHA-256 of one cannot be turned round.

import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { PipelineError } from "../contract/index.ts";
import { readJson, writeJson } from "../ground/json.ts";
import { type NamespaceSettings, stateDir } from "../settings/settings.ts";

export interface Key {
  /** Eight characters: how it is named in lists and logs. */
  readonly id: string;
  /** For people: who has it. */
  readonly name: string;
  /** SHA-256 of the whole key, hexadecimal. */
  readonly digest: string;
  readonly created_ms: number;
}

/** More than these would be a table of users, which this is not. */
const KEYS_MAX = 1_000;
const NAME = /^[\p{L}\p{N}][\p{L}\p{N} ._@-]{0,63}$/u;
/** `mr_<id>_<secret>`: recognisable where it was committed by mistake. */
const KEY = /^mr_([0-9a-f]{8})_[A-Za-z0-9_-]{43}$/;

const digestOf = (key: string): string => createHash("sha256").update(key).digest("hex");

export const keysPath = (settings: Pick<NamespaceSettings, "home" | "namespace">): string =>
  join(stateDir(settings), "keys.json");

export function readKeys(path: string): readonly Key[] {
  return readJson<readonly Key[]>(path) ?? [];
}

function writeKeys(path: string, keys: readonly Key[]): void {
  writeJson(path, keys);
}

/** Makes a key and resolves it in full. Errors: `config_invalid` for a name that nobody could read, and for too many. */
export function addKey(
  path: string,
  name: string,
  now_ms: number,
): { readonly key: string; readonly id: string } {
  const keys = readKeys(path);
  if (!NAME.test(name))
    throw new PipelineError(
      "config_invalid",
      `Cannot add key "${name.slice(0, 64)}": expected a name of at most 64 letters, digits, blanks and ._@-`,
    );
  if (keys.length >= KEYS_MAX)
    throw new PipelineError(
      "config_invalid",
      `Cannot add key "${name}": expected fewer than ${KEYS_MAX}, revoke some`,
    );
  const id = randomBytes(4).toString("hex");
  const key = `mr_${id}_${randomBytes(32).toString("base64url")}`;
  writeKeys(path, [...keys, { id, name, digest: digestOf(key), created_ms: now_ms }]);
  return { key, id };
}

/** Takes a key away, by its id or its name. Errors: `config_invalid` for one there is not. */
export function revokeKey(path: string, word: string): Key {
  const keys = readKeys(path);
  const gone = keys.find(({ id }) => id === word) ?? keys.find(({ name }) => name === word);
  if (!gone)
    throw new PipelineError(
      "config_invalid",
      `Cannot revoke key "${word.slice(0, 64)}": expected one of ${keys.map(({ id, name }) => `${id} (${name})`).join(", ") || "none, there is no key"}`,
    );
  writeKeys(
    path,
    keys.filter((key) => key !== gone),
  );
  return gone;
}

/** How long a list of keys is good for, wall time: a key that is revoked ends within it. */
const KEEP_MS = 1_000;

/** The keys of a file as a running server asks for them: what changes in it is seen within a second. */
export function keyring(path: string, clock: { nowMs(): number }) {
  let held: {
    readonly at_ms: number;
    readonly stamp: string;
    readonly byId: ReadonlyMap<string, Key>;
  } | null = null;
  const byId = (): ReadonlyMap<string, Key> => {
    const at_ms = clock.nowMs();
    if (held && at_ms - held.at_ms < KEEP_MS) return held.byId;
    const stamp = existsSync(path) ? `${statSync(path).mtimeMs}.${statSync(path).ino}` : "none";
    const known =
      held?.stamp === stamp ? held.byId : new Map(readKeys(path).map((key) => [key.id, key] as const));
    held = { at_ms, stamp, byId: known };
    return known;
  };
  return {
    /** The id of a key that is in force; null for any other text. */
    check(text: string): string | null {
      const id = KEY.exec(text)?.[1];
      const key = id === undefined ? undefined : byId().get(id);
      if (!key) return null;
      return timingSafeEqual(Buffer.from(digestOf(text)), Buffer.from(key.digest)) ? key.id : null;
    },
    has: (id: string): boolean => byId().has(id),
  };
}
export type Keyring = ReturnType<typeof keyring>;
