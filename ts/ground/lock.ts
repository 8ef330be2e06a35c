// A lock that survives kill -9: a file names its holder by pid and start time, and one whose holder is dead is taken over.
// Never two holders. Local to one machine and one folder; fair to nobody.
//
// Lock n is the file <name>.<n>. The highest n holds or has held. Taking it means creating n + 1 with link(2), which
// fails if the file is there and shows it whole or not at all; then looking whether anything higher appeared. Numbers
// only grow: a release rewrites the file and leaves it, because a number that could come back would let two contenders
// each create "the next one".

import { linkSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { alive, type Identity, identify } from "./identity.ts";
import { until } from "./until.ts";

export interface Lock {
  release(): void;
}

const RELEASED = "released";
/** Older numbers that stay behind for a contender that read them a moment ago. */
const STAY = 5;

function numbers(path: string): number[] {
  const prefix = `${basename(path)}.`;
  return readdirSync(dirname(path))
    .filter((name) => name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length)))
    .map((name) => Number(name.slice(prefix.length)))
    .sort((a, b) => b - a);
}

function holderIn(file: string): Identity | null {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    // Cleaned away by a newer holder: the caller looks again at the highest number.
    return null;
  }
  if (text === RELEASED) return null;
  const identity = JSON.parse(text) as Identity;
  return alive(identity) ? identity : null;
}

/** Who holds the lock and lives; null for nobody. */
export function holderOf(path: string): Identity | null {
  mkdirSync(dirname(path), { recursive: true });
  const [highest] = numbers(path);
  return highest === undefined ? null : holderIn(`${path}.${highest}`);
}

/** Takes the lock for this process, or returns who has it. `self` is for tests. */
export function tryLock(
  path: string,
  self: Identity = identify(process.pid)!,
): { readonly lock: Lock } | { readonly holder: Identity } {
  mkdirSync(dirname(path), { recursive: true });
  const beside = join(dirname(path), `.${basename(path)}.${self.pid}.${crypto.randomUUID()}`);
  writeFileSync(beside, JSON.stringify(self), { mode: 0o600 });
  try {
    for (;;) {
      const [highest = 0] = numbers(path);
      const holder = highest === 0 ? null : holderIn(`${path}.${highest}`);
      if (holder) return { holder };
      const mine = highest + 1;
      try {
        linkSync(beside, `${path}.${mine}`);
      } catch (error) {
        if (error instanceof Error && "code" in error && error.code === "EEXIST") continue;
        throw error;
      }
      const after = numbers(path);
      if (after[0] !== mine) {
        // Took a number that had been passed in the meantime: worth nothing.
        rmSync(`${path}.${mine}`, { force: true });
        continue;
      }
      for (const old of after) if (old < mine - STAY) rmSync(`${path}.${old}`, { force: true });
      let held = true;
      return {
        lock: {
          release() {
            if (!held) return;
            held = false;
            writeFileSync(beside, RELEASED, { mode: 0o600 });
            renameSync(beside, `${path}.${mine}`);
          },
        },
      };
    }
  } finally {
    rmSync(beside, { force: true });
  }
}

/** Waits for the lock, at most `deadline_ms`; null when it was not free in time. For holders that are done in moments. */
export async function lockWithin(path: string, deadline_ms: number): Promise<Lock | null> {
  const look = await until(
    () => {
      const taken = tryLock(path);
      return "lock" in taken ? { done: true, seen: taken.lock } : { done: false, seen: null };
    },
    { deadline_ms, interval_ms: 20 },
  );
  return look.seen;
}
