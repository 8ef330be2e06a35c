// Starts jobs through Ray's Jobs API and follows each to an end state; uploads the code they run as one zip.
// Sits between supervise/ and one Ray head node. Does not know what any job computes.

import { PipelineError } from "../contract/errors.ts";
import { type Http, httpOf, isUncertain, parseReply, refusedReply } from "../ground/http.ts";
import { change, type Pace } from "../ground/repeat.ts";
import { until } from "../ground/until.ts";
import { ended, type JobHandle, type JobRunner, type JobStatus, lastLines } from "./job.ts";
import { zipOf } from "./package.ts";
import { wrongEngine } from "./spark.ts";

export interface RayAddress {
  /** `http://host:8265`. */
  readonly rayUrl: string;
  /** Python of the jobs, on every node. */
  readonly pythonPath: string;
}

/** Ray's words for a job. Source: ray `dashboard/modules/job/common.py`, `JobStatus`, 2.60.0. */
export const RAY_STATES = ["PENDING", "RUNNING", "STOPPED", "SUCCEEDED", "FAILED"] as const;
export type RayState = (typeof RAY_STATES)[number];

export function rayStatus(state: RayState, message: string | null): JobStatus {
  switch (state) {
    case "PENDING":
      return { state: "waiting", reason: message ?? "Ray prepares the job's environment" };
    case "RUNNING":
      return { state: "running" };
    case "STOPPED":
      return { state: "stopped" };
    case "SUCCEEDED":
      return { state: "succeeded" };
    case "FAILED":
      return { state: "failed", reason: message ?? "the entrypoint ended with an error" };
  }
}

/** What is read of a job. Source: ray `dashboard/modules/job/pydantic_models.py`, `JobDetails`. */
interface RayJob {
  readonly type: string;
  readonly submission_id: string | null;
  readonly status: string;
  readonly message: string | null;
  readonly metadata: Readonly<Record<string, string>> | null;
}

function rayState(word: string, url: string): RayState {
  const state = RAY_STATES.find((s) => s === word);
  if (state) return state;
  throw new PipelineError(
    "ray_rejected",
    `Cannot read the state of a job from "${url}": expected one of ${RAY_STATES.join(", ")}, got "${word}"`,
  );
}

export interface RayEffects {
  readonly http?: Http;
  /** How a submission whose answer was lost is resolved. */
  readonly pace?: Pace;
}

/** After SIGTERM Ray waits RAY_JOB_STOP_WAIT_TIME_S, then sends SIGKILL; this is the time for that to be done and seen. */
const KILL_MS = 20_000;

const quoted = (word: string) => `'${word.replaceAll("'", "'\\''")}'`;

export function rayRunner({ rayUrl, pythonPath }: RayAddress, effects: RayEffects = {}): JobRunner {
  const { http = httpOf("ray_unreachable"), pace } = effects;
  // The trailing slash is required: without it Ray answers 405.
  const jobs = `${rayUrl}/api/jobs/`;

  async function look(submission: string): Promise<RayJob | null> {
    const url = `${jobs}${submission}`;
    const action = `read the state of job "${submission}"`;
    const reply = await http({ action, url });
    return reply.status === 404 ? null : parseReply<RayJob>(reply, "ray_rejected", action, url);
  }

  async function status({ submission }: JobHandle): Promise<JobStatus> {
    const job = await look(submission);
    if (!job) return { state: "unknown", reason: `Ray does not know job ${submission}` };
    return rayStatus(rayState(job.status, jobs), job.message);
  }

  /** The zip's address, uploaded unless Ray has it. Asking also keeps Ray from dropping it until the job holds it. */
  async function upload(folder: string): Promise<string> {
    const { name, bytes } = zipOf(folder);
    const url = `${rayUrl}/api/packages/gcs/${name}`;
    const action = `upload "${folder}"`;
    const held = await http({ action, url });
    if (held.status !== 200) {
      const reply = await http({ action, method: "PUT", url, body: bytes });
      if (reply.status !== 200) throw refusedReply(reply, "ray_rejected", action, url, "HTTP 200");
    }
    return `gcs://${name}`;
  }

  const handleOf = (submission: string, job: RayJob): JobHandle => ({
    id: submission,
    submission,
    params_path: job.metadata?.["params_path"] ?? "",
  });

  return {
    engine: "ray",
    address: rayUrl,

    async submit({ name, submission, params_path, launch }) {
      if (launch.engine !== "ray") throw wrongEngine(name, launch.engine);
      const action = `submit job "${name}"`;
      // Ray answers 500 to an id it has seen: look first.
      if (await look(submission))
        throw new PipelineError(
          "ray_rejected",
          `Cannot ${action} to "${rayUrl}": expected a new submission id, "${submission}" was used before`,
        );
      const working_dir = await upload(launch.code);
      // Asked blindly a second time, Ray would refuse what it has taken.
      return change({
        pace,
        passes: isUncertain,
        find: async () => {
          const job = await look(submission);
          return job && handleOf(submission, job);
        },
        make: async () => {
          const reply = await http({
            action,
            method: "POST",
            url: jobs,
            body: {
              submission_id: submission,
              // exec: the signal of a stop reaches Python itself and not a shell around it.
              entrypoint: `exec ${quoted(pythonPath)} -m ${launch.entrypoint} ${quoted(params_path)}`,
              runtime_env: { working_dir },
              metadata: { name, params_path },
            },
          });
          const { submission_id } = parseReply<{ submission_id?: string }>(
            reply,
            "ray_rejected",
            action,
            jobs,
          );
          if (submission_id !== submission)
            throw new PipelineError(
              "ray_rejected",
              `Cannot ${action} to "${rayUrl}": expected submission id "${submission}", got "${submission_id}"`,
            );
          return { id: submission, submission, params_path };
        },
      });
    },

    async find(submission) {
      const job = await look(submission);
      return job && !ended(rayStatus(rayState(job.status, jobs), job.message))
        ? handleOf(submission, job)
        : null;
    },

    async list() {
      const action = "list jobs";
      const all = parseReply<RayJob[]>(await http({ action, url: jobs }), "ray_rejected", action, jobs);
      return all.flatMap((job) => {
        if (job.type !== "SUBMISSION" || job.submission_id === null) return [];
        const status = rayStatus(rayState(job.status, jobs), job.message);
        return ended(status) ? [] : [{ handle: handleOf(job.submission_id, job), status }];
      });
    },

    status,

    async stop(handle, { deadline_ms }) {
      const gone = async () => {
        const seen = await status(handle);
        return { done: ended(seen), seen };
      };
      if ((await gone()).done) return;
      const url = `${jobs}${handle.submission}/stop`;
      const action = `stop job "${handle.submission}"`;
      const reply = await http({ action, method: "POST", url, repeatable: true });
      // 404: the head has forgotten it in the meantime.
      if (reply.status !== 404) parseReply<object>(reply, "ray_rejected", action, url);
      const look = await until(gone, { deadline_ms: deadline_ms + KILL_MS, interval_ms: 250 });
      if (!look.done)
        throw new PipelineError(
          "job_timed_out",
          `Cannot stop job "${handle.submission}" at "${rayUrl}": expected it to end, it is ${look.seen.state}`,
        );
    },

    async logs({ submission }, { tail }) {
      const url = `${jobs}${submission}/logs`;
      const action = `read the log of job "${submission}"`;
      const reply = await http({ action, url });
      if (reply.status === 404) return "";
      return lastLines(parseReply<{ logs: string }>(reply, "ray_rejected", action, url).logs, tail);
    },
  };
}
