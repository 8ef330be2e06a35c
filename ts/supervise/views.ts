// The jobs of a namespace as people see them: what should run beside what does. For `millrace jobs` and the HTTP API.
// Reads the two files the supervisor works with; asks no engine.

import type { NamespaceSettings } from "../engines/settings.ts";
import { readDesired } from "./desired.ts";
import { readRecords, supervisorOf } from "./run.ts";

export interface SupervisedJob {
  readonly name: string;
  readonly engine: string;
  readonly desired: boolean;
  /** A state of JobStatus. */
  readonly state: string;
  readonly reason: string | null;
  readonly submission: string | null;
  readonly restarts: number | null;
  readonly gave_up: boolean;
}

/** Sorted by name. What an absent supervisor cannot know any more is `unknown`. */
export function jobRows(settings: NamespaceSettings): SupervisedJob[] {
  const desired = readDesired(settings);
  const records = readRecords(settings);
  const watched = supervisorOf(settings) !== null;
  return [...new Set([...Object.keys(desired), ...Object.keys(records)])].sort().map((name) => {
    const record = records[name];
    const wanted = desired[name];
    const row = {
      name,
      engine: wanted?.launch.engine ?? record?.engine ?? "unknown",
      desired: wanted !== undefined,
      submission: record?.submission?.submission ?? null,
      restarts: record?.restarts ?? null,
      gave_up: record?.gave_up != null,
    };
    if (row.gave_up)
      return { ...row, state: "failed", reason: `given up: ${record?.last?.reason ?? "no reason"}` };
    if (!watched && wanted)
      return { ...row, state: "unknown", reason: 'no supervisor runs; start it with "millrace run"' };
    if (!record?.submission) {
      if (record?.done != null) return { ...row, state: "succeeded", reason: null };
      if (!wanted) return { ...row, state: "stopped", reason: record?.last?.reason ?? null };
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
