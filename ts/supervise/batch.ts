// One run of a batch job from its plan to its end, seen by whoever asked for it: put into the desired state, run by the supervisor,
// followed by its own reports, and its failure turned into the error the job itself had. The run is the supervisor's: it outlives
// a terminal that is closed or a command that is killed. Who is interrupted takes the job back.

import { type ErrorCode, isErrorCode, PipelineError } from "../contract/index.ts";
import type { EngineKind } from "../engines/job.ts";
import { runnersOf } from "../engines/runners.ts";
import { pause } from "../ground/pause.ts";
import type { Planned } from "../jobs/plan/type.ts";
import { connectKafka } from "../kafka/client.ts";
import { connectRegistry } from "../kafka/registry.ts";
import { namesOf, pipelineOf } from "../pipelines/index.ts";
import type { Settings } from "../settings/settings.ts";
import { changeDesired, type DesiredJob, hasEnded, requestedRun, runHash } from "./desired.ts";
import { writeSettings } from "./namespace.ts";
import { followProgress, type Report } from "./progress.ts";
import { currentRecords, readRecords, startSupervisor, supervisorOf } from "./run.ts";
import { askAt } from "./schedule.ts";
import { readSubmission } from "./submission.ts";
import { untilEnded, withdrawJobs } from "./submit.ts";
import { describeStatus, type JobRecord } from "./supervisor.ts";

export interface BatchRunOptions {
  readonly signal: AbortSignal;
  readonly deadline_ms: number;
  /** Each report of the job: counters, and a sentence now and then. */
  readonly onReport?: (report: Report) => void;
  /** Each new state at the engine. */
  readonly onState?: (state: string) => void;
}

export interface Finished {
  readonly submission: string;
  /** The job's last counters; empty if none arrived. */
  readonly counters: Readonly<Record<string, number>>;
  /** The job's last sentence. */
  readonly message: string | null;
}

const CLOCKS_APART_MS = 600_000;
/** How long the last report may be behind the engine's word that the job has ended: the follower of a busy machine takes its time. */
const LAST_REPORT_MS = 30_000;
const POLL_MS = 250;
/** An engine silent for this long is gone: longer than it takes to start one. */
const SILENT_MS = 120_000;
/** To end after its current step and a kill after that. */
const STOP_MS = 120_000;

const UNREACHABLE: Readonly<Record<EngineKind, ErrorCode>> = {
  spark: "spark_unreachable",
  ray: "ray_unreachable",
  process: "job_failed",
};

/**
 * Runs a batch job to its end. An aborted signal or a missed deadline stops it.
 * Errors: the job's own code when it failed, `job_failed` without one, `job_timed_out`, `config_invalid` when one is running,
 * `<engine>_unreachable` when its engine does not answer at the start or for two minutes.
 */
export async function runBatch(
  settings: Settings,
  plan: Planned,
  options: BatchRunOptions,
): Promise<Finished> {
  const { signal, deadline_ms, onReport, onState } = options;
  const { name, launch } = plan;
  const { pipeline, contract } = pipelineOf(settings.pipeline);
  const names = namesOf(pipeline, settings.namespace);
  const runner = runnersOf(settings)[launch.engine];
  // Said at once, instead of by a supervisor that would wait for it.
  await runner.list();
  writeSettings(settings);
  const want = await askForRun(settings, plan);
  const hash = runHash(requestedRun(want));
  let last: Report | null = null;
  let message: string | null = null;
  const kafka = connectKafka(settings.kafka, { client_id: `${names.prefix}${name}` });
  const progress = followProgress({
    kafka,
    registry: connectRegistry(settings.registryUrl),
    topic: names.topics.progress.topic,
    schema: contract.schemas.progress,
    // Its own reports come later than now, whatever the broker's clock says within this.
    from: { timestamp_ms: Date.now() - CLOCKS_APART_MS },
    onReport: (report) => {
      const its = readSubmission(names.prefix, report.submission);
      if (its?.job !== name || its.hash !== hash) return;
      last = report;
      message = report.message ?? message;
      onReport?.(report);
    },
  });
  try {
    const record = await untilDone(settings, want, hash, { signal, deadline_ms, onState });
    if (record === null) {
      await withdrawJobs(settings, [name]);
      await untilEnded(settings, [name], { deadline_ms: STOP_MS });
      throw new PipelineError(
        "job_timed_out",
        signal.aborted
          ? `Job "${name}" was stopped: expected it to be waited for, was interrupted`
          : `Cannot finish job "${name}": expected it to end within ${deadline_ms / 1000} s, it was stopped`,
      );
    }
    const end_ms = performance.now() + LAST_REPORT_MS;
    while (!isLast(last) && performance.now() < end_ms) await pause(100, signal);
    if (record.done !== hash)
      throw await failure(name, record, last, () =>
        runner.logs(
          { id: record.last?.id ?? "", submission: record.last?.submission ?? "", params_path: "" },
          { tail: 30 },
        ),
      );
    return {
      submission: record.last?.submission ?? "",
      counters: (last as Report | null)?.counters ?? {},
      message,
    };
  } finally {
    await forget(settings, want);
    await progress.close();
    await kafka.close();
  }
}

