// Where a polled source stands, as the token of its cursor: the newest event time sent of each key, the calls made, and when it last
// asked. Only this file reads and writes it.

import { PipelineError } from "../../contract/index.ts";
import type { Ledger } from "./quota.ts";

export interface Standpoint {
  /** Newest event time sent, by key. */
  readonly sent: ReadonlyMap<string, number>;
  /** Newest event time of the keys that were forgotten; nothing up to it is sent of a key that is not known. */
  readonly forgotten_ms: number | null;
  readonly ledger: Ledger;
  /** When the last round began, wall time. */
  readonly asked_ms: number | null;
}

export const START: Standpoint = { sent: new Map(), forgotten_ms: null, ledger: [], asked_ms: null };

/** What a token may hold of keys and times: a record of Kafka takes a megabyte. */
const CHARS_MAX = 400_000;
/** Digits of a time, quotes, colon and comma. */
const PER_KEY = 17;

/** Vehicles come and go: beyond the bound the keys that were silent for longest are forgotten. */
export function bounded(standpoint: Standpoint, chars_max = CHARS_MAX): Standpoint {
  let chars = 0;
  for (const key of standpoint.sent.keys()) chars += key.length + PER_KEY;
  if (chars <= chars_max) return standpoint;
  const oldest = [...standpoint.sent].sort(([, a], [, b]) => a - b);
  let { forgotten_ms } = standpoint;
  const kept = new Map(standpoint.sent);
  for (const [key, time] of oldest) {
    // Down to four fifths, so that it is not done again at every round.
    if (chars <= chars_max * 0.8) break;
    kept.delete(key);
    chars -= key.length + PER_KEY;
    forgotten_ms = Math.max(forgotten_ms ?? time, time);
  }
  return { ...standpoint, sent: kept, forgotten_ms };
}

export function tokenOf({ sent, forgotten_ms, ledger, asked_ms }: Standpoint): string {
  return JSON.stringify({ sent: Object.fromEntries(sent), forgotten_ms, ledger, asked_ms });
}

/** Errors: `config_invalid` for a token that no polled source wrote. */
export function standpointOf(token: string): Standpoint {
  try {
    const { sent, forgotten_ms = null, ledger = [], asked_ms = null } = JSON.parse(token);
    if (typeof sent === "object" && sent !== null && Object.values(sent).every(Number.isSafeInteger))
      return { sent: new Map(Object.entries(sent)), forgotten_ms, ledger, asked_ms };
  } catch {
    // Said below.
  }
  throw new PipelineError(
    "config_invalid",
    `Cannot read a cursor: expected where a polled source stands, got "${token.slice(0, 80)}"; a newer version wrote it, or give another "--source"`,
  );
}
