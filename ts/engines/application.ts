// Jobs that share one Spark application, as jobs like any other: a JobRunner around Spark's, whose driver is an application's. It
// starts one when the first member comes and none lives, hands it members, and says of each how it fares. Deliberately no word of
// restarts: an application that dies ends its members, and whoever keeps them running submits each again.
//
// Both sides meet in a folder, one an application, below that of all of them: `application.json` are its own parameters,
// `<submission>.json` asks for a member, `<submission>.state` is what became of it, `closed` says that no further one is taken, `killed`
// why it was killed (jobs/pyspark/spark_jobs/kit/application.py). A state is linked into its place by whoever is first, the
// application that begins the member or the one that takes it back.

import { randomBytes } from "node:crypto";
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { PipelineError } from "../contract/errors.ts";
import { readJson, writeJson } from "../ground/json.ts";
import { lockWithin } from "../ground/lock.ts";
import { until } from "../ground/until.ts";
import {
  abortMarker,
  ended,
  type JobHandle,
  type JobRunner,
  type JobSpec,
  type JobStatus,
  type Shared,
  stopMarker,
} from "./job.ts";

const OWN_PARAMS = "application.json";

/** What an application writes of a member; `state` is a symbol of job_state. */
interface Said {
  readonly state: "running" | "succeeded" | "failed" | "stopped";
  readonly reason: string | null;
  readonly error_code: string | null;
}

/** What is asked of an application. */
interface Asked {
  readonly job: string;
  readonly params_path: string;
}

/** A driver that runs looks for members every second; one that is about to close says so instead. */
const TAKE_MS = 5_000;
/** Who asks for an application waits for another that does: a request to Spark, and its answer. */
const TURN_MS = 60_000;
/** A query that is ended in the middle of its batch waits for its tasks, which hear of it at their next record. */
const ABORT_MS = 20_000;
/** Folders of applications that have ended, for whoever still asks what became of a member. */
const KEPT = 20;

/** How a member fares, by what its driver's engine says and what was said of it; `killed` is why the driver was killed. */
export function memberStatus(driver: JobStatus, said: Said | null, killed: string | null = null): JobStatus {
  const end = said && endOf(said);
  if (end) return end;
  switch (driver.state) {
    case "waiting":
    case "unknown":
      return driver;
    case "running":
      return said
        ? { state: "running" }
        : { state: "waiting", reason: "its application has not begun it yet" };
    case "succeeded":
    case "failed":
    case "stopped": {
      const how = killed ?? ("reason" in driver ? driver.reason : driver.state);
      return { state: "failed", reason: `its application has ended: ${how}` };
    }
  }
}

function endOf({ state, reason, error_code }: Said): JobStatus | null {
  switch (state) {
    case "running":
      return null;
    case "succeeded":
    case "stopped":
      return { state };
    case "failed":
      return { state, reason: `${reason ?? "no reason"} (${error_code ?? "job_failed"})` };
  }
}

/** The driver that a submission runs in: its application's, or its own. */
export function driverOf(handle: JobHandle): Pick<JobHandle, "id" | "submission"> {
  const at = handle.id.indexOf("@");
  return at < 0 ? handle : { id: handle.id.slice(0, at), submission: handle.id.slice(at + 1) };
}

