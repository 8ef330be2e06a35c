// Puts jobs into the desired state or takes them out, and follows them until they run or have ended. The work itself is the
// supervisor's; this only waits for what it writes down.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { PipelineError } from "../contract/index.ts";
import { assembled } from "../engines/package.ts";
import { pause } from "../ground/pause.ts";
import { type JobName, jobTypeOf, sharesOf } from "../jobs/index.ts";
import { tableFor } from "../jobs/plan/params.ts";
import { checkpointPath } from "../jobs/plan/spark.ts";
import type { JobType, Planned, Setting } from "../jobs/plan/type.ts";
import type { Kafka } from "../kafka/kafka.ts";
import { GENERATED, inStream, isShared, namesOf, pipelineOf, topicOf } from "../pipelines/index.ts";
import { type Settings, stateDir } from "../settings/settings.ts";
import { requireApplied } from "./applied.ts";
import {
  changeDesired,
  type Desired,
  type DesiredJob,
  readDesired,
  requestedRun,
  runHash,
} from "./desired.ts";
import { covering, epochOf, eventTimeOf, watermarkOf } from "./epoch.ts";
import { requirePlace } from "./place.ts";

import { currentRecords, readRecords, startSupervisor, supervisorLog, supervisorOf } from "./run.ts";
import { askAt, nextDue, requireSchedule, type Span, type Timetable } from "./schedule.ts";
import { describeStatus } from "./supervisor.ts";

/**
 * The code both engines run. For a pipeline outside the checkout its generated files, and its own in `<name>/pyspark` and
 * `<name>/ray`, are laid over the checkout's.
 */
export function codeOf(settings: Settings): Pick<Setting, "code" | "folders"> {
  const { folder, pipeline } = pipelineOf(settings.pipeline);
  const of = (engine: "pyspark" | "ray") => {
    const own = folder === null ? [] : [join(folder, GENERATED, engine), join(folder, pipeline.name, engine)];
    return assembled(
      [join(settings.root, "jobs", engine), ...own.filter((path) => existsSync(path))],
      join(stateDir(settings), "code", engine),
    );
  };
  const [spark, ray] = [of("pyspark"), of("ray")];
  return {
    code: { spark: spark.digest, ray: ray.digest },
    folders: { spark: spark.folder, ray: ray.folder },
  };
}

/** Everything a plan needs. Errors: `contract_mismatch` before `apply`. */
export function settingOf(settings: Settings): Setting {
  const { pipeline, contract } = pipelineOf(settings.pipeline);
  return {
    settings,
    pipeline,
    contract,
    applied: requireApplied(settings, contract.fingerprint),
    ...codeOf(settings),
    shares: sharesOf({ settings, pipeline }),
  };
}

export interface Choice {
  /** What stands behind the name of a process on the command line. */
  readonly words?: readonly string[];
  /** For batches: another schedule than that of their type. */
  readonly schedule?: string;
  /** For batches: one run now, whatever the schedule. */
  readonly now?: boolean;
  /** For batches over a range of event time: what that run is to be of. Goes with `now`. */
  readonly span?: Span | null;
}

/**
 * The plan of one job. A changed stateful plan opens the next epoch.
 * Errors: `config_invalid` for a batch that has to be told more, `store_unreachable` for a place that does not answer.
 */
export async function planOf(
  setting: Setting,
  kafka: Kafka,
  job: JobName,
  { words = [] }: Choice,
): Promise<Planned> {
  const { settings, pipeline, contract } = setting;
  const names = namesOf(pipeline, settings.namespace);
  const { checkpoint, places, plan, words: taken } = jobTypeOf(pipeline, job);
  for (const place of places?.(settings) ?? []) await requirePlace(settings, place);
  if (!checkpoint)
    return plan(setting, {
      ...(taken === undefined ? {} : { words }),
    });
  const stream = checkpoint.stream(pipeline);
  const epoch = await epochOf(
    settings,
    names.job(job),
    checkpoint.plan_hash(setting),
    async () => {
      const span_ms = checkpoint.span_ms?.(contract);
      // The job itself goes on behind the epoch before.
      if (span_ms === undefined) return { starting_offsets: "earliest", publish_from_ms: null };
      return covering(
        kafka,
        topicOf(names, stream).topic,
        span_ms,
        eventTimeOf(inStream(contract, stream), tableFor(setting.applied, stream)),
      );
    },
    (before) => {
      const folder = join(checkpointPath(setting, job, before), job);
      return (watermarkOf(folder) ?? 0) <= Date.now() + inStream(contract, stream).lead_ms;
    },
  );
  return plan(setting, { epoch });
}

/** The port a planned process listens on; null for a job that does not. */
export function portOf({ launch }: Pick<Planned, "launch">): number | null {
  if (launch.engine !== "process") return null;
  const at = launch.arguments.indexOf("--port");
  return at < 0 ? null : Number(launch.arguments[at + 1]);
}

/** When a job should run: always, or for a batch by its schedule, or once now when it has none or somebody asks for it. */
function timetable(
  type: JobType,
  { schedule, now = false, span = null }: Choice,
  before: DesiredJob | undefined,
  ran_ms: number | null,
): Timetable {
  if (type.kind !== "batch") return { schedule: null, since_ms: 0, asked_ms: null };
  const now_ms = Date.now();
  const wanted = schedule ?? before?.schedule ?? type.schedule ?? null;
  if (schedule !== undefined) requireSchedule(schedule);
  const asked_ms = now || wanted === null ? askAt(now_ms, ran_ms) : (before?.asked_ms ?? null);
  return {
    schedule: wanted,
    since_ms: before?.schedule === wanted ? before.since_ms : now_ms,
    asked_ms,
    asked_span: asked_ms === before?.asked_ms ? (before?.asked_span ?? null) : span,
  };
}

