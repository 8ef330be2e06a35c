// The process table, from /proc: Linux only. The one place that reads it. A process that ends while it is read is not there, or
// says nothing. Starts and ends nothing.

import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** One line of the process table. */
export interface ProcessRow {
  readonly pid: number;
  /** Boot id and clock ticks from boot to start: with the pid, what no later process has. */
  readonly start: string;
  readonly parent: number;
  readonly session: number;
  readonly state: string;
  readonly threads: number;
  /** User and system time since it began. */
  readonly cpu_ms: number;
}

/** Kernel ticks a second, as /proc counts CPU time; 100 on every Linux Node runs on (proc(5), sysconf _SC_CLK_TCK). */
const TICKS_PER_S = 100;

// Written once a boot: a pid and its ticks alone could repeat after the machine restarts.
const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();

function attempt<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}

const fileOf = (pid: number, name: string) => attempt(() => readFileSync(`/proc/${pid}/${name}`, "utf8"));

const pids = () =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);

/** A row from the text of /proc/<pid>/stat. The name in brackets may itself hold blanks and brackets: split after the last one. */
export function rowOf(pid: number, stat: string): ProcessRow {
  const field = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return {
    pid,
    state: field[0]!,
    parent: Number(field[1]),
    session: Number(field[3]),
    cpu_ms: ((Number(field[11]) + Number(field[12])) * 1000) / TICKS_PER_S,
    threads: Number(field[17]),
    start: `${boot} ${field[19]!}`,
  };
}

/** The process table's line of a pid, a zombie's too; null when there is none. Source: /proc/<pid>/stat, proc(5). */
export function readProcess(pid: number): ProcessRow | null {
  const stat = fileOf(pid, "stat");
  return stat === null ? null : rowOf(pid, stat);
}

/**
 * A zombie is gone: it holds no port and no memory, and some containers never collect it. One with threads is not: a killed
 * JVM is called a zombie as soon as its first thread has ended, and has its ports until the last one has.
 */
export const lives = (row: ProcessRow | null): row is ProcessRow =>
  row !== null && ((row.state !== "Z" && row.state !== "X") || row.threads > 1);

/** Every process of the machine that lives. */
export const livingProcesses = (): ProcessRow[] => pids().map(readProcess).filter(lives);

/** Its words with blanks between them; empty when it has ended or is a kernel's. */
export const commandOf = (pid: number): string => (fileOf(pid, "cmdline") ?? "").replaceAll("\0", " ").trim();

/** Its environment as it was when it began, entries ended by zero bytes; empty when it is not ours to read. */
export const environmentOf = (pid: number): string => fileOf(pid, "environ") ?? "";

/** Proportional set size in bytes: a page shared by n processes counts 1/n in each. Null when it is not ours to read. */
export const memoryOf = (pid: number): number | null => pssOf(fileOf(pid, "smaps_rollup") ?? "");

/** The same from the text of /proc/<pid>/smaps_rollup. */
export function pssOf(rollup: string): number | null {
  const kb = /^Pss:\s+(\d+) kB/m.exec(rollup)?.[1];
  return kb === undefined ? null : Number(kb) * 1024;
}

/** Bytes that a process read from storage and wrote to it since it began; caches and sockets are no part of them. Source: proc(5), `io`. */
export interface StorageUse {
  readonly read_bytes: number;
  readonly written_bytes: number;
}

/** Null when it has ended or is not ours to read. */
export function storageOf(pid: number): StorageUse | null {
  const text = fileOf(pid, "io") ?? "";
  const [read, written] = ["read_bytes", "write_bytes"].map(
    (name) => new RegExp(`^${name}: (\\d+)$`, "m").exec(text)?.[1],
  );
  return read === undefined || written === undefined
    ? null
    : { read_bytes: Number(read), written_bytes: Number(written) };
}

/** A thread of a process, by its name without the numbers that tell it from its kind. */
export interface ThreadRow {
  readonly tid: number;
  readonly kind: string;
  /** User and system time since it began. */
  readonly cpu_ms: number;
}

/** The threads of a process now; empty when it has ended. Names are cut at fifteen characters by the kernel: proc(5), `comm`. */
export function threadsOf(pid: number): ThreadRow[] {
  return (attempt(() => readdirSync(`/proc/${pid}/task`)) ?? []).flatMap((tid) => {
    const stat = fileOf(pid, `task/${tid}/stat`);
    return stat === null ? [] : [threadOf(Number(tid), stat)];
  });
}

/** A thread from the text of its stat. */
export function threadOf(tid: number, stat: string): ThreadRow {
  const name = stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")"));
  const { cpu_ms } = rowOf(tid, stat);
  return { tid, kind: name.replace(/([\s#:._-]*\d+)+$/, ""), cpu_ms };
}

/** The roots that are among the rows, and all below them. */
export function familyOf(
  rows: readonly Pick<ProcessRow, "pid" | "parent">[],
  roots: Iterable<number>,
): Set<number> {
  const children = Map.groupBy(rows, ({ parent }) => parent);
  const there = new Set(rows.map(({ pid }) => pid));
  const found = new Set<number>();
  const queue = [...roots].filter((pid) => there.has(pid));
  for (let pid = queue.pop(); pid !== undefined; pid = queue.pop()) {
    if (found.has(pid)) continue;
    found.add(pid);
    queue.push(...(children.get(pid) ?? []).map((child) => child.pid));
  }
  return found;
}

/** "java (pid 123)" of the process that listens on a port; null when it cannot be told, as for another user's. */
export function listenerOn(port: number): string | null {
  const inodes = new Set<string>();
  for (const table of ["tcp", "tcp6"])
    for (const line of (attempt(() => readFileSync(`/proc/net/${table}`, "utf8")) ?? "")
      .split("\n")
      .slice(1)) {
      const field = line.trim().split(/\s+/);
      // 0A is LISTEN. Source: include/net/tcp_states.h.
      if (field[3] === "0A" && Number.parseInt(field[1]!.split(":")[1]!, 16) === port) inodes.add(field[9]!);
    }
  if (inodes.size === 0) return null;
  for (const pid of pids()) {
    const listens = attempt(() =>
      readdirSync(`/proc/${pid}/fd`).some((fd) => {
        const link = attempt(() => readlinkSync(`/proc/${pid}/fd/${fd}`)) ?? "";
        return inodes.has(/^socket:\[(\d+)\]$/.exec(link)?.[1] ?? "");
      }),
    );
    const name = listens ? fileOf(pid, "comm") : null;
    if (name !== null) return `${name.trim()} (pid ${pid})`;
  }
  return null;
}

/** First port the system hands out by itself to outgoing connections. */
export const ephemeralPortMin = (): number =>
  Number(
    attempt(() => readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8"))
      ?.trim()
      .split(/\s+/)[0] ?? 32_768,
  );
