// What to do next, as a pure function of what should run, what is known to run, and the time. The supervisor carries it out.
//
// A job's way:   (none) --submit--> intended --taken--> alive --ended--> (none), and again after a back-off
//   `intended` is written down before the engine is asked, so a supervisor killed in between looks before it submits again.
//   An engine that does not answer leaves everything as it is: not seeing a job is no reason to start a second one.

import type { JobStatus } from "../engines/job.ts";

/** Why a submission was asked to end. Only the last two count as failures of the job. */
export type EndReason = "not wanted" | "changed" | "twin" | "silent" | "never ran";

export interface SubmissionView {
  readonly submission: string;
  /** Hash of the way to run it was submitted with. */
  readonly hash: string;
  /** False while nobody knows whether the engine took it. */
  readonly taken: boolean;
  readonly submitted_ms: number;
  /** When it was first seen running; null before. */
  readonly running_ms: number | null;
  /** Null when the engine does not answer. */
  readonly status: JobStatus | null;
  /** Since when the engine says it does not know the submission; null when it knows it. */
  readonly unknown_ms: number | null;
  /** Last sign of life the job itself gave; null for none. */
  readonly heartbeat_ms: number | null;
  /** Whether the job itself has ever said that it is at work. */
  readonly warm: boolean;
  /** Set once it was asked to end. */
  readonly ending: EndReason | null;
}

export interface JobView {
  readonly submission: SubmissionView | null;
  /** Wall times of recent failures, oldest first. */
  readonly failures: readonly number[];
  /** The hash that was given up; another one is tried again. */
  readonly gave_up: string | null;
  /** The hash that succeeded as a finite job. */
  readonly done: string | null;
  /** An action of this job is under way. */
  readonly busy: boolean;
}

export interface WantedView {
  readonly hash: string;
  /** Null for a job without heartbeats. */
  readonly heartbeat_ms: number | null;
  /** May succeed and is done then. */
  readonly finite: boolean;
}

export type Action =
  | { readonly kind: "submit"; readonly job: string }
  /** Look at the engine what became of an intended submission. */
  | { readonly kind: "find"; readonly job: string }
  | { readonly kind: "stop"; readonly job: string; readonly reason: EndReason; readonly kill: boolean }
  /** Take note that the submission has ended. */
  | { readonly kind: "close"; readonly job: string; readonly failure: string | null; readonly done: boolean }
  | { readonly kind: "give_up"; readonly job: string };

export interface RestartLimits {
  /** First wait after a failure; doubles with each recent one. */
  readonly back_off_ms: number;
  readonly back_off_ms_max: number;
  /** This many failures within the window, and the job is given up. */
  readonly failures_max: number;
  readonly failures_window_ms: number;
  /** Longest time from submission to running. */
  readonly start_ms: number;
  /** An engine that has just restarted may know a job again in a moment. */
  readonly unknown_ms: number;
  /** How long a request that got no answer may still be on its way. */
  readonly settle_ms: number;
}

export const LIMITS: RestartLimits = {
  back_off_ms: 1_000,
  back_off_ms_max: 60_000,
  failures_max: 5,
  failures_window_ms: 600_000,
  // A cluster of one machine that is busy has been seen to take 90 s.
  start_ms: 300_000,
  unknown_ms: 10_000,
  settle_ms: 3_000,
};

export function recent(failures: readonly number[], now_ms: number, limits: RestartLimits): number[] {
  return failures.filter((at) => now_ms - at < limits.failures_window_ms);
}

/** When the next attempt may be made: at once without a recent failure, else after 1, 2, 4 … times the back-off. */
export function nextAttemptMs(failures: readonly number[], now_ms: number, limits: RestartLimits): number {
  const list = recent(failures, now_ms, limits);
  const last = list.at(-1);
  if (last === undefined) return now_ms;
  return last + Math.min(limits.back_off_ms_max, limits.back_off_ms * 2 ** (list.length - 1));
}

export function decide(
  wanted: ReadonlyMap<string, WantedView>,
  actual: ReadonlyMap<string, JobView>,
  now_ms: number,
  limits: RestartLimits = LIMITS,
): Action[] {
  const names = [...new Set([...wanted.keys(), ...actual.keys()])];
  return names.flatMap((job) => {
    const action = next(job, wanted.get(job) ?? null, actual.get(job) ?? NOTHING, now_ms, limits);
    return action ? [action] : [];
  });
}

const NOTHING: JobView = { submission: null, failures: [], gave_up: null, done: null, busy: false };

function next(
  job: string,
  want: WantedView | null,
  { submission, failures, gave_up, done, busy }: JobView,
  now_ms: number,
  limits: RestartLimits,
): Action | null {
  if (busy) return null;
  if (submission) return follow(job, want, submission, now_ms, limits);
  if (!want || gave_up === want.hash || done === want.hash) return null;
  // Another way to run it starts with a clean sheet.
  const counted = gave_up === null ? recent(failures, now_ms, limits) : [];
  if (counted.length >= limits.failures_max) return { kind: "give_up", job };
  return now_ms >= nextAttemptMs(counted, now_ms, limits) ? { kind: "submit", job } : null;
}

function follow(
  job: string,
  want: WantedView | null,
  s: SubmissionView,
  now_ms: number,
  limits: RestartLimits,
): Action | null {
  if (!s.taken) return now_ms - s.submitted_ms >= limits.settle_ms ? { kind: "find", job } : null;
  if (s.status === null) return null;
  const asked = s.ending;
  switch (s.status.state) {
    case "unknown":
      if (s.unknown_ms === null || now_ms - s.unknown_ms < limits.unknown_ms) return null;
      // It may be cut off from its engine and still at work: while it gives signs of life it has no successor.
      if (s.heartbeat_ms !== null && now_ms - s.heartbeat_ms < limits.unknown_ms) return null;
      return { kind: "close", job, failure: counts(asked) ? s.status.reason : null, done: false };
    case "failed":
      return { kind: "close", job, failure: counts(asked) ? s.status.reason : null, done: false };
    case "succeeded":
    case "stopped": {
      const done = s.status.state === "succeeded" && asked === null && want?.finite === true;
      const failed = !done && counts(asked);
      return {
        kind: "close",
        job,
        failure: failed ? `it ended by itself (${s.status.state})` : null,
        done,
      };
    }
    case "waiting":
    case "running":
      break;
  }
  if (!want) return stop(job, "not wanted");
  if (want.hash !== s.hash) return stop(job, "changed");
  // One that has run waits again when its application ended before its driver did, which on a slow machine takes minutes, or when the
  // master has lost sight of its worker. Whether it lives its reports say.
  if (s.status.state === "waiting" && s.running_ms === null)
    return now_ms - s.submitted_ms > limits.start_ms ? stop(job, "never ran") : null;
  if (want.heartbeat_ms === null || s.running_ms === null) return null;
  const last = Math.max(s.heartbeat_ms ?? 0, s.running_ms);
  // Until its first report a job loads, plans and restores.
  const patience_ms = s.warm ? want.heartbeat_ms : Math.max(want.heartbeat_ms, limits.start_ms);
  return now_ms - last > patience_ms ? stop(job, "silent") : null;
}

/** A submission that was asked to end for reasons of ours has not failed. */
function counts(asked: EndReason | null): boolean {
  return asked === null || asked === "silent" || asked === "never ran";
}

/** Who no longer answers will not end its batch either: killed at once. */
function stop(job: string, reason: EndReason): Action {
  return { kind: "stop", job, reason, kill: reason === "silent" || reason === "never ran" };
}
