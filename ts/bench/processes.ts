// What a set of processes costs: memory as PSS and CPU time, read from /proc for given roots and all their children.
// Serves the bench only. Linux only; a process that ends while it is read counts as nothing.

import { readdirSync, readFileSync } from "node:fs";

export interface ProcessCost {
  readonly pid: number;
  readonly command: string;
  /** Proportional set size: a page shared by n processes counts 1/n in each. */
  readonly pss_bytes: number;
  /** User and system time since the process began. */
  readonly cpu_ms: number;
}

/** Kernel ticks a second, as /proc counts CPU time; 100 on every Linux Node runs on (proc(5), sysconf _SC_CLK_TCK). */
const TICKS_PER_S = 100;

interface Stat {
  readonly pid: number;
  readonly ppid: number;
  readonly ticks: number;
}

/** One line of /proc/PID/stat. The name in brackets may itself hold spaces and brackets: split after the last one. */
export function parseStat(line: string): Stat {
  const end = line.lastIndexOf(")");
  const rest = line.slice(end + 2).split(" ");
  return {
    pid: Number(line.slice(0, line.indexOf(" "))),
    ppid: Number(rest[1]),
    ticks: Number(rest[11]) + Number(rest[12]),
  };
}

/** The roots and all below them, given every process of the machine. */
export function descendants(
  all: readonly Pick<Stat, "pid" | "ppid">[],
  roots: readonly number[],
): Set<number> {
  const children = Map.groupBy(all, (p) => p.ppid);
  const alive = new Set(all.map((p) => p.pid));
  const found = new Set<number>();
  const queue = roots.filter((pid) => alive.has(pid));
  while (queue.length > 0) {
    const pid = queue.pop()!;
    if (found.has(pid)) continue;
    found.add(pid);
    queue.push(...(children.get(pid) ?? []).map((p) => p.pid));
  }
  return found;
}

function attempt<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}

/** Processes that carry a folder in their command line or environment: all that was started for that home. */
export function belonging(home: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) =>
      ["cmdline", "environ"].some((file) =>
        attempt(() => readFileSync(`/proc/${pid}/${file}`, "utf8").includes(home)),
      ),
    )
    .map(Number);
}

/** Costs of the roots and their children now, largest first. */
export function costs(roots: readonly number[], except: ReadonlySet<number> = new Set()): ProcessCost[] {
  const stats = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => attempt(() => parseStat(readFileSync(`/proc/${pid}/stat`, "utf8"))) ?? []);
  const wanted = descendants(stats, roots);
  return stats
    .filter(({ pid }) => wanted.has(pid) && !except.has(pid))
    .flatMap(({ pid, ticks }) => {
      const pss = attempt(
        () => /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1],
      );
      const command = attempt(() =>
        readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim(),
      );
      if (!pss || command === null) return [];
      return [{ pid, command, pss_bytes: Number(pss) * 1024, cpu_ms: (ticks * 1000) / TICKS_PER_S }];
    })
    .sort((a, b) => b.pss_bytes - a.pss_bytes);
}
