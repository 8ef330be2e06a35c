import { describe, expect, it } from "vitest";
import type { Desired, DesiredJob } from "../supervise/desired.ts";
import type { JobRecord } from "../supervise/supervisor.ts";
import { viewsOf } from "./views.ts";

const want = (name: string): DesiredJob => ({
  name,
  launch: { engine: "ray", entrypoint: "m", code: "c" },
  params: {},
  code: "c",
  heartbeat_ms: 90_000,
  stop_ms: 30_000,
  attempt: 0,
});
const record = (more: Partial<JobRecord> = {}): JobRecord => ({
  engine: "ray",
  submission: {
    submission: "s-1",
    hash: "h",
    engine: "ray",
    params_path: "p",
    handle: null,
    submitted_ms: 0,
    running_ms: null,
    ending: null,
    stop_ms: 1,
  },
  status: { state: "running" },
  failures: [],
  gave_up: null,
  restarts: 2,
  last: null,
  ...more,
});
const desired: Desired = { a: want("a") };

describe("viewsOf()", () => {
  it("a wanted job that nobody has started yet is stopped", () => {
    expect(viewsOf(desired, {})).toEqual([
      {
        name: "a",
        engine: "ray",
        desired: true,
        state: "stopped",
        reason: null,
        submission: null,
        restarts: null,
        gave_up: false,
      },
    ]);
  });

  it("a running job has no reason, whatever ended the one before it", () => {
    const last = { submission: "s-0", at_ms: 0, reason: "killed" };
    expect(viewsOf(desired, { a: record({ last }) })[0]).toMatchObject({
      state: "running",
      reason: null,
      submission: "s-1",
      restarts: 2,
    });
  });

  it("a job given up says why", () => {
    const gave_up = "5 failures in 10 minutes";
    const status = { state: "failed", reason: "exit 1" } as const;
    expect(viewsOf(desired, { a: record({ gave_up, status }) })[0]).toMatchObject({
      state: "failed",
      reason: gave_up,
      gave_up: true,
    });
  });

  it("an engine that does not answer leaves the state unknown", () => {
    expect(viewsOf(desired, { a: record({ status: null }) })[0]).toMatchObject({
      state: "unknown",
      gave_up: false,
    });
  });

  it("a job that is no longer wanted is still shown", () => {
    expect(viewsOf({}, { b: record({ status: { state: "stopped" } }) })[0]).toMatchObject({
      name: "b",
      desired: false,
      state: "stopped",
    });
  });
});
