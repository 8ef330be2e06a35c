// `millrace jobs`: what should run and what does, as the supervisor has written it down, beside every job there is.

import { Command } from "commander";
import { typesOf } from "../../jobs/index.ts";
import { namesOf, pipelineOf } from "../../pipelines/index.ts";
import type { Settings } from "../../settings/settings.ts";
import { supervisorOf } from "../../supervise/run.ts";
import { absentJob, type SupervisedJob, supervisedJobs } from "../../supervise/views.ts";

/** Rows of all jobs of the pipeline, those nobody asked for too. */
export function allJobs(settings: Settings): SupervisedJob[] {
  const known = new Map(supervisedJobs(settings).map((row) => [row.name, row]));
  const { pipeline } = pipelineOf(settings.pipeline);
  const names = namesOf(pipeline, settings.namespace);
  return typesOf(pipeline).map(
    ({ name, engine }) => known.get(names.job(name)) ?? absentJob(names.job(name), engine),
  );
}

export function printJobs(settings: Settings, json: boolean): void {
  const rows = allJobs(settings);
  if (json) {
    console.log(JSON.stringify(rows));
    return;
  }
  const supervisor = supervisorOf(settings);
  const width = Math.max(20, ...rows.map(({ name }) => name.length));
  for (const { name, engine, desired, state, reason, restarts, schedule } of rows) {
    const wanted = desired ? "wanted" : "";
    const again = restarts ? `${restarts} restarts` : "";
    const times = schedule === null ? "" : `by "${schedule}"`;
    console.log(
      [name.padEnd(width), engine.padEnd(8), state.padEnd(10), wanted.padEnd(7), again, times, reason ?? ""]
        .join(" ")
        .trimEnd(),
    );
  }
  console.log(supervisor ? `supervisor: process ${supervisor.pid}` : "supervisor: none");
}

export function jobsCommand(settingsOf: (command: Command) => Settings): Command {
  return new Command("jobs")
    .description("Lists the jobs: which are wanted, which run, what they were restarted or given up for")
    .option("--json", "print them as JSON", false)
    .addHelpText("after", "\nExample:\n  millrace jobs --json")
    .action(({ json }: { json: boolean }, command: Command) => printJobs(settingsOf(command), json));
}
