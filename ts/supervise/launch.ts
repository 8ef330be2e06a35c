// The one way to hand a job to its engine, and to find what already runs of it. For the supervisor and for whoever submits
// without one. Decides nothing.

import { rmSync } from "node:fs";
import { join } from "node:path";
import { abortMarker, type JobHandle, type JobRunner, stopMarker } from "../engines/job.ts";
import { writeJson } from "../ground/json.ts";
import type { Planned } from "../jobs/plan/type.ts";
import { type NamespaceSettings, stateDir } from "../settings/settings.ts";
import type { Span } from "./schedule.ts";
import { readSubmission } from "./submission.ts";

/** Files of one submission: parameters are written before the engine is asked, and removed after the end. */
export interface ParamsFiles {
  path(submission: string): string;
  write(path: string, params: object): void;
  remove(path: string): void;
}

/** Parameter files of a namespace's submissions, below its state folder. */
export function paramsFiles(settings: NamespaceSettings): ParamsFiles {
  const folder = join(stateDir(settings), "jobs");
  return {
    path: (submission) => join(folder, `${submission}.json`),
    write: (path, params) => writeJson(path, params),
    remove(path) {
      // Only what lies here: an adopted submission may have its parameters in another place, or none.
      if (!path.startsWith(folder)) return;
      rmSync(path, { force: true });
      rmSync(stopMarker(path), { force: true });
      rmSync(abortMarker(path), { force: true });
    },
  };
}

/**
 * Writes the parameters and resolves once the engine has taken the submission. A parameter `due_ms` that a job has among its own
 * gets the time the run is due for, and `from_ms` and `to_ms` the range it was asked for. Errors: those of the runner.
 */
export async function launchJob(
  { runner, params }: { readonly runner: JobRunner; readonly params: ParamsFiles },
  { name, launch, params: given }: Planned,
  {
    submission,
    due_ms,
    span = null,
  }: { readonly submission: string; readonly due_ms: number | null; readonly span?: Span | null },
): Promise<JobHandle> {
  const params_path = params.path(submission);
  const due = given && "due_ms" in given ? { due_ms } : {};
  const asked = given && "from_ms" in given && span !== null ? span : {};
  params.write(params_path, given ? { ...given, ...due, ...asked, submission } : {});
  return runner.submit({ name, submission, params_path, launch });
}

export interface Live {
  readonly handle: JobHandle;
  /** Of the way it was submitted to run. */
  readonly hash: string;
}

/** Live submissions of a job in the namespace of this prefix, whoever made them. Errors: those of the runner. */
export async function liveSubmissions(runner: JobRunner, prefix: string, job: string): Promise<Live[]> {
  return (await runner.list()).flatMap(({ handle }) => {
    const name = readSubmission(prefix, handle.submission);
    return name?.job === job ? [{ handle, hash: name.hash }] : [];
  });
}
