// `millrace stop`: takes jobs out of the desired state and waits until they have ended after their current batch.

import { Command } from "commander";
import type { JobRunner } from "../engines/job.ts";
import { runnersOf } from "../engines/runners.ts";
import type { Settings } from "../engines/settings.ts";
import { JOBS, typeOf } from "../jobs/index.ts";
import { namesOf, pipelineOf } from "../pipelines/index.ts";
import { readDesired } from "../supervise/desired.ts";
import { readRecords, supervisorOf } from "../supervise/run.ts";
import { stopNamespace } from "../supervise/stop.ts";
import { untilEnded, withdrawJobs } from "../supervise/submit.ts";
import { jobsNamed } from "./submit.ts";

/** A job has its own deadline before it is killed; this is for all of them and the kill. */
const DEADLINE_MS = 120_000;

export function stopCommand(settingsOf: (command: Command) => Settings): Command {
  return new Command("stop")
    .description("Ends jobs after their current batch, all or those named, and kills them at a deadline")
    .argument("[job...]", "weather-features")
    .option("--json", "print what was stopped as JSON", false)
    .addHelpText("after", "\nExample:\n  millrace stop weather-features")
    .action(async (words: string[], { json }: { json: boolean }, command: Command) => {
      const settings = settingsOf(command);
      const say = (line: string) => {
        if (!json) console.log(line);
      };
      const names = namesOf(pipelineOf(settings.pipeline).pipeline, settings.namespace);
      const known = [
        ...new Set([
          ...Object.keys(readDesired(settings)),
          ...Object.entries(readRecords(settings)).flatMap(([name, { submission }]) =>
            submission ? [name] : [],
          ),
        ]),
      ].sort();
      const asked = words.length === 0 ? known : jobsNamed(settings, words).map((job) => names.job(job));
      if (supervisorOf(settings)) {
        await withdrawJobs(settings, asked);
        await untilEnded(
          settings,
          asked.filter((job) => known.includes(job)),
          { deadline_ms: DEADLINE_MS, onState: (job, state) => say(`${job}: ${state}`) },
        );
      } else if (words.length === 0) await stopNamespace(settings, say);
      else await withdrawJobs(settings, asked);
      // Jobs that run without supervision (--once, or left by a supervisor whose records are gone).
      for (const job of JOBS)
        if (words.length === 0 || asked.includes(names.job(job)))
          await stopStrays(runnersOf(settings)[typeOf(job).engine], `${names.prefix}${names.job(job)}-`, say);
      if (json) console.log(JSON.stringify({ stopped: asked }));
      else if (asked.length === 0) console.log("No job was wanted or running");
    });
}

async function stopStrays(runner: JobRunner, start: string, say: (line: string) => void): Promise<void> {
  for (const { handle } of await runner.list())
    if (handle.submission.startsWith(start)) {
      await runner.stop(handle, { deadline_ms: 30_000 });
      say(`stopped ${handle.submission}`);
    }
}
