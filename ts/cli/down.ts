// `millrace down`: ends what `up` and `submit` have started, users before what they use: supervisor, jobs, engines.
// Nothing else on the machine is touched.

import { Command } from "commander";
import { down } from "../engines/local/index.ts";
import type { Settings } from "../engines/settings.ts";

export function downCommand(settingsOf: (command: Command) => Settings): Command {
  return new Command("down")
    .description("Stops supervisor, jobs and engines, and nothing else")
    .option("--json", "print what was stopped as JSON", false)
    .addHelpText("after", "\nExample:\n  millrace down")
    .action(async ({ json }: { json: boolean }, command: Command) => {
      const stopped = await stopAll(settingsOf(command), json ? () => {} : (line) => console.log(line));
      if (json) console.log(JSON.stringify(stopped));
      else if (stopped.length === 0) console.log("Nothing of ours was running");
    });
}

/** Ends the jobs of all namespaces of this home and their supervisors, then the engines. */
export async function stopAll(settings: Settings, say: (line: string) => void): Promise<string[]> {
  return down(settings, {
    on: ({ engine, state, elapsed_ms }) => {
      if (state === "stopped") say(`${engine.padEnd(13)}stopped  ${(elapsed_ms / 1000).toFixed(1)} s`);
    },
  });
}
