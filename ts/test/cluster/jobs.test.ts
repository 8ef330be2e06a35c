// The JobRunner suite on the real engines: Spark's REST API, Ray's Jobs API, and processes of this machine.
// The fake passes the same suite in unit tests (test/fakes/runner.test.ts).

import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, inject, it } from "vitest";
import { applicationRunner, driverOf } from "../../engines/application.ts";
import type { JobSpec, Launch } from "../../engines/job.ts";
import { processRunner } from "../../engines/process.ts";
import { rayRunner } from "../../engines/ray.ts";
import { sparkRunner } from "../../engines/spark.ts";
import { until } from "../../ground/until.ts";
import { pipelineOf } from "../../pipelines/index.ts";
import { type Harness, jobRunnerSuite, type Task } from "../suites/runner.ts";

const settings = inject("engines");
const fixtures = join(import.meta.dirname, "fixtures");
const folder = mkdtempSync(join(settings.home, "jobs-"));
/** Nobody listens on it: port 9 is discard. */
const nobody = `http://${settings.host}:9`;

function specOf(launch: (params_path: string) => Launch): (task: Task, submission: string) => JobSpec {
  return (task, submission) => {
    const params_path = join(folder, `${submission}.json`);
    writeFileSync(params_path, JSON.stringify({ task }));
    return { name: `suite-${task}`, submission, params_path, launch: launch(params_path) };
  };
}

const sparkLaunch: Launch = {
  engine: "spark",
  entrypoint: join(fixtures, "spark_task.py"),
  cores: 1,
  driver_memory: "512m",
  executor_memory: "512m",
  properties: {},
};

describe("spark", () => {
  const harness: Harness = {
    runner: sparkRunner(settings),
    spec: specOf(() => sparkLaunch),
    start_ms: 180_000,
    unreachable: sparkRunner({ ...settings, sparkRestUrl: nobody, sparkUiUrl: nobody }),
  };
  jobRunnerSuite(async () => harness);

  it("a driver whose application has no cores is waiting, not running", async () => {
    const { runner, spec } = harness;
    const job = spec("waits", `suite-huge-${process.pid}`);
    const handle = await runner.submit({ ...job, launch: { ...sparkLaunch, executor_memory: "900g" } });
    try {
      const look = await until(
        async () => {
          const seen = await runner.status(handle);
          return { done: seen.state === "waiting" && seen.reason.includes("no cores"), seen };
        },
        { deadline_ms: 180_000 },
      );
      expect(look.seen).toEqual({
        state: "waiting",
        reason: "the driver runs, its application has no cores yet",
      });
    } finally {
      await runner.stop(handle, { deadline_ms: 0 });
    }
  });
});

describe("spark, as members of one application", () => {
  const below = join(folder, "applications");
  const launch: Launch = {
    ...sparkLaunch,
    entrypoint: join(fixtures, "spark_members.py"),
    // What a member that is stubborn occupies is the thread of its own, not a core.
    shared: {
      name: `suite-${process.pid}-streams`,
      hash: "01234567",
      params: { delta: false, idle_ms: 15_000 },
    },
  };
  const { fingerprint } = pipelineOf("weather").contract;
  const runner = applicationRunner(sparkRunner(settings), below);
  const spec = (task: Task, submission: string): JobSpec => {
    const name = `suite-${task}`;
    const params_path = join(folder, `${submission}.json`);
    const progress = { progress_topic: null, progress_schema_id: 1 };
    const params = { task, job: name, submission, fingerprint, kafka: null, ...progress };
    writeFileSync(params_path, JSON.stringify(params));
    return { name, submission, params_path, launch };
  };
  jobRunnerSuite(async () => ({
    runner,
    spec,
    start_ms: 180_000,
    unreachable: applicationRunner(
      sparkRunner({ ...settings, sparkRestUrl: nobody, sparkUiUrl: nobody }),
      join(folder, "elsewhere"),
    ),
  }));

  it("start one driver however many there are, and it ends by itself when it has nobody left", async () => {
    const handles = await Promise.all(
      [1, 2, 3].map((n) => runner.submit(spec("waits", `suite-together-${process.pid}-${n}`))),
    );
    for (const handle of handles) {
      const { seen } = await until(
        async () => {
          const seen = await runner.status(handle);
          return { done: seen.state === "running", seen };
        },
        { deadline_ms: 180_000 },
      );
      expect(seen).toEqual({ state: "running" });
    }
    const [driver, ...others] = new Set(handles.map((handle) => driverOf(handle).id));
    expect(others).toEqual([]);
    await Promise.all(handles.map((handle) => runner.stop(handle, { deadline_ms: 180_000 })));
    const { submission } = driverOf(handles[0]!);
    const look = await until(
      async () => {
        const seen = await sparkRunner(settings).status({ id: driver!, submission, params_path: "" });
        return { done: seen.state === "succeeded", seen };
      },
      { deadline_ms: 120_000 },
    );
    expect(look.seen).toEqual({ state: "succeeded" });
  });
});

describe("ray", () => {
  jobRunnerSuite(async () => ({
    runner: rayRunner(settings),
    spec: specOf(() => ({ engine: "ray", entrypoint: "suite_task", code: join(fixtures, "ray_code") })),
    start_ms: 60_000,
    unreachable: rayRunner({ ...settings, rayUrl: nobody }),
  }));
});

describe("process", () => {
  const place = { folder: join(folder, "processes"), cwd: folder };
  mkdirSync(place.folder);
  jobRunnerSuite(
    async () => ({
      runner: processRunner(place),
      spec: specOf((params_path) => ({
        engine: "process",
        command: settings.pythonPath,
        arguments: [join(fixtures, "ray_code", "suite_task.py"), params_path],
      })),
      start_ms: 10_000,
      unreachable: processRunner(place),
    }),
    { "an engine that does not answer is unreachable, never unknown": "this machine always answers" },
  );
});
