// `millrace down`: ends what `up` and `submit` have started, users before what they use: supervisor, jobs, engines.
// Nothing else on the machine is touched.

import { Command } from "commander";
import type { Settings } from "../../settings/settings.ts";
import { stopEverything } from "../../supervise/stop.ts";
import { down } from "../../topology/local/index.ts";

export function downCommand(settingsOf: (command: Command) => Settings): Command {
  return new Command("down")
    .description("Stops supervisor, jobs and engines, and nothing else")
    .option("--json", "print what was stopped as JSON", false)
    .addHelpText("after", "\nExample:\n  millrace down")
    .action(async ({ json }: { json: boolean }, command: Command) => {
      const stopped = await stopAll(settingsOf(command), json ? () => {} : (line) => console.log(line));
      if (json) console.log(JSON.stringify(stopped));
      else if (stopped.jobs.length + stopped.engines.length === 0) console.log("Nothing of ours was running");
    });
}

export interface DownReport {
  readonly jobs: readonly string[];
  readonly engines: readonly string[];
}

/**
 * Ends the supervisors and jobs of all namespaces of this home, then the engines. A job that cannot be ended is said and
 * not waited for: on a local engine it ends with it.
 */
export async function stopAll(settings: Settings, say: (line: string) => void): Promise<DownReport> {
  const ended = await stopEverything(settings.home, say);
  for (const { problems } of ended) for (const problem of problems) say(problem);
  const engines = await down(settings, {
    on: ({ engine, state, elapsed_ms }) => {
      if (state === "stopped") say(`${engine.padEnd(14)}stopped  ${(elapsed_ms / 1000).toFixed(1)} s`);
    },
  });
  return { jobs: ended.flatMap(({ jobs }) => jobs), engines };
}
