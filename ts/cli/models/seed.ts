// `millrace seed`: fills the history of every station from the feature table, before the stream begins.

import { Command } from "commander";
import { PipelineError } from "../../contract/index.ts";
import { planSeed } from "../../jobs/seed.ts";
import { namesOf, pipelineOf } from "../../pipelines/index.ts";
import type { Settings } from "../../settings/settings.ts";
import { type BatchRunOptions, type Finished, runBatch } from "../../supervise/batch.ts";
import { settingOf } from "../../supervise/submit.ts";
import { batchLine } from "../batch.ts";
import { parseTime } from "../flags.ts";

const DEADLINE_MS = 30 * 60_000;

/** `cutover_ms`: the last window_end seeded; the stream begins after it. Errors: those of the job. */
export async function seed(
  settings: Settings,
  choice: { readonly cutover_ms: number },
  effects: Pick<BatchRunOptions, "signal" | "onReport" | "onState">,
): Promise<Finished> {
  return runBatch(settings, planSeed(settingOf(settings), choice), { deadline_ms: DEADLINE_MS, ...effects });
}

export function seedCommand(settingsOf: (command: Command) => Settings): Command {
  return new Command("seed")
    .description(
      "Fills the stations' history from the feature table, up to the time at which the stream begins",
    )
    .requiredOption("--cutover <time>", "last window end that is seeded")
    .option("--json", "print the result as JSON", false)
    .addHelpText("after", "\nExample:\n  millrace seed --cutover 2016-12-01T00:00:00Z")
    .action(async ({ cutover, json }: { cutover: string; json: boolean }, command: Command) => {
      const settings = settingsOf(command);
      const cutover_ms = parseTime("--cutover", cutover);
      if (cutover_ms === null)
        throw new PipelineError("config_invalid", "Cannot seed: expected --cutover, got nothing");
      const job = namesOf(pipelineOf(settings.pipeline).pipeline, settings.namespace).job("seed");
      await batchLine(job, json).run(({ signal, onReport, onState }) =>
        seed(settings, { cutover_ms }, { signal, onReport, onState }),
      );
    });
}
