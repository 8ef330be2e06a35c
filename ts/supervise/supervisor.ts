// Makes what runs equal what should run: looks, lets decide() judge, and carries out its actions, one a job at a time.
// Everything it must not forget is written down before and after it acts, so a supervisor killed anywhere is replaced by
// one that adopts what runs. Knows no pipeline: the desired state says what to launch with which parameters.

import { PipelineError } from "../contract/index.ts";
import type { EngineKind, JobHandle, JobRunner, JobStatus } from "../engines/job.ts";
import {
  type Action,
  decide,
  type EndReason,
  type JobView,
  LIMITS,
  type RestartLimits,
  recent,
  type WantedView,
} from "./decide.ts";
import { type Desired, type DueJob, type Ended, hasEnded, runHash } from "./desired.ts";
import { launchJob, liveSubmissions, type ParamsFiles } from "./launch.ts";
import { dueNow } from "./schedule.ts";
import { submissionName } from "./submission.ts";

export interface Submission {
  readonly submission: string;
  readonly hash: string;
  readonly engine: EngineKind;
  readonly params_path: string;
  /** Null while nobody knows whether the engine took it. */
  readonly handle: JobHandle | null;
  readonly submitted_ms: number;
  readonly running_ms: number | null;
  readonly ending: EndReason | null;
  readonly stop_ms: number;
  /** The time it was due for; absent or null for a job that simply should run. */
  readonly due_ms?: number | null;
}

/** How an earlier submission ended. */
export interface Ending {
  readonly submission: string;
  /** Of the engine, for its log; empty when the engine never took it. */
  readonly id: string;
  readonly at_ms: number;
  readonly reason: string;
  /** The job's own code when it said that it failed. */
  readonly error_code?: string | null;
}

export interface JobRecord extends Ended {
  readonly engine: EngineKind;
  readonly submission: Submission | null;
  /** Last seen state; null when the engine did not answer. */
  readonly status: JobStatus | null;
  readonly failures: readonly number[];
  /** Submissions after the first one. */
  readonly restarts: number;
  readonly last: Ending | null;
  /** The last due time that has had its run, whatever came of it. */
  readonly ran_ms?: number | null;
}

export type Records = Readonly<Record<string, JobRecord>>;

/** What a job said of itself last. */
export interface Heartbeat {
  readonly submission: string;
  readonly at_ms: number;
  readonly state: string;
  readonly error_code: string | null;
  readonly message: string | null;
}

export interface Heartbeats {
  of(job: string): Heartbeat | null;
  /** Whether silence means anything now: Kafka answers and all reports are read. */
  caughtUp(): Promise<boolean>;
}

export interface SupervisorEffects {
  readonly runners: Readonly<Record<EngineKind, JobRunner>>;
  readonly heartbeats: Heartbeats;
  readonly clock: { nowMs(): number };
  readonly desired: () => Desired;
  readonly store: { load(): Records | null; save(records: Records): void };
  readonly params: ParamsFiles;
  /**
   * What is to be done once a job has succeeded, before it counts as done: repeated until it goes through, so that a kill in between
   * loses nothing. Must be able to come twice.
   */
  readonly finish?: (job: DueJob, submission: string) => Promise<void>;
  readonly log: (line: string) => void;
  /** Start of every submission's name: the namespace's. */
  readonly prefix: string;
  /** Characters that make a submission's name unique for all time. */
  readonly unique: () => string;
}

const EMPTY = (engine: EngineKind): JobRecord => ({
  engine,
  submission: null,
  status: null,
  failures: [],
  gave_up: null,
  done: null,
  restarts: 0,
  last: null,
});

/** Errors after which it is certain that the engine runs nothing. */
const REFUSED = new Set(["spark_rejected", "ray_rejected", "job_failed", "config_invalid"]);

export class Supervisor {
  readonly #effects: SupervisorEffects;
  readonly #limits: RestartLimits;
  readonly #records = new Map<string, JobRecord>();
  readonly #unknown_ms = new Map<string, number>();
  readonly #busy = new Map<string, Promise<void>>();
  #saved = "";
  #fatal: unknown = null;

