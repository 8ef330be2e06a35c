// The application that several Spark jobs share, without Spark: a driver of the fake runner that looks into its folder as the real one
// does (jobs/pyspark/spark_jobs/kit/application.py) and does the suite's tasks, by the end of a member's name.

import { existsSync, linkSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { applicationRunner } from "../../engines/application.ts";
import { abortMarker, type JobRunner, type Launch, stopMarker } from "../../engines/job.ts";
import { type FakeRunner, fakeRunner } from "./runner.ts";

export interface FakeApplications {
  readonly runner: JobRunner;
  /** What runs the drivers. */
  readonly spark: FakeRunner;
  /** Whether drivers look into their folders. */
  looking: boolean;
  /** One look of every driver that lives. */
  look(): void;
  /** Says that an application takes no member any more, as one that is about to end. */
  shut(application: string): void;
  end(): void;
}

const LOOK_MS = 5;

export const FAKE_LAUNCH = {
  engine: "spark",
  entrypoint: "/streams.py",
  cores: 3,
  driver_memory: "724m",
  executor_memory: "1300m",
  properties: {},
  shared: { name: "x-weather-streams", hash: "01234567", params: { delta: true, idle_ms: 1 } },
} as const satisfies Launch;

export function fakeApplications(folder: string): FakeApplications {
  const spark = fakeRunner("spark");
  const say = (path: string, state: string, reason: string | null = null, first = false) => {
    const beside = `${path}.${Math.random()}.new`;
    writeFileSync(beside, JSON.stringify({ state, reason, error_code: reason && "job_failed" }));
    if (first) linkSync(beside, path);
    else writeFileSync(path, readFileSync(beside));
    rmSync(beside);
  };
  const fake: FakeApplications = {
    spark,
    runner: applicationRunner(spark, folder, { take_ms: 200, abort_ms: 100 }),
    looking: true,
    look() {
      if (!fake.looking || spark.unreachable) return;
      for (const { handle, lines } of spark.alive()) {
        const own = dirname(handle.params_path);
        if (!existsSync(own) || existsSync(join(own, "closed"))) continue;
        for (const name of readdirSync(own)) {
          if (!name.endsWith(".json") || name === "application.json") continue;
          const { job, params_path } = JSON.parse(readFileSync(join(own, name), "utf8"));
          const path = join(own, name.replace(/\.json$/, ".state"));
          if (!existsSync(path)) {
            say(path, "running", null, true);
            lines.push("hello from the job");
          } else if (JSON.parse(readFileSync(path, "utf8")).state !== "running") continue;
          else if (job.endsWith("-succeeds")) say(path, "succeeded");
          else if (job.endsWith("-fails")) say(path, "failed", "exit code 3");
          else if (job.endsWith("-stubborn")) continue;
          else if (existsSync(abortMarker(params_path))) say(path, "stopped", "its batch was left");
          else if (job.endsWith("-slow")) continue;
          else if (existsSync(stopMarker(params_path))) {
            lines.push("ended after its current step");
            say(path, "stopped");
          }
        }
      }
    },
    shut: (application) => writeFileSync(join(folder, application, "closed"), ""),
    end: () => clearInterval(timer),
  };
  const timer = setInterval(() => fake.look(), LOOK_MS);
  return fake;
}
