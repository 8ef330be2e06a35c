// What a set of processes costs: memory and CPU time of given roots and all their children. For the bench, and for whoever shows
// a running line. Knows none of them by name.

import {
  commandOf,
  environmentOf,
  familyOf,
  livingProcesses,
  memoryOf,
  type ThreadRow,
  threadsOf,
} from "./proc.ts";

export interface ProcessCost {
  readonly pid: number;
  readonly command: string;
  /** Proportional set size: a page shared by n processes counts 1/n in each. */
  readonly pss_bytes: number;
  /** User and system time since the process began. */
  readonly cpu_ms: number;
  readonly threads: readonly ThreadRow[];
}

/** Processes that carry a folder in their command line or environment: all that was started for that home. */
export function belonging(home: string): number[] {
  return livingProcesses()
    .map(({ pid }) => pid)
    .filter((pid) => commandOf(pid).includes(home) || environmentOf(pid).includes(home));
}

/** Costs of the roots and their children now, largest first. */
export function costs(roots: readonly number[], except: ReadonlySet<number> = new Set()): ProcessCost[] {
  const rows = livingProcesses();
  const wanted = familyOf(rows, roots);
  return rows
    .filter(({ pid }) => wanted.has(pid) && !except.has(pid))
    .flatMap(({ pid, cpu_ms }) => {
      const pss_bytes = memoryOf(pid);
      return pss_bytes === null
        ? []
        : [{ pid, command: commandOf(pid), pss_bytes, cpu_ms, threads: threadsOf(pid) }];
    })
    .sort((a, b) => b.pss_bytes - a.pss_bytes);
}