/**
 * Adds jobs to the desired state and starts a supervisor if none runs. A job that was given up or is done starts again.
 * Errors: `config_invalid` for a job the pipeline does not have, `contract_mismatch` before `apply`.
 */
export async function submitJobs(
  settings: Settings,
  kafka: Kafka,
  jobs: readonly JobName[],
  choice: Choice = {},
): Promise<Desired> {
  const setting = settingOf(settings);
  const planned: { readonly job: JobName; readonly plan: Planned }[] = [];
  for (const job of jobs) planned.push({ job, plan: await planOf(setting, kafka, job, choice) });
  const records = readRecords(settings);
  const desired = await changeDesired(settings, (before) => {
    const after: Record<string, Desired[string]> = { ...before };
    for (const { job, plan } of planned) {
      // Before pipelines shared it each had its own.
      if (isShared(job))
        for (const name of Object.keys(after)) if (name.endsWith(`-${job}`)) delete after[name];
      const { gave_up = null, done = null, ran_ms = null } = records[plan.name] ?? {};
      const times = timetable(jobTypeOf(setting.pipeline, job), choice, before[plan.name], ran_ms);
      const attempt = before[plan.name]?.attempt ?? 0;
      const again = { ...plan, ...times, attempt };
      const hash = runHash(again);
      // Asking for it again is a new attempt of what was given up or is done; what runs is left alone.
      after[plan.name] = gave_up === hash || done === hash ? { ...again, attempt: attempt + 1 } : again;
    }
    return after;
  });
  startSupervisor(settings);
  return Object.fromEntries(planned.map(({ plan: { name } }) => [name, desired[name]!]));
}

/** Takes jobs out of the desired state; the supervisor ends them. */
export async function withdrawJobs(settings: Settings, jobs: readonly string[]): Promise<void> {
  await changeDesired(settings, (before) =>
    Object.fromEntries(Object.entries(before).filter(([name]) => !jobs.includes(name))),
  );
}

export interface Watch {
  readonly deadline_ms: number;
  readonly signal?: AbortSignal;
  /** Each new thing there is to say about a job. */
  readonly onState?: (job: string, state: string) => void;
}

const POLL_MS = 250;

/**
 * Resolves once every job runs the way it is desired. Errors: `job_failed` when the supervisor gives one up, `job_timed_out`.
 */
export async function untilRunning(settings: Settings, desired: Desired, watch: Watch): Promise<void> {
  const waiting = new Set(Object.keys(desired));
  await follow(settings, watch, waiting, (job) => {
    const want = desired[job]!;
    const records = currentRecords(settings);
    if (!records) return { done: false, state: "waits for the supervisor" };
    const record = records[job];
    const { asked_ms, schedule } = want;
    if (asked_ms === null && schedule !== null)
      return { done: true, state: `due ${new Date(nextDue(schedule, Date.now()) ?? 0).toISOString()}` };
    const hash = runHash(requestedRun(want));
    if (record?.done === hash) return { done: true, state: "done" };
    if (record?.gave_up === hash)
      throw new PipelineError("job_failed", `Cannot keep job "${job}" running: it was given up`, {
        cause: new Error(record.last?.reason ?? "no reason known"),
        context: { log: supervisorLog(settings) },
      });
    const current = record?.submission;
    if (current?.hash === hash && current.ending === null && record?.status)
      return { done: record.status.state === "running", state: describeStatus(record.status) };
    const state = current
      ? current.hash === hash
        ? "submitted"
        : `the one before is asked to end (${current.hash})`
      : record?.last
        ? `starts again after: ${record.last.reason}`
        : "waits for the supervisor";
    return { done: false, state };
  });
}

/** Resolves once none of the jobs has a submission any more. Errors: `job_timed_out`. */
export async function untilEnded(settings: Settings, jobs: readonly string[], watch: Watch): Promise<void> {
  await follow(settings, watch, new Set(jobs), (job) => {
    const record = readRecords(settings)[job];
    const gone = !record?.submission && readDesired(settings)[job] === undefined;
    return { done: gone, state: gone ? "ended" : "ends after its current batch" };
  });
}

async function follow(
  settings: Settings,
  { deadline_ms, signal = new AbortController().signal, onState }: Watch,
  waiting: Set<string>,
  look: (job: string) => { done: boolean; state: string },
): Promise<void> {
  const end_ms = performance.now() + deadline_ms;
  const said = new Map<string, string>();
  for (;;) {
    for (const job of waiting) {
      const { done, state } = look(job);
      if (said.get(job) !== state) onState?.(job, state);
      said.set(job, state);
      if (done) waiting.delete(job);
    }
    if (waiting.size === 0) return;
    signal.throwIfAborted();
    if (performance.now() > end_ms) {
      const list = [...waiting].map((job) => `"${job}" ${said.get(job)}`).join(", ");
      throw new PipelineError(
        "job_timed_out",
        `Cannot see all jobs where they should be: expected it within ${deadline_ms / 1000} s, got ${list}${
          supervisorOf(settings) ? "" : "; no supervisor runs"
        }`,
        { context: { log: supervisorLog(settings), state: stateDir(settings) } },
      );
    }
    await pause(POLL_MS, signal);
  }
}
