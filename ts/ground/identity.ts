// Which process is which: a pid together with the time it started, so that a later process of the same pid is not mistaken
// for it. Starts and ends nothing.

import { lives, type ProcessRow, readProcess } from "./proc.ts";

/** A process that cannot be mistaken for a later one of the same pid. */
export type Identity = Pick<ProcessRow, "pid" | "start">;

/** The process behind a pid as of now, or null when none lives. */
export function identify(pid: number): Identity | null {
  const row = readProcess(pid);
  return lives(row) ? { pid: row.pid, start: row.start } : null;
}

export function alive({ pid, start }: Identity): boolean {
  return identify(pid)?.start === start;
}
