// What the jobs say of themselves (topic job-progress), put beside what the supervisor knows of them.
// Remembers the newest report of each job and nothing older. Starts, stops and judges no job.

import type { SupervisedJob } from "../supervise/views.ts";
import { iso } from "./forecast.ts";
import type { ProgressRecord } from "./records.ts";

/** A job as the supervisor sees it, and its own newest word. */
export interface JobRow extends SupervisedJob {
  readonly heartbeat: {
    readonly at: string;
    readonly age_s: number;
    readonly state: string;
    readonly error_code: string | null;
    readonly message: string | null;
    readonly counters: Readonly<Record<string, number>>;
  } | null;
}

/** Jobs in one namespace are few; more names than this in the topic are not ours. */
const JOBS_MAX = 100;

export class Progress {
  readonly #byJob = new Map<string, ProgressRecord>();

  /** Keeps the report when it is not older than the one held: the topic has one partition, so later is newer. */
  report(record: ProgressRecord): void {
    const held = this.#byJob.get(record.job);
    if (held && held.timestamp > record.timestamp) return;
    if (!held && this.#byJob.size >= JOBS_MAX) return;
    this.#byJob.set(record.job, record);
  }

  /** A job whose record was deleted from the topic. */
  forget(job: string): void {
    this.#byJob.delete(job);
  }

  get(job: string): ProgressRecord | undefined {
    return this.#byJob.get(job);
  }

  all(): ProgressRecord[] {
    return [...this.#byJob.values()].sort((a, b) => (a.job < b.job ? -1 : 1));
  }
}

/** Every job either side knows, by name. A job without a supervisor's view has the state it last reported. */
export function jobRows(views: readonly SupervisedJob[], progress: Progress, now_ms: number): JobRow[] {
  const rows = new Map<string, JobRow>();
  const heartbeat = (name: string): JobRow["heartbeat"] => {
    const report = progress.get(name);
    if (!report) return null;
    return {
      at: iso(report.timestamp),
      age_s: Math.max(0, now_ms - report.timestamp) / 1000,
      state: report.state,
      error_code: report.error_code,
      message: report.message,
      counters: report.counters,
    };
  };
  for (const report of progress.all())
    rows.set(report.job, {
      name: report.job,
      engine: "unknown",
      desired: false,
      state: "unknown",
      reason: "not in the desired state",
      submission: report.submission,
      restarts: null,
      gave_up: false,
      heartbeat: heartbeat(report.job),
    });
  for (const view of views) rows.set(view.name, { ...view, heartbeat: heartbeat(view.name) });
  return [...rows.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}
