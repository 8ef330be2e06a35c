// What is written down about each started engine, and the lock around starting and stopping: one JSON file an engine
// below <home>/engines. `down` goes by these files alone, so it stops exactly what was started.

import { rmSync } from "node:fs";
import { join } from "node:path";
import { PipelineError } from "../../contract/errors.ts";
import type { Identity } from "../../ground/identity.ts";
import { readJson, writeJson } from "../../ground/json.ts";
import { holderOf, lockWithin } from "../../ground/lock.ts";
import { enginesDir, type Settings } from "../../settings/settings.ts";

/** One started engine. */
export interface Started extends Identity {
  readonly name: string;
  /** In the environment of everything it started. */
  readonly mark: string;
  readonly ports: Readonly<Record<string, number>>;
  readonly log: string;
  readonly started_ms: number;
}

const file = (settings: Settings, name: string) => join(enginesDir(settings), `${name}.json`);

export function readRecord(settings: Settings, name: string): Started | null {
  return readJson<Started>(file(settings, name));
}

export function writeRecord(settings: Settings, record: Started): void {
  writeJson(file(settings, record.name), record);
}

export function dropRecord(settings: Settings, name: string): void {
  rmSync(file(settings, name), { force: true });
}

/** Leaves the settings beside the records, for whoever wants to use a running set from its folder alone. */
export function writeEngineSettings(settings: Settings): void {
  writeJson(join(enginesDir(settings), "settings.json"), settings);
}

/** Settings of the set that was last started in a home; null if none was. */
export function startedSettings(home: string): Settings | null {
  return readJson<Settings>(join(home, "engines", "settings.json"));
}

/** Longest wait for another `up` or `down`: both end by their own deadlines. */
const LOCK_MS = 240_000;

/** Runs `work` while no other process starts or stops engines of the same home. A lock whose holder died is taken over. */
export async function locked<T>(settings: Settings, work: () => Promise<T>): Promise<T> {
  const path = join(enginesDir(settings), "lock");
  const lock = await lockWithin(path, LOCK_MS);
  if (lock === null)
    throw new PipelineError(
      "job_timed_out",
      `Cannot lock the engines of "${settings.home}": expected the other start or stop to end, still held by pid ${holderOf(path)?.pid ?? "unknown"}`,
    );
  try {
    return await work();
  } finally {
    lock.release();
  }
}