  constructor(effects: SupervisorEffects, limits: RestartLimits = LIMITS) {
    this.#effects = effects;
    this.#limits = limits;
    for (const [job, record] of Object.entries(effects.store.load() ?? {})) this.#records.set(job, record);
  }

  get records(): Records {
    return Object.fromEntries(this.#records);
  }

  /**
   * One look and one decision; actions go on in the background. `steady`: all that runs is well and nothing is under way. `idle`:
   * nothing runs, and nothing that is desired will by itself. Rejects only when the records cannot be kept, never for an engine
   * that is down.
   */
  async tick(): Promise<{ readonly steady: boolean; readonly idle: boolean }> {
    if (this.#fatal !== null) throw this.#fatal;
    const desired = this.#effects.desired();
    await Promise.all([...this.#records.keys()].map((job) => this.#look(job)));
    const due = this.#due(desired);
    const wanted = new Map<string, WantedView>();
    for (const [job, want] of due)
      wanted.set(job, { hash: runHash(want), heartbeat_ms: want.heartbeat_ms, finite: want.finite });
    const judge = (): Action[] => {
      const actual = new Map([...this.#records.keys()].map((job) => [job, this.#view(job)] as const));
      return decide(wanted, actual, this.#effects.clock.nowMs(), this.#limits);
    };
    const silent = (action: Action) => action.kind === "stop" && action.reason === "silent";
    let actions = judge();
    if (actions.some(silent)) {
      // Silence was concluded from what had been read before the question: whoever has read everything judges again.
      const heard = await this.#effects.heartbeats.caughtUp();
      actions = judge().filter((action) => heard || !silent(action));
    }
    for (const action of actions) this.#start(action, due.get(action.job) ?? null);
    this.#save();
    const steady = [...this.#records.values()].every(
      ({ submission, status }) => submission === null || status?.state === "running",
    );
    const quiet = actions.length === 0 && this.#busy.size === 0;
    const idle =
      [...this.#records.values()].every(({ submission }) => submission === null) &&
      Object.values(desired).every(({ schedule }) => schedule === null) &&
      [...due].every(([job, run]) => hasEnded(run, this.#records.get(job)));
    return { steady: steady && quiet, idle: idle && quiet };
  }

  /** The jobs that should run now. A run that goes on keeps the time it was due for until it has ended. */
  #due(desired: Desired): Map<string, DueJob> {
    const now_ms = this.#effects.clock.nowMs();
    const due = new Map<string, DueJob>();
    for (const [job, want] of Object.entries(desired)) {
      const { submission = null, ran_ms = null } = this.#records.get(job) ?? {};
      const timed = want.schedule !== null || want.asked_ms !== null;
      const due_ms = timed ? (submission?.due_ms ?? dueNow(want, ran_ms, now_ms)) : null;
      if (!timed || due_ms !== null) due.set(job, { ...want, due_ms });
    }
    return due;
  }

  /** Resolves once no action is under way. */
  async settled(): Promise<void> {
    await Promise.all(this.#busy.values());
  }

  #record(job: string): JobRecord {
    const record = this.#records.get(job);
    if (!record) throw new Error(`no record of job "${job}"`);
    return record;
  }

  #change(job: string, change: Partial<JobRecord>): void {
    this.#records.set(job, { ...this.#record(job), ...change });
  }

  #save(): void {
    const text = JSON.stringify(this.records);
    if (text === this.#saved) return;
    this.#effects.store.save(this.records);
    this.#saved = text;
  }

  async #look(job: string): Promise<void> {
    const { submission, status: before } = this.#record(job);
    if (!submission?.handle) return;
    let status: JobStatus | null;
    try {
      status = await this.#effects.runners[submission.engine].status(submission.handle);
    } catch (error) {
      status = null;
      if (before !== null) this.#effects.log(`${job}: cannot see it: ${(error as Error).message}`);
    }
    // An action may have closed the submission while the engine was asked.
    const { submission: now } = this.#record(job);
    if (now?.submission !== submission.submission) return;
    if (status?.state !== "unknown") this.#unknown_ms.delete(job);
    else if (!this.#unknown_ms.has(job)) this.#unknown_ms.set(job, this.#effects.clock.nowMs());
    if (status && status.state !== before?.state) this.#effects.log(`${job}: ${describeStatus(status)}`);
    const running_ms = now.running_ms ?? (status?.state === "running" ? this.#effects.clock.nowMs() : null);
    this.#change(job, { status, submission: { ...now, running_ms } });
  }

  #view(job: string): JobView {
    const { submission, status, failures, gave_up, done } = this.#record(job);
    const latest = this.#effects.heartbeats.of(job);
    const heartbeat = latest?.submission === submission?.submission ? latest : null;
    return {
      submission: submission && {
        submission: submission.submission,
        hash: submission.hash,
        taken: submission.handle !== null,
        submitted_ms: submission.submitted_ms,
        running_ms: submission.running_ms,
        status,
        unknown_ms: this.#unknown_ms.get(job) ?? null,
        heartbeat_ms: heartbeat?.at_ms ?? null,
        warm: heartbeat !== null && heartbeat.state !== "starting",
        ending: submission.ending,
      },
      failures,
      gave_up,
      done,
      busy: this.#busy.has(job),
    };
  }

  #start(action: Action, want: DueJob | null): void {
    const { job } = action;
    if (action.kind === "submit" && want && !this.#records.has(job))
      this.#records.set(job, EMPTY(want.launch.engine));
    const work = this.#carryOut(action, want)
      .catch((error: unknown) => this.#effects.log(`${job}: ${action.kind} did not work: ${String(error)}`))
      .then(() => {
        this.#busy.delete(job);
        this.#save();
      })
      // Who cannot write down what it does must not go on.
      .catch((error: unknown) => {
        this.#fatal = error;
      });
    this.#busy.set(job, work);
  }

  async #carryOut(action: Action, want: DueJob | null): Promise<void> {
    switch (action.kind) {
      case "submit":
        if (want) await this.#submit(action.job, want);
        return;
      case "find":
        return this.#find(action.job, want);
      case "stop":
        return this.#stop(action.job, action.reason, action.kill);
      case "close":
        if (action.done && want) await this.#finish(want);
        return this.#close(action.job, want, action.failure, action.done);
      case "give_up":
        if (!want) return;
        this.#change(action.job, { gave_up: runHash(want) });
        this.#effects.log(`${action.job}: given up after ${this.#limits.failures_max} failures`);
        return;
    }
  }

  async #submit(job: string, want: DueJob): Promise<void> {
    const { runners, params, clock, log, unique, prefix } = this.#effects;
    const engine = want.launch.engine;
    const runner = runners[engine];
    const hash = runHash(want);
    let running: Awaited<ReturnType<typeof liveSubmissions>>;
    try {
      running = await liveSubmissions(runner, prefix, job);
    } catch (error) {
      // Who cannot be asked what runs is not asked to run more.
      this.#change(job, { engine, status: null });
      log(`${job}: not submitted: ${(error as Error).message}`);
      return;
    }
    const [first, ...twins] = running;
    for (const twin of twins) {
      log(`${job}: stops ${twin.handle.submission}, which runs beside ${first?.handle.submission}`);
      await runner.stop(twin.handle, { deadline_ms: want.stop_ms });
    }
    const record = this.#record(job);
    if (first) {
      this.#change(job, {
        engine,
        gave_up: null,
        submission: {
          submission: first.handle.submission,
          hash: first.hash,
          engine,
          params_path: first.handle.params_path,
          handle: first.handle,
          submitted_ms: clock.nowMs(),
          running_ms: null,
          ending: null,
          stop_ms: want.stop_ms,
          due_ms: want.due_ms,
        },
      });
      log(`${job}: adopts ${first.handle.submission}`);
      this.#save();
      return;
    }
    const submission = submissionName(prefix, { job, hash, unique: unique() });
    const params_path = params.path(submission);
    const intended: Submission = {
      submission,
      hash,
      engine,
      params_path,
      handle: null,
      submitted_ms: clock.nowMs(),
      running_ms: null,
      ending: null,
      stop_ms: want.stop_ms,
      due_ms: want.due_ms,
    };
    this.#change(job, {
      engine,
      status: null,
      submission: intended,
      failures: record.gave_up === null ? record.failures : [],
      gave_up: null,
      restarts:
        record.last === null || record.last.reason === ("not wanted" satisfies EndReason)
          ? 0
          : record.restarts + 1,
    });
    // Written down first: whoever comes after a kill between here and the answer looks before submitting again.
    this.#save();
    try {
      const handle = await launchJob({ runner, params }, want, {
        submission,
        due_ms: want.due_ms,
        // Of that one run, and of none that the schedule brings.
        span: want.due_ms !== null && want.due_ms === want.asked_ms ? (want.asked_span ?? null) : null,
      });
      this.#change(job, { submission: { ...intended, handle } });
      this.#save();
      log(`${job}: submitted as ${submission}`);
    } catch (error) {
      log(`${job}: ${(error as Error).message}`);
      if (error instanceof PipelineError && REFUSED.has(error.code)) this.#close(job, want, error.message);
    }
  }

  async #find(job: string, want: DueJob | null): Promise<void> {
    const { submission } = this.#record(job);
    if (!submission) return;
    const handle = await this.#effects.runners[submission.engine].find(submission.submission);
    if (handle) {
      this.#change(job, {
        submission: { ...submission, handle: { ...handle, params_path: submission.params_path } },
      });
      this.#effects.log(`${job}: adopts ${submission.submission}`);
      return;
    }
    // A batch may have come to its end before anybody looked: its own last report tells, once all reports are read.
    if (want?.finite && want.params && !(await this.#effects.heartbeats.caughtUp())) return;
    const report = this.#effects.heartbeats.of(job);
    const state = report?.submission === submission.submission ? report.state : null;
    if (want?.finite && state === "succeeded") {
      await this.#finish(want);
      this.#close(job, want, null, true);
    } else if (state === "failed") this.#close(job, want, "it failed before it was seen");
    else this.#close(job, null, "the engine has not taken it");
  }

  async #stop(job: string, reason: EndReason, kill: boolean): Promise<void> {
    const { submission } = this.#record(job);
    if (!submission?.handle) return;
    if (submission.ending === null) {
      this.#change(job, { submission: { ...submission, ending: reason } });
      this.#save();
      this.#effects.log(`${job}: asks ${submission.submission} to end: ${reason}`);
    }
    await this.#effects.runners[submission.engine].stop(submission.handle, {
      deadline_ms: kill ? 0 : submission.stop_ms,
    });
  }

  async #finish(want: DueJob): Promise<void> {
    const { submission } = this.#record(want.name);
    if (submission) await this.#effects.finish?.(want, submission.submission);
  }

  /** `want`: the job as it should run; null when a failure says nothing about it. */
  #close(job: string, want: DueJob | null, failure: string | null, done = false): void {
    const record = this.#record(job);
    const { submission } = record;
    if (!submission) return;
    const at_ms = this.#effects.clock.nowMs();
    const heartbeat = this.#effects.heartbeats.of(job);
    // The job's own last words say more than its engine's.
    const own =
      heartbeat?.submission === submission.submission && heartbeat.state === "failed" && heartbeat.message
        ? `${heartbeat.message} (${heartbeat.error_code ?? "job_failed"})`
        : null;
    const reason =
      failure === null
        ? (submission.ending ?? (done ? "done" : "ended"))
        : (own ?? (submission.ending ? `${submission.ending}: ${failure}` : failure));
    this.#effects.params.remove(submission.params_path);
    this.#unknown_ms.delete(job);
    // A batch that failed is not tried again, unless its engine lost it.
    const lost = record.status?.state === "unknown" || submission.ending === "never ran";
    const final = failure !== null && want?.restarts === false && !lost;
    this.#change(job, {
      submission: null,
      status: record.status,
      done: done ? submission.hash : null,
      ...(final ? { gave_up: submission.hash } : {}),
      ...(done || final ? { ran_ms: submission.due_ms ?? null } : {}),
      failures: failure === null ? record.failures : [...recent(record.failures, at_ms, this.#limits), at_ms],
      last: {
        submission: submission.submission,
        id: submission.handle?.id ?? "",
        at_ms,
        reason,
        error_code: own === null ? null : (heartbeat?.error_code ?? null),
      },
    });
    this.#effects.log(`${job}: ${submission.submission} has ended: ${reason}`);
  }
}

export function describeStatus(status: JobStatus): string {
  return "reason" in status ? `${status.state}: ${status.reason}` : status.state;
}
