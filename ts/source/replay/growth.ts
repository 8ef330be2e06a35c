// How a file is known again: by the options it is read with and by its bytes behind gzip, so far as it went when it was
// read. A file that has only grown since is the same file, and whoever read it goes on behind the rows it has.

import type { BadRow, Earlier, Input, Row } from "../row.ts";
import { type Extent, endsLineAt, measure } from "./content.ts";
import { hashRecord } from "./hash.ts";

export interface KnownFile {
  readonly path: string;
  /** Digest of all options that decide which rows come of which bytes. */
  readonly settings: string;
  /** Of the file as it is read now. */
  readonly bytes: number;
  readonly sha256: string;
}

/** A fingerprint of one line: `<settings> <bytes> <sha256>`. */
export function describeKnown({ settings, bytes, sha256 }: KnownFile): string {
  return `${settings} ${bytes} ${sha256}`;
}

const FINGERPRINT = /^(\S+) (\d+) ([0-9a-f]{64})$/;
/** Of before: SHA-256 over options and the file as it lies on disk, whole. */
const FINGERPRINT_OF_WHOLE = /^[0-9a-f]{64}$/;

export interface GrowthOptions {
  /** Whether a record ends with its line, and the file may end before it. */
  readonly lines: boolean;
  /** The file's first bytes as an input of their own; rows that are left out of it are counted by `onLeftOut`. */
  readonly first: (bytes: number, onLeftOut?: () => void) => Input;
  /** As the fingerprint was computed before. */
  readonly fingerprintOfWhole: () => Promise<string>;
  readonly onBad: (bad: BadRow) => void;
}

/** Rows of the file a reader has behind it that stood in an earlier state of it; why that cannot be said, in words. */
export async function goOnIn(
  known: KnownFile,
  earlier: Earlier,
  options: GrowthOptions,
): Promise<number | string> {
  if (FINGERPRINT_OF_WHOLE.test(earlier.fingerprint)) return carryOver(known, earlier, options);
  const [, settings, count, sha256] = FINGERPRINT.exec(earlier.fingerprint) ?? [];
  if (count === undefined) return "one of another kind";
  const bytes = Number(count);
  if (known.bytes < bytes)
    return `one of ${known.bytes} bytes where ${bytes} were read: it was cut, rotated or replaced`;
  const then = await measure(known.path, bytes);
  if (then.sha256 !== sha256) return `one whose first ${bytes} bytes have changed`;
  if (settings !== known.settings) return "other options (units, range, order, format) for it";
  if (earlier.pass > 0)
    return "a file that has grown under a loop, whose passes would no longer follow on each other";
  const isWhole = !options.lines || then.lines_bytes === bytes || (await endsLineAt(known.path, bytes));
  return isWhole ? earlier.position : behindOpenLine(known, earlier, then, options);
}

/**
 * The file's last line had not come to its end when it was read. What was sent of it stays sent: of two rows with one station
 * and time the first counts. A line that has become another row is a new one.
 */
async function behindOpenLine(
  known: KnownFile,
  { position }: Earlier,
  then: Extent,
  { first, onBad }: GrowthOptions,
): Promise<number> {
  const [sent, more] = await rowsAt(first(then.bytes), position - 1);
  // Where more was read than sent, that stood in whole lines.
  if (position === 0 || sent === undefined || more !== undefined) return position;
  const [now] = await rowsAt(first(known.bytes), position - 1);
  if (now === undefined || sent.key !== now.key || sent.time !== now.time) return position - 1;
  if (hashRecord(sent.record) !== hashRecord(now.record))
    onBad({
      lost: "row",
      file: known.path,
      line: then.lines + 1,
      column: null,
      reason: "expected a whole line, got one that was sent before its end was written; what was sent stays",
    });
  return position;
}

/**
 * A cursor of before names the whole file and counted rows by the rules of before. It is good for the same file, where
 * none of its rows is judged in another way now.
 */
async function carryOver(
  known: KnownFile,
  { fingerprint, pass, position, event_time }: Earlier,
  { first, fingerprintOfWhole }: GrowthOptions,
): Promise<number | string> {
  if ((await fingerprintOfWhole()) !== fingerprint)
    return "another one; its cursor is of an earlier version, which cannot follow a file that has grown: replay the file as it was, and then as it is";
  let left_out = 0;
  let [left, newest] = [position, Number.NEGATIVE_INFINITY];
  for await (const rows of first(known.bytes, () => left_out++).rows()) {
    for (const { time } of rows.slice(0, left)) newest = Math.max(newest, time);
    left -= rows.length;
    if (left <= 0 && pass === 0) break;
  }
  if (left_out > 0 || (pass === 0 && event_time !== null && newest !== event_time))
    return "one with rows that an earlier version judged in another way, so that its cursor cannot be counted in it";
  return position;
}

/** The row of that index and the one behind it. */
async function rowsAt(input: Input, index: number): Promise<Row[]> {
  const found: Row[] = [];
  let count = 0;
  for await (const rows of input.rows()) {
    found.push(...rows.slice(Math.max(0, index - count), Math.max(0, index + 2 - count)));
    count += rows.length;
    if (count > index + 1) break;
  }
  return found;
}
