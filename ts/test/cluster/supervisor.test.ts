// The supervisor as its own process over the real Spark, Ray and processes: what is killed with kill -9 comes back, what runs
// is adopted, and there are never two of one job. The jobs are small real ones; the pipeline's own are in line.test.ts.

import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, inject, it, vi } from "vitest";
import type { EngineKind } from "../../engines/job.ts";
import { runnersOf } from "../../engines/runners.ts";
import { commandOf, livingProcesses } from "../../ground/proc.ts";
import { members } from "../../ground/process.ts";
import { until } from "../../ground/until.ts";
import type { Settings } from "../../settings/settings.ts";
import { changeDesired, type Desired, type DesiredJob } from "../../supervise/desired.ts";
import { readRecords, startSupervisor, supervisorLog, supervisorOf } from "../../supervise/run.ts";
import { stopNamespace } from "../../supervise/stop.ts";
import { untilEnded, untilRunning } from "../../supervise/submit.ts";
import { supervisedJobs } from "../../supervise/views.ts";

const fixtures = join(import.meta.dirname, "fixtures");
const home = mkdtempSync(join(tmpdir(), "mrs-"));
const settings: Settings = {
  ...inject("engines"),
  home,
  namespace: `sup-${randomBytes(3).toString("hex")}`,
};
/** Alone on two cores a Spark start takes 20 s; 396 s were seen on a machine that others used too. */
const DEADLINE_MS = 600_000;
vi.setConfig({ testTimeout: 3 * DEADLINE_MS });

const common = {
  pipeline: "suite",
  params: { task: "waits" },
  code: "",
  heartbeat_ms: null,
  stop_ms: 20_000,
  finite: false,
  restarts: true,
  schedule: null,
  since_ms: 0,
  asked_ms: null,
  attempt: 0,
};
const jobs: Record<EngineKind, DesiredJob> = {
  spark: {
    ...common,
    name: "suite-spark",
    launch: {
      engine: "spark",
      entrypoint: join(fixtures, "spark_task.py"),
      cores: 1,
      driver_memory: "512m",
      executor_memory: "512m",
      properties: {},
    },
  },
  ray: {
    ...common,
    name: "suite-ray",
    launch: { engine: "ray", entrypoint: "suite_task", code: join(fixtures, "ray_code") },
  },
  process: {
    ...common,
    name: "suite-process",
    launch: { engine: "process", command: "/bin/sleep", arguments: ["100000"] },
  },
};

/** Processes whose command line holds a text. */
const pidsWith = (text: string): number[] =>
  livingProcesses()
    .map(({ pid }) => pid)
    .filter((pid) => pid !== process.pid && commandOf(pid).includes(text));

const submissionOf = (job: string) => readRecords(settings)[job]?.submission?.submission ?? null;

async function alive(engine: EngineKind): Promise<string[]> {
  const start = `${settings.namespace}-${jobs[engine].name}-`;
  const all = await runnersOf(settings)[engine].list();
  return all.map(({ handle }) => handle.submission).filter((name) => name.startsWith(start));
}

const running = (desired: Desired) => untilRunning(settings, desired, { deadline_ms: DEADLINE_MS });

async function killSupervisor(): Promise<void> {
  const supervisor = supervisorOf(settings);
  expect(supervisor).not.toBeNull();
  process.kill(supervisor!.pid, "SIGKILL");
  const look = await until(() => ({ done: supervisorOf(settings) === null, seen: null }), {
    deadline_ms: 5_000,
  });
  expect(look.done).toBe(true);
}

async function want(engine: EngineKind): Promise<Desired> {
  const job = jobs[engine];
  await changeDesired(settings, (before) => ({ ...before, [job.name]: job }));
  return { [job.name]: job };
}

beforeAll(() => startSupervisor(settings));
afterEach(({ task }) => {
  if (task.result?.state === "fail") console.error(readFileSync(supervisorLog(settings), "utf8"));
});
afterAll(async () => {
  await stopNamespace(settings);
  rmSync(home, { recursive: true, force: true });
});

