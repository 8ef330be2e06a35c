// Where a replay stands, as the token of its cursor. Only this file reads and writes it.

import { PipelineError } from "../../contract/index.ts";

export interface Position {
  /** How often a looping replay has begun its input again, from 0. */
  readonly pass: number;
  /** Rows of the pass already sent. */
  readonly position: number;
  /** Of the input as it was read (Input.fingerprint). */
  readonly fingerprint: string;
  /** Station and time of the last row sent, hashed, in the input's own time (sample.ts); null for one of before. */
  readonly last: number | null;
  /** Some of the observations sent (sample.ts); empty for one written before there were samples. */
  readonly sample: readonly number[];
}

export function tokenOf({ pass, position, fingerprint, last, sample }: Position): string {
  return JSON.stringify({ pass, position, fingerprint, last, sample });
}

/** Errors: `config_invalid` for a token that no replay wrote. */
export function positionOf(token: string): Position {
  try {
    const { pass, position, fingerprint, last = null, sample = [] } = JSON.parse(token) as Partial<Position>;
    if (Number.isInteger(pass) && Number.isInteger(position) && typeof fingerprint === "string")
      return { pass: pass!, position: position!, fingerprint, last, sample };
  } catch {
    // Said below.
  }
  throw new PipelineError(
    "config_invalid",
    `Cannot read a cursor: expected the position of a replay, got "${token.slice(0, 80)}"; a newer version wrote it, or give another "--source"`,
  );
}
