// `millrace stop`: takes jobs out of the desired state and waits until they have ended after their current batch.

import { Command } from "commander";
import type { JobRunner } from "../../engines/job.ts";
import { runnersOf } from "../../engines/runners.ts";
import { TYPES, typesOf } from "../../jobs/index.ts";
import { isShared, namespacePrefix, pipelineNames, pipelineOf } from "../../pipelines/index.ts";
import type { Flags } from "../../settings/environment.ts";
import type { Settings } from "../../settings/settings.ts";
import { readDesired } from "../../supervise/desired.ts";
import { liveSubmissions } from "../../supervise/launch.ts";
import { readRecords, supervisorOf } from "../../supervise/run.ts";
import { stopNamespace } from "../../supervise/stop.ts";
import { untilEnded, withdrawJobs } from "../../supervise/submit.ts";
import { jobNamed } from "./submit.ts";

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
      // Without words it is everything in the namespace, or of the pipeline that was named.
      const only = command.optsWithGlobals<Flags>().pipeline;
      const ours = (name: string) => only === undefined || name.startsWith(`${only}-`);
      const submitted = Object.entries(readRecords(settings)).flatMap(([name, { submission }]) =>
        submission ? [{ name, engine: submission.engine }] : [],
      );
      const known = [
        ...new Set([...Object.keys(readDesired(settings)), ...submitted.map(({ name }) => name)]),
      ].sort();
      // What the namespace knows by its name is stopped by it, also where the folder of its pipeline is gone.
      const asked =
        words.length === 0
          ? known.filter(ours)
          : words.map((word) => (known.includes(word) ? word : jobNamed(settings, word).name));
      if (supervisorOf(settings)) {
        await withdrawJobs(settings, asked);
        await untilEnded(
          settings,
          asked.filter((job) => known.includes(job)),
          { deadline_ms: DEADLINE_MS, onState: (job, state) => say(`${job}: ${state}`) },
        );
      } else if (words.length === 0 && only === undefined) await stopNamespace(settings, say);
      else await withdrawJobs(settings, asked);
      // Jobs that run without supervision (--once, or left by a supervisor whose records are gone), those too whose part is gone.
      const types = pipelineNames().flatMap((pipeline) =>
        [...TYPES, ...typesOf(pipelineOf(pipeline).pipeline)].map(({ name, engine }) => ({
          engine,
          name: isShared(name) ? name : `${pipeline}-${name}`,
        })),
      );
      const strays = [...submitted, ...types].filter(({ name }) =>
        words.length > 0 ? asked.includes(name) : ours(name),
      );
      for (const { engine, name } of new Map(strays.map((stray) => [stray.name, stray])).values())
        await stopStrays(runnersOf(settings)[engine], namespacePrefix(settings.namespace), name, say);
      if (json) console.log(JSON.stringify({ stopped: asked }));
      else if (asked.length === 0) console.log("No job was wanted or running");
    });
}

async function stopStrays(
  runner: JobRunner,
  prefix: string,
  job: string,
  say: (line: string) => void,
): Promise<void> {
  for (const { handle } of await liveSubmissions(runner, prefix, job)) {
    await runner.stop(handle, { deadline_ms: 30_000 });
    say(`stopped ${handle.submission}`);
  }
}
