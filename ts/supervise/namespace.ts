// The namespaces below a home folder, each by the settings its supervisor and its processes read. A namespace holds several
// pipelines: its settings name none, and whoever works for one is told which.

import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { PipelineError } from "../contract/index.ts";
import { readJson, writeJson } from "../ground/json.ts";
import { lockWithin } from "../ground/lock.ts";
import { type NamespaceSettings, settingsPath, stateDir } from "../settings/settings.ts";

/** Writes down the settings of a namespace for its supervisor and its processes. */
export function writeSettings(given: NamespaceSettings & { readonly pipeline?: string }): void {
  const { pipeline: _, ...settings } = given;
  writeJson(settingsPath(settings), settings);
}

/** Settings of every namespace that has state below a home folder. */
export function namespacesOf(home: string): NamespaceSettings[] {
  if (!existsSync(home)) return [];
  return (
    readdirSync(home)
      .sort()
      .map((folder) => ({
        folder,
        settings: readJson<NamespaceSettings>(join(home, folder, "settings.json")),
      }))
      // The engines' folder has settings too: those of whoever started them, whose own folder this is not.
      .flatMap(({ folder, settings }) =>
        settings && stateDir(settings) === join(home, folder) ? [settings] : [],
      )
  );
}

/** Writers are done within milliseconds; one that takes this long is stuck. */
const TURN_MS = 10_000;

/**
 * One read and write of a file of the namespace at a time. Errors: `job_timed_out` when another writer does not finish.
 */
export async function underLock<T>(settings: NamespaceSettings, name: string, work: () => T): Promise<T> {
  const lock = await lockWithin(join(stateDir(settings), "locks", name), TURN_MS);
  if (!lock)
    throw new PipelineError(
      "job_timed_out",
      `Cannot change "${name}" in "${stateDir(settings)}": expected its lock to be free within ${TURN_MS / 1000} s`,
    );
  try {
    return work();
  } finally {
    lock.release();
  }
}
