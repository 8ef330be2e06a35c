// Pieces of an input, spread over all of it: what a certificate streams of a file that is too long to stream whole.
// Between an Input and feed.ts. The first piece begins with the input's first row, the last one ends with its last.

import { createHash } from "node:crypto";
import { effectiveTime, type Input, type Row } from "../row.ts";

export interface Pieces {
  /** Rows of the whole input. */
  readonly total: number;
  /** Rows of the pieces. */
  readonly rows: number;
  /** Oldest and newest event time of the whole input, epoch ms, without what leads its clock; null for an empty one. */
  readonly span: { readonly first_ms: number; readonly last_ms: number } | null;
  readonly input: Input;
}

/** Long enough that windows and late rows of a piece meet each other, many enough to see most of a year's weather. */
const PIECES = 8;

/** Reads the input once. At most `rows_most` rows, in pieces of equal length; all rows where there are no more. */
export async function piecesOf(input: Input, rows_most: number): Promise<Pieces> {
  let total = 0;
  let [first_ms, last_ms] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for await (const rows of input.rows())
    for (const row of rows) {
      first_ms = Math.min(first_ms, effectiveTime(row));
      last_ms = Math.max(last_ms, row.clock);
      total++;
    }
  const span = total === 0 ? null : { first_ms, last_ms };
  if (total <= rows_most) return { total, rows: total, span, input };
  const length = Math.floor(rows_most / PIECES);
  const starts = Array.from({ length: PIECES }, (_, i) => Math.floor((i * (total - length)) / (PIECES - 1)));
  const within = (index: number) => starts.some((start) => index >= start && index < start + length);
  return {
    total,
    rows: length * PIECES,
    span,
    input: {
      name: input.name,
      async fingerprint() {
        return createHash("sha256")
          .update(JSON.stringify([await input.fingerprint(), starts, length]))
          .digest("hex");
      },
      async *rows() {
        let index = 0;
        for await (const rows of input.rows()) {
          const kept = rows.filter(() => within(index++));
          if (kept.length > 0) yield kept;
        }
      },
    },
  };
}

/** The same rows, with a wait before the row of that number: what follows meets a reader that has caught up. */
export function pauseBefore(input: Input, at: number, wait: () => Promise<void>): Input {
  return {
    name: input.name,
    fingerprint: () => input.fingerprint(),
    async *rows(): AsyncGenerator<readonly Row[]> {
      let count = 0;
      for await (const rows of input.rows()) {
        if (count < at && count + rows.length >= at) await wait();
        count += rows.length;
        yield rows;
      }
    },
  };
}
