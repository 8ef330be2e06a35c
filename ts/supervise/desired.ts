// What should run in a namespace, as one file: written by apply, submit and stop, read by the supervisor. The writers take
// turns by a short lock. Says nothing about what does run.

import { createHash } from "node:crypto";
import { join } from "node:path";
import { canonicalJson } from "../ground/canonical.ts";
import { readJson, writeJson } from "../ground/json.ts";
import type { Planned } from "../jobs/plan/type.ts";
import { type NamespaceSettings, stateDir } from "../settings/settings.ts";
import { underLock } from "./namespace.ts";
import type { Timetable } from "./schedule.ts";

export interface DesiredJob extends Planned, Timetable {
  /** Rises when somebody submits the job again although it had been given up. */
  readonly attempt: number;
}

/** A desired job and the due time a run of it now is for; null for a job that simply should run. */
export interface DueJob extends DesiredJob {
  readonly due_ms: number | null;
}

/** What a file may lack that was written before pipelines shared a namespace and batches were due. */
const BEFORE = (name: string): Pick<DesiredJob, "pipeline" | "restarts" | keyof Timetable> => ({
  pipeline: name.split("-")[0]!,
  restarts: true,
  ...ALWAYS,
});
type StoredJob = Omit<DesiredJob, keyof ReturnType<typeof BEFORE>> & Partial<DesiredJob>;

/** The timetable of a job that simply should run. */
const ALWAYS: Timetable = { schedule: null, since_ms: 0, asked_ms: null };

/** A plan that simply should run, the given time over. */
export function always(plan: Planned, attempt = 0): DesiredJob {
  return { ...plan, ...ALWAYS, attempt };
}

export type Desired = Readonly<Record<string, DesiredJob>>;

export const desiredPath = (settings: NamespaceSettings) => join(stateDir(settings), "desired.json");

export function readDesired(settings: NamespaceSettings): Desired {
  const stored = readJson<Record<string, StoredJob>>(desiredPath(settings)) ?? {};
  return Object.fromEntries(Object.entries(stored).map(([name, job]) => [name, { ...BEFORE(name), ...job }]));
}

/** Changes the desired state; `change` sees what is there now. Errors: `job_timed_out` when another writer does not finish. */
export function changeDesired(
  settings: NamespaceSettings,
  change: (before: Desired) => Desired,
): Promise<Desired> {
  return underLock(settings, "desired", () => {
    const before = readDesired(settings);
    const after = change(before);
    if (JSON.stringify(after) !== JSON.stringify(before)) writeJson(desiredPath(settings), after);
    return after;
  });
}

/** The run that somebody asked for, as the one that is due. */
export const requestedRun = (job: DesiredJob): DueJob => ({ ...job, due_ms: job.asked_ms });

/** What a supervisor wrote down of how runs of a job ended, by their hash. */
export interface Ended {
  /** Hash that has succeeded, for a job that may. */
  readonly done: string | null;
  /** Hash that has failed too often. */
  readonly gave_up: string | null;
}

/** Whether this very run has come to its end: it succeeded, or was given up. */
export function hasEnded(run: DueJob, { done, gave_up }: Ended = { done: null, gave_up: null }): boolean {
  return [done, gave_up].includes(runHash(run));
}

/**
 * Eight characters that tell two runs of a job apart that may not stand for each other: launch, parameters, code, attempt, and the
 * time it is due for where there is one.
 */
export function runHash(
  job: Pick<DesiredJob, "launch" | "params" | "code" | "attempt"> & Partial<Pick<DueJob, "due_ms">>,
): string {
  const { launch, params, code, attempt, due_ms } = job;
  return createHash("sha256")
    .update(canonicalJson({ launch, params, code, attempt, ...(due_ms == null ? {} : { due_ms }) }))
    .digest("hex")
    .slice(0, 8);
}
