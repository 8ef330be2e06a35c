// One run of a batch job from its plan to its end: submitted, followed by its own reports, and its failure turned into the
// error the job itself had. Nobody restarts a batch; whoever asked for it sees how it ends.

import { join } from "node:path";
import { isErrorCode, PipelineError } from "../contract/index.ts";
import type { EngineKind, JobHandle, JobStatus } from "../engines/job.ts";
import { runnersOf } from "../engines/runners.ts";
import { type NamespaceSettings, type Settings, stateDir } from "../engines/settings.ts";
import { readJson, writeJson } from "../ground/json.ts";
import { tryLock } from "../ground/lock.ts";
import { pause } from "../ground/pause.ts";
import type { Planned } from "../jobs/plan/type.ts";
import { connectKafka } from "../kafka/client.ts";
import { connectRegistry } from "../kafka/registry.ts";
import { namesOf, pipelineOf } from "../pipelines/index.ts";
import { hashOf } from "./desired.ts";
import { toEnd } from "./end.ts";
import { writeSettings } from "./namespace.ts";
import { followProgress, type Report } from "./progress.ts";
import { paramsIn, unique } from "./run.ts";
import { said } from "./supervisor.ts";

export interface Batch {
  readonly engine: EngineKind;
  readonly handle: JobHandle;
}

const path = (settings: NamespaceSettings) => join(stateDir(settings), "batches.json");

/** The newest submission of each batch job, for its log. */
export function readBatches(settings: NamespaceSettings): Readonly<Record<string, Batch>> {
  return readJson<Record<string, Batch>>(path(settings)) ?? {};
}

export interface BatchOptions {
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
/** How long the last report may be behind the engine's word that the job has ended. */
const LAST_WORDS_MS = 5_000;

/**
 * Runs a batch job to its end. An aborted signal or a missed deadline stops it.
 * Errors: the job's own code when it failed, `job_failed` without one, `job_timed_out`, `config_invalid` when one is running.
 */
export async function runBatch(settings: Settings, plan: Planned, options: BatchOptions): Promise<Finished> {
  const { signal, deadline_ms, onReport, onState } = options;
  const { name, launch } = plan;
  const taken = tryLock(join(stateDir(settings), "locks", name));
  if ("holder" in taken)
    throw new PipelineError(
      "config_invalid",
      `Cannot run job "${name}": expected no other run of it, process ${taken.holder.pid} has one`,
    );
  writeSettings(settings);
  const { pipeline, contract } = pipelineOf(settings.pipeline);
  const names = namesOf(pipeline, settings.namespace);
  const runner = runnersOf(settings)[launch.engine];
  const params = paramsIn(join(stateDir(settings), "jobs"));
  const submission = `${names.prefix}${name}-${hashOf({ ...plan, attempt: 0 })}-${unique()}`;
  const params_path = params.path(submission);
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
      if (report.submission !== submission) return;
      last = report;
      message = report.message ?? message;
      onReport?.(report);
    },
  });
  try {
    await endRunning(settings, plan, names.prefix);
    params.write(params_path, { ...plan.params, submission });
    const handle = await runner.submit({ name, submission, params_path, launch });
    writeJson(path(settings), {
      ...readBatches(settings),
      [name]: { engine: launch.engine, handle } satisfies Batch,
    });
    const status = await toEnd(
      () => runner.status(handle),
      async () => runner.stop(handle, { deadline_ms: 0 }),
      { signal, deadline_ms, ...(onState ? { onState } : {}) },
    );
    if (status === null)
      throw new PipelineError(
        "job_timed_out",
        signal.aborted
          ? `Job "${name}" was stopped: expected it to be waited for, was interrupted`
          : `Cannot finish job "${name}": expected it to end within ${deadline_ms / 1000} s, it was stopped`,
      );
    const end_ms = performance.now() + LAST_WORDS_MS;
    while (!hasEnded(last) && performance.now() < end_ms) await pause(100, signal);
    if (status.state !== "succeeded")
      throw await failure(name, status, last, () => runner.logs(handle, { tail: 30 }));
    return { submission, counters: (last as Report | null)?.counters ?? {}, message };
  } finally {
    params.remove(params_path);
    await progress.close();
    await kafka.close();
    taken.lock.release();
  }
}

const hasEnded = (report: Report | null) =>
  report !== null && ["succeeded", "failed", "stopped"].includes(report.state);

/** A run whose caller was killed goes on by itself: two at once would write the same table or model. */
async function endRunning(settings: Settings, { name, launch }: Planned, prefix: string): Promise<void> {
  const runner = runnersOf(settings)[launch.engine];
  for (const { handle } of await runner.list())
    if (handle.submission.startsWith(`${prefix}${name}-`)) await runner.stop(handle, { deadline_ms: 0 });
}

async function failure(
  name: string,
  status: JobStatus,
  last: Report | null,
  log: () => Promise<string>,
): Promise<PipelineError> {
  const own = last?.state === "failed" ? last : null;
  if (own?.message)
    return new PipelineError(
      own.error_code !== null && isErrorCode(own.error_code) ? own.error_code : "job_failed",
      own.message,
      { context: { job: name } },
    );
  const tail = await log().catch(() => "");
  return new PipelineError(
    "job_failed",
    `Cannot finish job "${name}": expected success, got ${said(status)}`,
    {
      ...(tail === "" ? {} : { cause: new Error(`its log ends with\n${tail}`) }),
      context: { job: name },
    },
  );
}
