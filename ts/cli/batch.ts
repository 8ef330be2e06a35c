// What the commands of batch jobs share: the pipeline they are asked for, and what a terminal shows while one runs: its states,
// its counters as they change, the result. Ctrl-C stops the job.

import type { Command } from "commander";
import { pipelineNames, pipelineOf } from "../pipelines/index.ts";
import type { Settings } from "../settings/settings.ts";
import type { BatchRunOptions, Finished } from "../supervise/batch.ts";
import type { Report } from "../supervise/progress.ts";
import { interruptible } from "./interrupt.ts";

export interface BatchView extends Required<Pick<BatchRunOptions, "signal" | "onReport" | "onState">> {
  say(line: string): void;
}

/** Adds the optional first argument that names a pipeline; its word goes to `forPipeline`. */
export function withPipeline(command: Command): Command {
  return command.argument(
    "[pipeline]",
    `one of ${pipelineNames().join(", ")}, or of those --pipelines names; default: the settings'`,
  );
}

/** The settings for the pipeline that was named, or as they are. Errors: `config_invalid` for a name there is no pipeline of. */
export function forPipeline(settings: Settings, name: string | undefined): Settings {
  if (name === undefined) return settings;
  pipelineOf(name);
  return Object.freeze({ ...settings, pipeline: name });
}

/** How often counters are printed, wall time. */
const PRINT_MS = 2_000;

const number = (value: number): string =>
  Number.isInteger(value) ? value.toLocaleString("en-US") : value.toPrecision(4);

/** Counters in one line, by name. */
export function countersLine(counters: Readonly<Record<string, number>>): string {
  return Object.entries(counters)
    .filter(([, value]) => Number.isFinite(value))
    .map(([name, value]) => `${name} ${number(value)}`)
    .join(" · ");
}

export function batchLine(job: string, json: boolean) {
  return {
    run: (work: (view: BatchView) => Promise<Finished>): Promise<Finished> =>
      interruptible(async (signal) => {
        const say = (line: string) => {
          if (!json) console.log(line);
        };
        let printed_ms = Number.NEGATIVE_INFINITY;
        let before = "";
        const finished = await work({
          signal,
          say,
          onState: (state) => say(`${job}: ${state}`),
          onReport(report: Report) {
            const line = [report.message ?? "", countersLine(report.counters)].filter(Boolean).join(" · ");
            const now_ms = performance.now();
            // Counters come again; a sentence does not.
            const soon = report.message === null && now_ms - printed_ms < PRINT_MS;
            if (line === "" || line === before || soon) return;
            printed_ms = now_ms;
            before = line;
            say(`${job}: ${line}`);
          },
        });
        const counters = countersLine(finished.counters);
        if (json) console.log(JSON.stringify(finished));
        else say(`${job}: done${finished.message ? ` · ${finished.message}` : ""} · ${counters}`);
        return finished;
      }),
  };
}
