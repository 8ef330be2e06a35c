// What the jobs say of themselves (topic job-progress), put beside what the supervisor knows of them.
// Remembers the newest report of each job and nothing older. Starts, stops and judges no job.

import { absentJob, type SupervisedJob } from "../supervise/views.ts";
import { iso } from "./forecast.ts";
import type { ProgressRecord } from "./records.ts";
import type { JobRow } from "./routes/jobs.ts";

/** A running job that has said nothing for longer than this is not believed: after a restart Ray still calls the dead RUNNING. The supervisor restarts it after the same time. */
export const HEARTBEAT_SILENT_S = 90;

/** Jobs in one namespace are few; more names than this in the topic are not ours. */
const JOBS_MAX = 100;

/** A rate is over the reports of the last minute; a job reports once a second at most. */
const RATE_MS = 60_000;
const READ_MAX = 90;

/** The newest report of a job, and when its submission first said that state without another one between. */
interface Newest {
  readonly record: ProgressRecord;
  readonly since_ms: number;
  /** Rows read until a moment, oldest first, of the same submission; empty for a job that reads none. */
  readonly read: readonly { readonly at_ms: number; readonly rows: number }[];
}

/** What a job counts of all it has read since it began. */
const rowsOf = ({ counters }: ProgressRecord): number | undefined =>
  counters["input_rows"] ?? counters["rows"];

export class JobProgress {
  readonly #byJob = new Map<string, Newest>();

  /** Keeps the report when it is not older than the one held: the topic has one partition, so later is newer. */
  report(record: ProgressRecord): void {
    const held = this.#byJob.get(record.job);
    if (held && held.record.timestamp > record.timestamp) return;
    if (!held && this.#byJob.size >= JOBS_MAX) return;
    const goes_on =
      held && held.record.submission === record.submission && held.record.state === record.state;
    const rows = rowsOf(record);
    const before = held && held.record.submission === record.submission ? held.read : [];
    const from = before.findLastIndex(({ at_ms }) => at_ms <= record.timestamp - RATE_MS);
    this.#byJob.set(record.job, {
      record,
      since_ms: goes_on ? held.since_ms : record.timestamp,
      read:
        rows === undefined
          ? []
          : [...before.slice(Math.max(0, from)), { at_ms: record.timestamp, rows }].slice(-READ_MAX),
    });
  }

  /** Rows a second that a job has read in its last minute; null for one that reads none, or has said so but once. */
  rate(job: string): number | null {
    const read = this.#byJob.get(job)?.read ?? [];
    const [first, last] = [read[0], read.at(-1)];
    if (!first || !last || last.at_ms <= first.at_ms) return null;
    // A process that began anew under the same submission counts from 0.
    return Math.max(0, last.rows - first.rows) / ((last.at_ms - first.at_ms) / 1000);
  }

  /** A job whose record was deleted from the topic. */
  forget(job: string): void {
    this.#byJob.delete(job);
  }

  get(job: string): Newest | undefined {
    return this.#byJob.get(job);
  }

  all(): ProgressRecord[] {
    return [...this.#byJob.values()].map(({ record }) => record).sort((a, b) => (a.job < b.job ? -1 : 1));
  }
}

/** What a job reports of itself, in the words of JobStatus. Source: job_state in schemas/avro/records/job_progress.avsc. */
const STATE: Readonly<Record<string, string>> = {
  starting: "running",
  running: "running",
  succeeded: "succeeded",
  failed: "failed",
  stopped: "stopped",
};

/** The state of a job that only its own reports are known of: a batch, or a job that was withdrawn. */
function reported(
  { state, message, error_code }: ProgressRecord,
  age_s: number,
): Pick<JobRow, "state" | "reason"> {
  const seen = STATE[state] ?? "unknown";
  if (seen === "running" && age_s > HEARTBEAT_SILENT_S)
    return { state: "unknown", reason: `last reported "${state}" ${age_s.toFixed(0)} s ago` };
  return { state: seen, reason: seen === "failed" ? (message ?? error_code ?? "no reason given") : null };
}

function row({ due_ms, last, ...view }: SupervisedJob): Omit<JobRow, "heartbeat"> {
  return {
    ...view,
    due: due_ms === null ? null : iso(due_ms),
    last: last && { at: iso(last.at_ms), reason: last.reason },
  };
}

/** Every job either side knows, by name. A job without a supervisor's view has the state it last reported. */
export function jobRows(views: readonly SupervisedJob[], progress: JobProgress, now_ms: number): JobRow[] {
  const rows = new Map<string, JobRow>();
  const heartbeat = (name: string): JobRow["heartbeat"] => {
    const newest = progress.get(name);
    if (!newest) return null;
    const { record: report, since_ms } = newest;
    return {
      at: iso(report.timestamp),
      age_s: Math.max(0, now_ms - report.timestamp) / 1000,
      state: report.state,
      state_age_s: Math.max(0, now_ms - since_ms) / 1000,
      error_code: report.error_code,
      message: report.message,
      counters: report.counters,
    };
  };
  for (const report of progress.all()) {
    const own = heartbeat(report.job);
    rows.set(report.job, {
      ...row(absentJob(report.job, "unknown")),
      ...reported(report, own?.age_s ?? 0),
      submission: report.submission,
      heartbeat: own,
    });
  }
  for (const view of views) rows.set(view.name, { ...row(view), heartbeat: heartbeat(view.name) });
  return [...rows.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}
