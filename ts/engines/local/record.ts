// What is written down about each started engine, and the lock around starting and stopping: one JSON file an engine
// below <home>/engines. `down` goes by these files alone, so it stops exactly what was started.

import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PipelineError } from "../../contract/errors.ts";
import { alive, type Identity, identify } from "../../ground/identity.ts";
import { until } from "../../ground/until.ts";
import { enginesDir, type Port, type Settings } from "../settings.ts";
import type { EngineName } from "./engine.ts";

/** One started engine. */
export interface Started extends Identity {
  readonly name: EngineName;
  /** In the environment of everything it started. */
  readonly mark: string;
  readonly ports: Readonly<Partial<Record<Port, number>>>;
  readonly log: string;
  readonly started_ms: number;
}

const file = (settings: Settings, name: string) => join(enginesDir(settings), `${name}.json`);

function read<T>(path: string): T | null {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as T;
  } catch {
    // Missing, or cut short by a crash while it was written: both mean that nothing is known.
    return null;
  }
}

function write(path: string, value: unknown): void {
  writeFileSync(`${path}.tmp`, `${JSON.stringify(value, null, 2)}\n`);
  renameSync(`${path}.tmp`, path);
}

export function readRecord(settings: Settings, name: EngineName): Started | null {
  return read<Started>(file(settings, name));
}

export function writeRecord(settings: Settings, record: Started): void {
  write(file(settings, record.name), record);
}

export function dropRecord(settings: Settings, name: EngineName): void {
  rmSync(file(settings, name), { force: true });
}

/** Leaves the settings beside the records, for whoever wants to use a running set from its folder alone. */
export function writeSettings(settings: Settings): void {
  write(join(enginesDir(settings), "settings.json"), settings);
}

/** Settings of the set that was last started in a home; null if none was. */
export function startedSettings(home: string): Settings | null {
  return read<Settings>(join(home, "engines", "settings.json"));
}

/** Longest wait for another `up` or `down`: both end by their own deadlines. */
const LOCK_MS = 240_000;

/** Runs `work` while no other process starts or stops engines of the same home. A lock whose holder died is taken over. */
export async function locked<T>(settings: Settings, work: () => Promise<T>): Promise<T> {
  const path = join(enginesDir(settings), "lock");
  mkdirSync(enginesDir(settings), { recursive: true });
  const me = identify(process.pid);
  const taken = await until(
    () => {
      try {
        writeFileSync(path, JSON.stringify(me), { flag: "wx" });
        return { done: true, seen: "" };
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      }
      const holder = read<Identity>(path);
      if (holder && alive(holder)) return { done: false, seen: `pid ${holder.pid}` };
      rmSync(path, { force: true });
      return { done: false, seen: "a stale lock" };
    },
    { deadline_ms: LOCK_MS },
  );
  if (!taken.done)
    throw new PipelineError(
      "job_timed_out",
      `Cannot lock the engines of "${settings.home}": expected the other start or stop to end, still held by ${taken.seen}`,
    );
  try {
    return await work();
  } finally {
    rmSync(path, { force: true });
  }
}
