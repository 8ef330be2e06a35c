// What should run in a namespace, as one file: written by apply, submit and stop, read by the supervisor. The writers take
// turns by a short lock. Says nothing about what does run.

import { createHash } from "node:crypto";
import { join } from "node:path";
import { PipelineError } from "../contract/index.ts";
import { type NamespaceSettings, stateDir } from "../engines/settings.ts";
import { readJson, writeJson } from "../ground/json.ts";
import { lockWithin } from "../ground/lock.ts";
import type { Planned } from "../jobs/plan/type.ts";

export interface DesiredJob extends Planned {
  /** Rises when somebody submits the job again although it had been given up. */
  readonly attempt: number;
}

export type Desired = Readonly<Record<string, DesiredJob>>;

export const desiredPath = (settings: NamespaceSettings) => join(stateDir(settings), "desired.json");

export function readDesired(settings: NamespaceSettings): Desired {
  return readJson<Desired>(desiredPath(settings)) ?? {};
}

/** Writers are done within milliseconds; one that takes this long is stuck. */
const TURN_MS = 10_000;

/** Changes the desired state; `change` sees what is there now. Errors: `job_timed_out` when another writer does not finish. */
export async function changeDesired(
  settings: NamespaceSettings,
  change: (before: Desired) => Desired,
): Promise<Desired> {
  const lock = await lockWithin(join(stateDir(settings), "locks", "desired"), TURN_MS);
  if (!lock)
    throw new PipelineError(
      "job_timed_out",
      `Cannot change "${desiredPath(settings)}": expected its lock to be free within ${TURN_MS / 1000} s`,
    );
  try {
    const before = readDesired(settings);
    const after = change(before);
    if (JSON.stringify(after) !== JSON.stringify(before)) writeJson(desiredPath(settings), after);
    return after;
  } finally {
    lock.release();
  }
}

/** Eight characters that tell two ways to run a job apart: launch, parameters, code, attempt. */
export function hashOf(job: DesiredJob): string {
  const { launch, params, code, attempt } = job;
  return createHash("sha256").update(canonical({ launch, params, code, attempt })).digest("hex").slice(0, 8);
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return `{${entries.map(([k, v]) => `${JSON.stringify(k)}:${canonical(v)}`).join(",")}}`;
}