const isLast = (report: Report | null) =>
  report !== null && ["succeeded", "failed", "stopped"].includes(report.state);

/** Puts a run into the desired state. Errors: `config_invalid` when an earlier one has not ended. */
async function askForRun(settings: Settings, plan: Planned): Promise<DesiredJob> {
  const desired = await changeDesired(settings, (before) => {
    const record = readRecords(settings)[plan.name];
    const { ran_ms = null, submission = null } = record ?? {};
    const other = before[plan.name];
    const waits = other && other.asked_ms !== null && !hasEnded(requestedRun(other), record);
    if (other && (submission !== null || waits))
      throw new PipelineError(
        "config_invalid",
        `Cannot run job "${plan.name}": expected no other run of it, ${
          submission?.submission ?? "one that was asked for"
        } has not ended; wait for it, or run "millrace stop ${plan.name}"`,
      );
    const { schedule = null, since_ms = 0 } = other ?? {};
    const asked_ms = askAt(Date.now(), ran_ms);
    return { ...before, [plan.name]: { ...plan, attempt: 0, schedule, since_ms, asked_ms } };
  });
  startSupervisor(settings, { until_idle: true });
  return desired[plan.name]!;
}

/** What ended is not wanted any more; what somebody else wants by now stays. */
async function forget(settings: Settings, { name, asked_ms }: DesiredJob): Promise<void> {
  await changeDesired(settings, (before) => {
    const { [name]: job, ...others } = before;
    return job?.asked_ms === asked_ms && job.schedule === null ? others : before;
  });
}

/** The record of the run once it is done or has failed; null when the signal or the deadline came first. */
async function untilDone(
  settings: Settings,
  { name, launch }: DesiredJob,
  hash: string,
  {
    signal,
    deadline_ms,
    onState,
  }: Omit<BatchRunOptions, "onReport" | "onState"> & {
    readonly onState: BatchRunOptions["onState"];
  },
): Promise<JobRecord | null> {
  const end_ms = performance.now() + deadline_ms;
  let answered_ms = performance.now();
  let before = "";
  const tell = (state: string) => {
    if (state !== before) onState?.(state);
    before = state;
  };
  while (!signal.aborted && performance.now() < end_ms) {
    // A supervisor that was killed is replaced by one that goes on with the run.
    if (!supervisorOf(settings)) startSupervisor(settings, { until_idle: true });
    const record = currentRecords(settings)?.[name];
    const submission = record?.submission ?? null;
    if (record && (record.done === hash || record.gave_up === hash)) return record;
    if (submission?.hash !== hash) {
      answered_ms = performance.now();
      tell("waits for the supervisor");
    } else if (submission.handle === null) tell("submitted");
    else if (record?.status) {
      answered_ms = performance.now();
      tell(describeStatus(record.status));
    } else tell("the engine does not answer; asked again");
    if (performance.now() - answered_ms >= SILENT_MS)
      throw new PipelineError(
        UNREACHABLE[launch.engine],
        `Cannot follow job "${name}": expected its engine to answer, it has been silent for ${SILENT_MS / 1000} s; the supervisor goes on asking`,
      );
    await pause(POLL_MS, signal);
  }
  return null;
}

/** The error the job itself had, by its own last report or what the supervisor kept of it; else what its engine says. */
async function failure(
  name: string,
  { last: ending, status }: JobRecord,
  last: Report | null,
  log: () => Promise<string>,
): Promise<PipelineError> {
  const own = last?.state === "failed" ? last : null;
  const code = own?.error_code ?? ending?.error_code ?? null;
  const known = code !== null && isErrorCode(code) ? code : null;
  if (own?.message) return new PipelineError(known ?? "job_failed", own.message, { context: { job: name } });
  if (ending && known !== null)
    return new PipelineError(known, ending.reason.replace(` (${known})`, ""), {
      context: { job: name },
    });
  const tail = await log().catch(() => "");
  return new PipelineError(
    "job_failed",
    `Cannot finish job "${name}": expected success, got ${ending?.reason ?? (status ? describeStatus(status) : "nothing")}`,
    {
      ...(tail === "" ? {} : { cause: new Error(`its log ends with\n${tail}`) }),
      context: { job: name },
    },
  );
}
