// `millrace run`: the supervisor of a namespace, in the foreground or left behind. Words only; supervise/run.ts does it.

import { Command } from "commander";
import { PipelineError } from "../../contract/index.ts";
import { until } from "../../ground/until.ts";
import type { Settings } from "../../settings/settings.ts";
import { startSupervisor, supervise, supervisorLog, supervisorOf } from "../../supervise/run.ts";

/** Node starts, loads and takes the lock well within this. */
const START_MS = 20_000;

export function runCommand(settingsOf: (command: Command) => Settings): Command {
  return new Command("run")
    .description(
      "Supervises the desired jobs: restarts what dies, adopts what runs; Ctrl-C leaves the jobs running",
    )
    .option("--detach", "return at once and supervise in the background", false)
    .option("--until-idle", "end once nothing runs and nothing is left to do", false)
    .addHelpText("after", "\nExample:\n  millrace run --detach")
    .action(async (options: { detach: boolean; untilIdle: boolean }, command: Command) => {
      const { detach, untilIdle: until_idle } = options;
      const settings = settingsOf(command);
      if (detach) {
        startSupervisor(settings, { until_idle });
        const look = await until(
          () => {
            const seen = supervisorOf(settings);
            return { done: seen !== null, seen };
          },
          { deadline_ms: START_MS },
        );
        if (!look.seen)
          throw new PipelineError("job_failed", "Cannot start the supervisor: expected it to take its lock", {
            context: { log: supervisorLog(settings) },
          });
        console.log(`Supervisor runs as process ${look.seen.pid}; log: ${supervisorLog(settings)}`);
        return;
      }
      const stop = new AbortController();
      for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
      await supervise(settings, {
        signal: stop.signal,
        until_idle,
        onLine: (line) => console.log(line),
      });
    });
}