describe.each<[EngineKind, (submission: string) => number[]]>([
  ["process", (submission) => members({ pid: -1, mark: `job=${submission};` }).map(({ pid }) => pid)],
  ["ray", (submission) => pidsWith(`${submission}.json`)],
  ["spark", (submission) => pidsWith(`${submission}.json`)],
])("%s", (engine, pids) => {
  const job = jobs[engine].name;

  it("a desired job is submitted and runs", async () => {
    await running(await want(engine));
    expect(await alive(engine)).toEqual([submissionOf(job)]);
  });

  it("a killed job is started again by itself, under a new name, and is alone", async () => {
    // A Spark start costs twenty seconds; the pipeline's own driver is killed twice in line.test.ts.
    const rounds = engine === "spark" ? 1 : 2;
    for (let round = 0; round < rounds; round++) {
      const before = submissionOf(job)!;
      const victims = pids(before);
      expect(victims).not.toEqual([]);
      for (const pid of victims) process.kill(pid, "SIGKILL");
      const look = await until(
        () => {
          const record = readRecords(settings)[job];
          const seen = record?.submission?.submission;
          return { done: seen !== undefined && seen !== before && record?.status?.state === "running", seen };
        },
        { deadline_ms: DEADLINE_MS },
      );
      expect(look.done).toBe(true);
      expect(await alive(engine)).toEqual([look.seen]);
    }
    expect(readRecords(settings)[job]?.restarts).toBe(rounds);
  });

  it("a killed supervisor's successor adopts what runs", async () => {
    const before = submissionOf(job);
    await killSupervisor();
    startSupervisor(settings);
    await running({ [job]: jobs[engine] });
    expect(submissionOf(job)).toBe(before);
    expect(await alive(engine)).toEqual([before]);
  });

  it("a job taken out of the desired state ends after its current step", async () => {
    await changeDesired(settings, (before) =>
      Object.fromEntries(Object.entries(before).filter(([name]) => name !== job)),
    );
    await untilEnded(settings, [job], { deadline_ms: 60_000 });
    expect(await alive(engine)).toEqual([]);
  });
});

it("a supervisor killed at any moment of a submission leaves no twin", async () => {
  const job = jobs.ray.name;
  // From before the intent is written until after the engine's answer is.
  for (const after_ms of [0, 300, 1_000]) {
    if (!supervisorOf(settings)) startSupervisor(settings);
    await until(() => ({ done: supervisorOf(settings) !== null, seen: null }), { deadline_ms: 20_000 });
    const desired = await want("ray");
    await new Promise((resolve) => setTimeout(resolve, after_ms));
    await killSupervisor();
    startSupervisor(settings);
    await running(desired);
    expect(await alive("ray")).toEqual([submissionOf(job)]);
    await changeDesired(settings, () => ({}));
    await untilEnded(settings, [job], { deadline_ms: 60_000 });
  }
});

it("there is one supervisor, however many are started", async () => {
  for (let i = 0; i < 3; i++) startSupervisor(settings);
  await until(() => ({ done: supervisorOf(settings) !== null, seen: null }), { deadline_ms: 20_000 });
  // The others end by themselves once they find the lock taken.
  const file = join(home, settings.namespace, "settings.json");
  const look = await until(
    () => {
      const seen = pidsWith(file);
      return { done: seen.length === 1, seen };
    },
    { deadline_ms: 20_000 },
  );
  expect(look.seen).toEqual([supervisorOf(settings)!.pid]);
});

it("a job that fails again and again is given up, and the reason is seen", async () => {
  const job: DesiredJob = {
    ...jobs.process,
    name: "suite-broken",
    launch: { engine: "process", command: "/bin/false", arguments: [] },
  };
  await changeDesired(settings, (before) => ({ ...before, [job.name]: job }));
  const look = await until(
    () => {
      const seen = supervisedJobs(settings).find((row) => row.name === job.name);
      return { done: seen?.gave_up === true, seen };
    },
    { deadline_ms: 90_000 },
  );
  expect(look.seen).toMatchObject({
    state: "failed",
    reason: "given up: it ended with exit code 1",
    restarts: 4,
  });
  await expect(untilRunning(settings, { [job.name]: job }, { deadline_ms: 5_000 })).rejects.toMatchObject({
    code: "job_failed",
    message: expect.stringContaining("given up"),
  });
});
