// The demo's steps as a run that can fail and go on: which are done, for which contract and code, and what an error at one of them
// tells a person. Knows nothing of what a step does.

import { join } from "node:path";
import { PipelineError } from "../../contract/index.ts";
import { readJson, writeJson } from "../../ground/json.ts";
import { type Settings, stateDir } from "../../settings/settings.ts";

/** What was done by something else does not count: its results may be of another shape. */
export interface Made {
  readonly fingerprint: string;
  readonly code: { readonly spark: string; readonly ray: string };
}

interface SavedSteps extends Made {
  /** By step; the value is what the step says of its result, empty for nothing. */
  readonly done: Readonly<Record<string, string>>;
}

export interface Done {
  /** What the step said when it was done; null when it was not, or for another contract or other code. */
  of(step: string): string | null;
  /** Written down at once. */
  add(step: string, result?: string): void;
}

/** The steps that earlier runs in this namespace have done with the same contract and code. */
export function doneSteps(settings: Settings, { fingerprint, code }: Made): Done {
  const path = join(stateDir(settings), "demo.json");
  const kept = readJson<SavedSteps>(path);
  const same =
    kept?.fingerprint === fingerprint && kept.code.spark === code.spark && kept.code.ray === code.ray;
  // A file of an older version names no steps.
  const done: Record<string, string> = same ? { ...kept.done } : {};
  return {
    of: (step) => done[step] ?? null,
    add(step, result = "") {
      done[step] = result;
      writeJson(path, { fingerprint, code, done } satisfies SavedSteps);
    },
  };
}

/** Which step an error ended; the cause is the error. */
export class StepError extends Error {
  readonly step: string;

  constructor(step: string, cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.step = step;
  }
}

/** The work's result. Errors: StepError of the innermost step. */
export async function during<T>(step: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof StepError ? error : new StepError(step, error);
  }
}

/** What a person is told: the step, how to go on, what runs on meanwhile and what stops it. Keeps the code of the cause. */
export function failureOf({ step, cause }: StepError, running: readonly string[]): PipelineError {
  const left =
    running.length === 0
      ? "nothing of it runs on"
      : `what runs on is ${running.join(", ")}, and "millrace down" stops it`;
  return new PipelineError(
    PipelineError.from(cause, "job_failed").code,
    `Cannot finish the demo: expected step "${step}" to end well, it failed`,
    {
      cause,
      context: { step, next: `run the same command again, it goes on from this step; ${left}` },
    },
  );
}
