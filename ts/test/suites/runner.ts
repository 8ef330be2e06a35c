// What every JobRunner must do, as one suite: run on the fake in unit tests and on Spark, Ray and processes in cluster
// tests. What a runner cannot do is listed with its reason and must really fail, so that the list cannot go stale.

import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { ended, type JobHandle, type JobRunner, type JobSpec, type JobStatus } from "../../engines/job.ts";
import { until } from "../../ground/until.ts";

/** What the suite asks a job to do. `waits` ends only when stopped, after its current step. */
export type Task = "succeeds" | "fails" | "waits" | "stubborn";

export interface Harness {
  readonly runner: JobRunner;
  /** A spec of a job that does the task and prints "hello from the job". */
  spec(task: Task, submission: string): JobSpec;
  /** Time for a submission to get from taken to running or to its end. */
  readonly start_ms: number;
  /** A runner for an address where nobody answers. */
  readonly unreachable: JobRunner;
}

/** Behaviours by name, so that an expected failure can be listed. */
export const BEHAVIOURS = [
  "a job that succeeds ends as succeeded, and its log holds what it printed",
  "a job that fails ends as failed with a reason",
  "a running job is found by its name, listed, and ends as stopped when it ends by itself after a stop",
  "a job that ignores the stop is killed at the deadline",
  "a name used before is refused",
  "a submission nobody made is unknown, is not found, has no log and can be stopped",
  "an engine that does not answer is unreachable, never unknown",
] as const;
export type Behaviour = (typeof BEHAVIOURS)[number];

export function jobRunnerSuite(
  make: () => Promise<Harness>,
  impossible: Partial<Record<Behaviour, string>> = {},
): void {
  const fresh = () => `suite-${randomBytes(5).toString("hex")}`;

  const test = (name: Behaviour, body: (harness: Harness) => Promise<void>) => {
    const reason = impossible[name];
    if (reason) it.fails(`${name} (cannot: ${reason})`, async () => body(await make()));
    else it(name, async () => body(await make()));
  };

  async function reach(
    { runner, start_ms }: Harness,
    handle: JobHandle,
    wanted: (status: JobStatus) => boolean,
  ): Promise<JobStatus> {
    const look = await until(
      async () => {
        const seen = await runner.status(handle);
        return { done: wanted(seen), seen };
      },
      { deadline_ms: start_ms, interval_ms: 200 },
    );
    if (!look.done)
      expect.fail(`still ${JSON.stringify(look.seen)}; log:\n${await runner.logs(handle, { tail: 40 })}`);
    return look.seen;
  }
  const running = (status: JobStatus) => status.state === "running";

  describe("JobRunner", () => {
    test(BEHAVIOURS[0], async (harness) => {
      const handle = await harness.runner.submit(harness.spec("succeeds", fresh()));
      expect(await reach(harness, handle, ended)).toEqual({ state: "succeeded" });
      expect(await harness.runner.logs(handle, { tail: 500 })).toContain("hello from the job");
      expect((await harness.runner.logs(handle, { tail: 1 })).split("\n")).toHaveLength(1);
    });

    test(BEHAVIOURS[1], async (harness) => {
      const handle = await harness.runner.submit(harness.spec("fails", fresh()));
      const status = await reach(harness, handle, ended);
      expect(status.state).toBe("failed");
      expect(status.state === "failed" && status.reason).not.toBe("");
    });

    test(BEHAVIOURS[2], async (harness) => {
      const { runner } = harness;
      const spec = harness.spec("waits", fresh());
      const handle = await runner.submit(spec);
      try {
        expect((await runner.find(spec.submission))?.id).toBe(handle.id);
        await reach(harness, handle, running);
        // Running is the engine's word; the job itself may still be importing what it needs.
        const printed = await until(
          async () => {
            const seen = await runner.logs(handle, { tail: 500 });
            return { done: seen.includes("hello from the job"), seen };
          },
          { deadline_ms: harness.start_ms },
        );
        expect(printed.seen).toContain("hello from the job");
        const listed = (await runner.list()).find((row) => row.handle.submission === spec.submission);
        expect(listed?.handle.id).toBe(handle.id);
        expect(listed?.status).toEqual({ state: "running" });
      } finally {
        await runner.stop(handle, { deadline_ms: 30_000 });
      }
      expect((await runner.status(handle)).state).toMatch(/stopped|succeeded/);
      expect(await runner.find(spec.submission)).toBeNull();
      expect((await runner.list()).map((row) => row.handle.submission)).not.toContain(spec.submission);
      expect(await runner.logs(handle, { tail: 500 })).toContain("ended after its current step");
      // A second stop finds nothing to do.
      await runner.stop(handle, { deadline_ms: 1_000 });
    });

    test(BEHAVIOURS[3], async (harness) => {
      const handle = await harness.runner.submit(harness.spec("stubborn", fresh()));
      await reach(harness, handle, running);
      await harness.runner.stop(handle, { deadline_ms: 1_000 });
      expect(ended(await harness.runner.status(handle))).toBe(true);
    });

    test(BEHAVIOURS[4], async (harness) => {
      const spec = harness.spec("succeeds", fresh());
      const handle = await harness.runner.submit(spec);
      try {
        await expect(harness.runner.submit(spec)).rejects.toThrow(/used before/);
      } finally {
        await harness.runner.stop(handle, { deadline_ms: 0 });
      }
    });

    test(BEHAVIOURS[5], async ({ runner }) => {
      const submission = fresh();
      const nobody: JobHandle = { id: submission, submission, params_path: `/nowhere/${submission}` };
      expect((await runner.status(nobody)).state).toBe("unknown");
      expect(await runner.find(submission)).toBeNull();
      expect(await runner.logs(nobody, { tail: 10 })).toBe("");
      await runner.stop(nobody, { deadline_ms: 1_000 });
    });

    test(BEHAVIOURS[6], async ({ unreachable, spec }) => {
      const submission = fresh();
      const handle: JobHandle = { id: submission, submission, params_path: `/nowhere/${submission}` };
      for (const call of [
        () => unreachable.status(handle),
        () => unreachable.find(submission),
        () => unreachable.list(),
        () => unreachable.submit(spec("succeeds", submission)),
        () => unreachable.stop(handle, { deadline_ms: 1_000 }),
      ])
        await expect(call()).rejects.toMatchObject({
          code: `${unreachable.engine}_unreachable`,
          message: expect.stringMatching(/^Cannot .*: expected an answer, got none/),
        });
    });
  });
}
