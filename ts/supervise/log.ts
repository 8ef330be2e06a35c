// The supervisor's own log: lines with a time in front, bounded by one older file. Not the jobs' logs, which their engines keep.

import { appendFileSync, mkdirSync, renameSync, statSync } from "node:fs";
import { dirname } from "node:path";

/** Two files of this size are months of starts and stops. */
const BYTES_MAX = 1_000_000;

export function logTo(path: string, nowMs: () => number, bytes_max = BYTES_MAX): (line: string) => void {
  mkdirSync(dirname(path), { recursive: true });
  return (line) => {
    try {
      if (statSync(path).size > bytes_max) renameSync(path, `${path}.1`);
    } catch {
      // No log yet.
    }
    appendFileSync(path, `${new Date(nowMs()).toISOString()} ${line}\n`);
  };
}
