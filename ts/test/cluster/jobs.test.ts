// The JobRunner suite on the real engines: Spark's REST API, Ray's Jobs API, and processes of this machine.
// The fake passes the same suite in unit tests (test/fakes/runner.test.ts).

import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, inject, it } from "vitest";
import type { JobSpec, Launch } from "../../engines/job.ts";
import { processRunner } from "../../engines/process.ts";
import { rayRunner } from "../../engines/ray.ts";
import { sparkRunner } from "../../engines/spark.ts";
import { until } from "../../ground/until.ts";
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
