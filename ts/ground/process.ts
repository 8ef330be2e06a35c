// Processes that outlive this one: started in a session of their own, recognised later by pid and start time, and ended
// with everything they started. Does not know what an engine is.

import { spawn } from "node:child_process";
import { appendFileSync, closeSync, mkdirSync, openSync, renameSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { PipelineError } from "../contract/errors.ts";
import { alive, type Identity } from "./identity.ts";
import { commandOf, environmentOf, familyOf, livingProcesses, readProcess } from "./proc.ts";
import { until } from "./until.ts";

export interface Member extends Identity {
  readonly command: string;
}

/** How a started process is found again: by its mark, and by its own identity where that is known. */
export interface ProcessTarget {
  readonly pid: number;
  readonly mark: string;
  /** Finds the process itself also while it dies, when its environment can no longer be read. */
  readonly start?: string;
}

/**
 * Everything that belongs to a started process and lives: its session, whoever carries its mark in the environment
 * (a job's driver opens a session of its own), and their descendants (Ray overwrites its children's environment with
 * a title). The leader need not live any more.
 */
export function members({ pid: leader, mark, start }: ProcessTarget): Member[] {
  const rows = livingProcesses();
  // The mark guards the session too: a session id is a pid and is reused only after the whole session has ended,
  // but the leader of a later one could have the same number.
  const ours = new Set(rows.filter((r) => environmentOf(r.pid).includes(mark)).map((r) => r.pid));
  if (rows.some((r) => r.session === leader && ours.has(r.pid)))
    for (const r of rows) if (r.session === leader) ours.add(r.pid);
  if (rows.some((r) => r.pid === leader && r.start === start)) ours.add(leader);
  const all = familyOf(rows, ours);
  all.delete(process.pid);
  return rows
    .filter(({ pid }) => all.has(pid))
    .map(({ pid, start }) => ({ pid, start, command: commandOf(pid) }));
}

/** By number. */
export interface ProcessUser {
  readonly uid: number;
  readonly gid: number;
}

export interface ProcessLaunch {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly log: string;
  /** Unique text that goes into the environment and marks all descendants. */
  readonly mark: string;
  /** Whom it runs as, which only root may say; as we do where nothing is said. */
  readonly user?: ProcessUser;
}

const LOG_BYTES_MAX = 10_000_000;

/** Starts a process in a session of its own, output appended to its log; one older log is kept. */
export function launchProcess({ command, args, env, cwd, log, mark, user }: ProcessLaunch): Identity {
  mkdirSync(dirname(log), { recursive: true });
  try {
    if (statSync(log).size > LOG_BYTES_MAX) renameSync(log, `${log}.1`);
  } catch {
    // No log yet.
  }
  // A descriptor, not a pipe, and spawn itself, not execa: nothing of this process may stay between the child and its
  // log, because this process is about to leave.
  const out = openSync(log, "a");
  try {
    // The environment is passed on and not read. Not by env(1): what it is told on its command line every user of the machine
    // may see in /proc.
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env, ENGINE_RUN: mark },
      stdio: ["ignore", out, out],
      detached: true,
      ...user,
    });
    // A missing command shows as a missing pid below; why it is missing comes later, and without a listener would stop us.
    child.once("error", (error) => appendFileSync(log, `${error.message}\n`));
    child.unref();
    // It may have ended already; it stays a zombie, and readable, until the event loop collects it.
    const started = child.pid === undefined ? null : readProcess(child.pid);
    if (!started)
      throw new PipelineError("job_failed", `Cannot start "${command}": expected a process, got none`, {
        context: { log },
      });
    return { pid: started.pid, start: started.start };
  } finally {
    closeSync(out);
  }
}

function signal(victims: readonly Identity[], name: "SIGTERM" | "SIGKILL"): void {
  for (const victim of victims) {
    if (!alive(victim)) continue;
    try {
      process.kill(victim.pid, name);
    } catch (error) {
      // Gone between the look and the signal.
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
}

/** How long a process that got SIGKILL may take to disappear. */
const KILL_MS = 5_000;

/**
 * Ends a started process and all that belongs to it: SIGTERM to everyone, SIGKILL to who is left at the deadline.
 * Resolves once none lives. Nothing to end is fine. Errors: `job_timed_out` when even SIGKILL leaves someone.
 */
export async function end(
  name: string,
  target: ProcessTarget,
  { deadline_ms }: { readonly deadline_ms: number },
): Promise<void> {
  const asked = new Set<string>();
  const gone = await until(
    () => {
      const left = members(target);
      const fresh = left.filter((m) => !asked.has(`${m.pid} ${m.start}`));
      signal(fresh, "SIGTERM");
      for (const m of fresh) asked.add(`${m.pid} ${m.start}`);
      return { done: left.length === 0, seen: left };
    },
    { deadline_ms },
  );
  if (gone.done) return;
  const killed = await until(
    () => {
      const left = members(target);
      signal(left, "SIGKILL");
      return { done: left.length === 0, seen: left };
    },
    { deadline_ms: KILL_MS },
  );
  if (!killed.done)
    throw new PipelineError(
      "job_timed_out",
      `Cannot stop "${name}": expected its processes to end, still there: ${killed.seen.map((m) => m.pid).join(", ")}`,
    );
}
