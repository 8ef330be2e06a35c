// Which process is which: a pid together with the time it started, so that a later process of the same pid is not mistaken
// for it. Reads /proc, so Linux only. Starts and ends nothing.

import { readdirSync, readFileSync } from "node:fs";

/** A process that cannot be mistaken for a later one of the same pid. */
export interface Identity {
  readonly pid: number;
  /** Boot id and clock ticks from boot to start, as /proc says them. */
  readonly start: string;
}

/** One line of the process table. */
export interface ProcessRow extends Identity {
  readonly parent: number;
  readonly session: number;
  readonly state: string;
  readonly threads: number;
}

// Written once a boot: a pid and its ticks alone could repeat after the machine restarts.
const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();

/** The process table's line of a pid, a zombie's too; null when there is none. Source: /proc/<pid>/stat, proc(5). */
export function readProcess(pid: number): ProcessRow | null {
  try {
    const line = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field is the name in brackets and may hold spaces and brackets itself.
    const field = line.slice(line.lastIndexOf(")") + 2).split(" ");
    return {
      pid,
      state: field[0]!,
      parent: Number(field[1]),
      session: Number(field[3]),
      threads: Number(field[17]),
      start: `${boot} ${field[19]!}`,
    };
  } catch {
    return null;
  }
}

/**
 * A zombie is gone: it holds no port and no memory, and some containers never collect it. One with threads is not: a killed
 * JVM is called a zombie as soon as its first thread has ended, and has its ports until the last one has.
 */
const lives = (r: ProcessRow | null): r is ProcessRow =>
  r !== null && ((r.state !== "Z" && r.state !== "X") || r.threads > 1);

/** Every process of the machine that lives. */
export function livingProcesses(): ProcessRow[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readProcess(Number(name)))
    .filter(lives);
}

/** The process behind a pid as of now, or null when none lives. */
export function identify(pid: number): Identity | null {
  const r = readProcess(pid);
  return lives(r) ? { pid: r.pid, start: r.start } : null;
}

export function alive({ pid, start }: Identity): boolean {
  return identify(pid)?.start === start;
}