/** `spark` runs what has an application of its own, and the applications; their folders lie below `folder`. */
export function applicationRunner(
  spark: JobRunner,
  folder: string,
  { take_ms = TAKE_MS, abort_ms = ABORT_MS } = {},
): JobRunner {
  const within = (application: string, name: string) => join(folder, application, name);
  const paramsOf = (application: string) => within(application, OWN_PARAMS);
  const isOurs = (submission: string) => existsSync(paramsOf(submission));
  const isClosed = (application: string) => existsSync(within(application, "closed"));
  const statePath = (application: string, member: string) => within(application, `${member}.state`);
  const saidOf = (application: string, member: string) => readJson<Said>(statePath(application, member));

  const memberHandle = (driver: JobHandle, submission: string, params_path: string): JobHandle => ({
    id: `${driver.id}@${driver.submission}`,
    submission,
    params_path,
  });
  /** The driver of a member; null for a submission that is none. */
  const applicationOf = (handle: JobHandle): JobHandle | null => {
    const driver = driverOf(handle);
    return driver === handle ? null : { ...driver, params_path: paramsOf(driver.submission) };
  };

  function membersOf(application: string): { readonly submission: string; readonly params_path: string }[] {
    return readdirSync(join(folder, application))
      .filter((name) => name.endsWith(".json") && name !== OWN_PARAMS)
      .flatMap((name) => {
        // Null: taken back since the folder was read.
        const asked = readJson<Asked>(within(application, name));
        return asked ? [{ submission: name.slice(0, -".json".length), params_path: asked.params_path }] : [];
      });
  }

  /** Applications of which anything is known here, newest first. */
  function applications(): string[] {
    if (!existsSync(folder)) return [];
    return readdirSync(folder)
      .filter(isOurs)
      .map((name) => ({ name, at_ms: statSync(join(folder, name)).mtimeMs }))
      .sort((a, b) => b.at_ms - a.at_ms)
      .map(({ name }) => name);
  }

  const askedFor = (submission: string) =>
    applications().find((application) => existsSync(within(application, `${submission}.json`))) ?? null;

  function ask(application: string, { name, submission, params_path }: JobSpec): void {
    writeJson(within(application, `${submission}.json`), { job: name, params_path } satisfies Asked);
  }

  /** Writes down that a member has ended before it began; false when it has begun. */
  function takeBack(application: string, submission: string): boolean {
    const path = statePath(application, submission);
    const beside = `${path}.${process.pid}.new`;
    writeFileSync(
      beside,
      JSON.stringify({ state: "stopped", reason: null, error_code: null } satisfies Said),
    );
    try {
      linkSync(beside, path);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
      throw error;
    } finally {
      rmSync(beside, { force: true });
    }
  }

  /** Whether a running application takes the member it was asked for: it may be about to end. */
  async function takes(application: string, submission: string): Promise<boolean> {
    const look = await until(
      () => {
        // In this order: once it has closed it begins no member.
        const closed = isClosed(application);
        return { done: closed || saidOf(application, submission) !== null, seen: closed };
      },
      { deadline_ms: take_ms },
    );
    if (!look.seen || saidOf(application, submission) !== null) return true;
    rmSync(within(application, `${submission}.json`), { force: true });
    return false;
  }

  async function joined(spec: JobSpec, shared: Shared): Promise<JobHandle | null> {
    for (const { handle, status } of await spark.list()) {
      const { submission } = handle;
      if (!submission.startsWith(`${shared.name}-${shared.hash}-`) || !isOurs(submission)) continue;
      if (ended(status) || isClosed(submission)) continue;
      ask(submission, spec);
      if (status.state !== "running" || (await takes(submission, spec.submission)))
        return memberHandle(handle, spec.submission, spec.params_path);
    }
    return null;
  }

  async function begin(spec: JobSpec, shared: Shared): Promise<JobHandle> {
    await forget();
    const submission = `${shared.name}-${shared.hash}-${Date.now().toString(36)}${randomBytes(3).toString("hex")}`;
    const params_path = paramsOf(submission);
    writeJson(params_path, shared.params);
    // Before the application is: whoever comes after a kill in between finds the member by what it was asked of.
    ask(submission, spec);
    try {
      const driver = await spark.submit({ name: shared.name, submission, params_path, launch: spec.launch });
      return memberHandle(driver, spec.submission, spec.params_path);
    } catch (error) {
      if (error instanceof PipelineError && error.code === "spark_rejected")
        rmSync(join(folder, submission), { recursive: true, force: true });
      throw error;
    }
  }

  /** Removes what is known of applications that have ended long ago. */
  async function forget(): Promise<void> {
    const old = applications().slice(KEPT);
    if (old.length === 0) return;
    const live = new Set((await spark.list()).map(({ handle }) => handle.submission));
    for (const application of old)
      if (!live.has(application)) rmSync(join(folder, application), { recursive: true, force: true });
  }

  const killedFor = (application: string): string | null => {
    const path = within(application, "killed");
    return existsSync(path) ? readFileSync(path, "utf8") : null;
  };

  async function status(handle: JobHandle): Promise<JobStatus> {
    const application = applicationOf(handle);
    if (!application) return spark.status(handle);
    const look = () => saidOf(application.submission, handle.submission);
    const before = look();
    const end = before && endOf(before);
    if (end) return end;
    const driver = await spark.status(application);
    // It may have said its last word while the engine was asked.
    return memberStatus(driver, look(), killedFor(application.submission));
  }

  /** Ends the driver with all of its members, because of one. */
  async function killFor(application: JobHandle, submission: string): Promise<void> {
    const path = within(application.submission, "killed");
    if (existsSync(join(folder, application.submission)))
      writeFileSync(path, `it was killed, ${submission} neither began nor ended when it was asked to`);
    await spark.stop(application, { deadline_ms: 0 });
  }

  return {
    engine: spark.engine,
    address: spark.address,

    async submit(spec) {
      const { launch, submission, name } = spec;
      const shared = launch.engine === "spark" ? launch.shared : undefined;
      if (shared === undefined) return spark.submit(spec);
      mkdirSync(folder, { recursive: true });
      // One at a time, so that two that come together share one application.
      const turn = await lockWithin(join(folder, `${shared.name}.turn`), TURN_MS);
      if (turn === null)
        throw new PipelineError(
          "job_timed_out",
          `Cannot submit job "${name}" to "${spark.address}": expected its turn at application "${shared.name}" within ${TURN_MS / 1000} s`,
        );
      try {
        if (askedFor(submission) !== null)
          throw new PipelineError(
            "spark_rejected",
            `Cannot submit job "${name}" to "${spark.address}": expected a new submission, "${submission}" was used before`,
          );
        return (await joined(spec, shared)) ?? (await begin(spec, shared));
      } finally {
        turn.release();
      }
    },

    async find(submission) {
      const application = askedFor(submission);
      if (application === null) return spark.find(submission);
      const said = saidOf(application, submission);
      if (said && endOf(said)) return null;
      const driver = await spark.find(application);
      const asked = readJson<Asked>(within(application, `${submission}.json`));
      return driver && asked ? memberHandle(driver, submission, asked.params_path) : null;
    },

    async list() {
      return (await spark.list()).flatMap((one) => {
        const { handle, status: driver } = one;
        if (!isOurs(handle.submission)) return [one];
        return membersOf(handle.submission)
          .map(({ submission, params_path }) => ({
            handle: memberHandle(handle, submission, params_path),
            status: memberStatus(driver, saidOf(handle.submission, submission)),
          }))
          .filter((member) => !ended(member.status));
      });
    },

    status,

    async stop(handle, { deadline_ms }) {
      const application = applicationOf(handle);
      if (!application) return spark.stop(handle, { deadline_ms });
      const gone = async () => {
        const seen = await status(handle);
        return { done: ended(seen), seen };
      };
      if ((await gone()).done) return;
      const { submission } = application;
      if (takeBack(submission, handle.submission)) {
        // A driver that still waits for room, and has nobody left to run, would wait on. One that has not begun a member for so long
        // that it is to be killed answers nobody.
        const left = membersOf(submission).some((member) => {
          const said = saidOf(submission, member.submission);
          return said === null || endOf(said) === null;
        });
        if (deadline_ms === 0 || (!left && (await spark.status(application)).state === "waiting"))
          await killFor(application, handle.submission);
        return;
      }
      writeFileSync(stopMarker(handle.params_path), "");
      if (deadline_ms > 0 && (await until(gone, { deadline_ms, interval_ms: 250 })).done) return;
      writeFileSync(abortMarker(handle.params_path), "");
      if ((await until(gone, { deadline_ms: abort_ms, interval_ms: 250 })).done) return;
      await killFor(application, handle.submission);
    },

    logs: (handle, options) => spark.logs(applicationOf(handle) ?? handle, options),
  };
}
