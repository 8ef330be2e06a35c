// Runs nothing: a JobRunner whose submissions go through states a test names, for supervise/ and for the shared suite.
// A submission's way is written in its entrypoint or set later by hand; failures are inputs, not patches.

import { PipelineError } from "../../contract/errors.ts";
import {
  type EngineKind,
  ended,
  type JobHandle,
  type JobRunner,
  type JobSpec,
  type JobStatus,
  lastLines,
} from "../../engines/job.ts";

interface Submission {
  readonly spec: JobSpec;
  readonly handle: JobHandle;
  status: JobStatus;
  lines: string[];
}

export interface FakeRunner extends JobRunner {
  /** True: every call rejects as if nobody answered. */
  unreachable: boolean;
  /** True: the next submit is taken by the engine, but its answer is lost on the way. */
  loseNextAnswer: boolean;
  /** Submissions in the order taken. */
  readonly submissions: readonly Submission[];
  /** Moves a submission to a state. */
  set(submission: string, status: JobStatus): void;
  /** The engine loses its memory of a submission, as after a restart of a head without storage. */
  forget(submission: string): void;
  alive(): Submission[];
}

/** What the suite's jobs print. */
const HELLO = "hello from the job";

export function fakeRunner(engine: EngineKind = "ray"): FakeRunner {
  const submissions: Submission[] = [];
  const address = `fake://${engine}`;
  const of = (submission: string) => submissions.find((s) => s.handle.submission === submission);

  const reach = () => {
    if (!fake.unreachable) return;
    const code = engine === "spark" ? "spark_unreachable" : "ray_unreachable";
    throw new PipelineError(code, `Cannot reach "${address}": expected an answer, got none`);
  };

  /** The end a suite job is asked for by its name; the others run until told. */
  const first = (spec: JobSpec): JobStatus => {
    if (spec.name.endsWith("-succeeds")) return { state: "succeeded" };
    if (spec.name.endsWith("-fails")) return { state: "failed", reason: "exit code 3" };
    return { state: "running" };
  };

  const fake: FakeRunner = {
    engine,
    address,
    unreachable: false,
    loseNextAnswer: false,
    submissions,

    async submit(spec) {
      reach();
      if (of(spec.submission))
        throw new PipelineError(
          "ray_rejected",
          `Cannot submit job "${spec.name}" to "${address}": expected a new submission id, "${spec.submission}" was used before`,
        );
      const handle = {
        id: `fake-${submissions.length}`,
        submission: spec.submission,
        params_path: spec.params_path,
      };
      submissions.push({ spec, handle, status: first(spec), lines: [HELLO] });
      if (fake.loseNextAnswer) {
        fake.loseNextAnswer = false;
        throw new PipelineError("ray_unreachable", `Cannot submit job "${spec.name}": the answer was lost`);
      }
      return handle;
    },

    async find(submission) {
      reach();
      const found = of(submission);
      return found && !ended(found.status) ? found.handle : null;
    },

    async list() {
      reach();
      return fake.alive().map(({ handle, status }) => ({ handle, status }));
    },

    async status({ submission }) {
      reach();
      return of(submission)?.status ?? { state: "unknown", reason: `no submission ${submission}` };
    },

    async stop({ submission }) {
      reach();
      const found = of(submission);
      if (found && !ended(found.status)) found.status = { state: "stopped" };
    },

    async logs({ submission }, { tail }) {
      reach();
      return lastLines((of(submission)?.lines ?? []).join("\n"), tail);
    },

    set(submission, status) {
      const found = of(submission);
      if (!found) throw new Error(`the fake has no submission "${submission}"`);
      found.status = status;
    },

    forget(submission) {
      const at = submissions.findIndex((s) => s.handle.submission === submission);
      if (at >= 0) submissions.splice(at, 1);
    },

    alive: () => submissions.filter(({ status }) => !ended(status)),
  };
  return fake;
}
