// The jobs of a namespace as people see them: what should run beside what does. For `millrace jobs` and the HTTP API.
// Reads the two files the supervisor works with; asks no engine.

import type { NamespaceSettings } from "../settings/settings.ts";
import { readDesired } from "./desired.ts";
import { readRecords, supervisorOf } from "./run.ts";
import { nextDue } from "./schedule.ts";

export interface SupervisedJob {
  readonly name: string;
  /** Empty for a job that all pipelines share. */
  readonly pipeline: string;
  readonly engine: string;
  readonly desired: boolean;
  /** A state of JobStatus. */
  readonly state: string;
  readonly reason: string | null;
  readonly submission: string | null;
  readonly restarts: number | null;
  readonly gave_up: boolean;
  /** Five fields of cron, UTC; null for a job without a schedule. */
  readonly schedule: string | null;
  /** The next time it is due, epoch ms; null without a schedule. */
  readonly due_ms: number | null;
  /** How its last submission ended. */
  readonly last: { readonly at_ms: number; readonly reason: string } | null;
}

/** A job of a type nobody asked for. */
export function absentJob(name: string, engine: string): SupervisedJob {
  return {
    name,
    pipeline: pipelineOfJob(name),
    engine,
    desired: false,
    state: "stopped",
    reason: null,
    submission: null,
    restarts: null,
    gave_up: false,
    schedule: null,
    due_ms: null,
    last: null,
  };
}

/** `<pipeline>-<job>`: no pipeline has a hyphen in its name, and a job that all share names none. */
const pipelineOfJob = (name: string) => (name.includes("-") ? name.split("-")[0]! : "");

/** Sorted by name. What an absent supervisor cannot know any more is `unknown`. */
export function supervisedJobs(settings: NamespaceSettings, now_ms = Date.now()): SupervisedJob[] {
  const desired = readDesired(settings);
  const records = readRecords(settings);
  const watched = supervisorOf(settings) !== null;
  return [...new Set([...Object.keys(desired), ...Object.keys(records)])].sort().map((name) => {
    const record = records[name];
    const wanted = desired[name];
    const row = {
      ...absentJob(name, wanted?.launch.engine ?? record?.engine ?? "unknown"),
      desired: wanted !== undefined,
      submission: record?.submission?.submission ?? null,
      restarts: record?.restarts ?? null,
      gave_up: record?.gave_up != null,
      schedule: wanted?.schedule ?? null,
      due_ms: nextDue(wanted?.schedule ?? null, now_ms),
      last: record?.last ? { at_ms: record.last.at_ms, reason: record.last.reason } : null,
    };
    // A batch is not tried again before its next time; anything else was, as often as it may be.
    const failed = wanted?.restarts === false || record?.ran_ms != null ? "failed" : "given up";
    if (row.gave_up && record?.submission == null)
      return { ...row, state: "failed", reason: `${failed}: ${record?.last?.reason ?? "no reason"}` };
    if (!watched && wanted)
      return { ...row, state: "unknown", reason: 'no supervisor runs; start it with "millrace run"' };
    if (!record?.submission) {
      if (record?.done != null) return { ...row, state: "succeeded", reason: null };
      if (!wanted) return { ...row, state: "stopped", reason: record?.last?.reason ?? null };
      if (row.due_ms !== null)
        return { ...row, state: "waiting", reason: `due ${new Date(row.due_ms).toISOString()}` };
      return {
        ...row,
        state: "waiting",
        reason: record?.last ? `restarts after: ${record.last.reason}` : null,
      };
    }
    if (record.submission.ending)
      return { ...row, state: "waiting", reason: `was asked to end: ${record.submission.ending}` };
    const { status } = record;
    if (!record.submission.handle) return { ...row, state: "waiting", reason: "is being submitted" };
    if (!status) return { ...row, state: "unknown", reason: "the engine does not answer" };
    return { ...row, state: status.state, reason: "reason" in status ? status.reason : null };
  });
}
