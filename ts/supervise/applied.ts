// What `apply` has put in force: which schema ids readers must know and which one writers use. Written by apply, read by the
// plan and by sources. In an evolution the readers' tables grow first and the writers' ids move when the readers run.

import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { PipelineError } from "../contract/index.ts";
import { readJson, writeJson } from "../ground/json.ts";
import { type Lock, lockWithin } from "../ground/lock.ts";
import { until } from "../ground/until.ts";
import type { Applied } from "../jobs/plan/type.ts";
import { type NamespaceSettings, type Settings, stateDir } from "../settings/settings.ts";

const path = (settings: Settings) => join(stateDir(settings), `applied-${settings.pipeline}.json`);

export function readApplied(settings: Settings): Applied | null {
  return readJson<Applied>(path(settings));
}

export function writeApplied(settings: Settings, applied: Applied): void {
  writeJson(path(settings), applied);
}

/** Names of the pipelines that something is applied of, sorted; their folders may be gone. */
export function appliedPipelines(settings: NamespaceSettings): string[] {
  const folder = stateDir(settings);
  const files = existsSync(folder) ? readdirSync(folder) : [];
  return files.flatMap((name) => /^applied-(\w+)\.json$/.exec(name)?.[1] ?? []).sort();
}

/**
 * One at a time in a namespace changes what is applied; `what` is for the message. Errors: `job_timed_out` when another does not end
 * within the wall time given.
 */
export async function turnToApply(settings: Settings, what: string, deadline_ms: number): Promise<Lock> {
  const turn = await lockWithin(join(stateDir(settings), "locks", "apply"), deadline_ms);
  if (turn) return turn;
  throw new PipelineError(
    "job_timed_out",
    `Cannot ${what}: expected another "millrace apply" to end in time`,
  );
}

/** Nothing of the settings' pipeline is in force any more. */
export function clearApplied(settings: Settings): void {
  rmSync(path(settings), { force: true });
}

/** In an evolution the readers restart one after the other; on a slow machine each takes a minute. */
const READABLE_MS = 600_000;
const POLL_MS = 500;

/**
 * Resolves once the readers know the id a source wants to write with. A namespace without `apply` has no readers of ours.
 * Errors: `contract_mismatch` when they do not get to know it.
 */
export async function untilReadable(
  settings: Settings,
  id: number,
  {
    signal,
    deadline_ms = READABLE_MS,
  }: { readonly signal?: AbortSignal; readonly deadline_ms?: number } = {},
): Promise<void> {
  const look = await until(
    () => {
      const applied = readApplied(settings);
      return { done: applied === null || applied.readable.includes(id), seen: null };
    },
    { deadline_ms, interval_ms: POLL_MS, signal },
  );
  if (!look.done)
    throw new PipelineError(
      "contract_mismatch",
      `Cannot write with schema id ${id}: expected the readers in namespace "${settings.namespace}" to know it; run "millrace apply"`,
    );
}

/** Errors: `contract_mismatch` when nothing or another contract was applied in this namespace. */
export function requireApplied(settings: Settings, fingerprint: string): Applied {
  const applied = readApplied(settings);
  if (applied?.fingerprint === fingerprint) return applied;
  throw new PipelineError(
    "contract_mismatch",
    `Cannot use pipeline "${settings.pipeline}" in namespace "${settings.namespace}": expected contract ${fingerprint} to be applied, ${
      applied ? `${applied.fingerprint} is` : "none is"
    }; run "millrace apply"`,
  );
}
