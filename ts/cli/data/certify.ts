// `millrace certify`: a certificate that stream, backfill and oracle agree, row by row, over what was streamed or over a file
// streamed for it. Flags and words; ts/supervise/certify.ts does the work, the Spark job judges.

import { Command, Option } from "commander";
import { PipelineError } from "../../contract/index.ts";
import { namesOf, pipelineOf } from "../../pipelines/index.ts";
import type { Settings } from "../../settings/settings.ts";
import { fileInput } from "../../source/replay/input.ts";
import { kaggleInput } from "../../source/replay/kaggle.ts";
import { SkippedRows } from "../../source/row.ts";
import { type Certified, certifyInput, runCertify } from "../../supervise/certify.ts";
import { batchLine, forPipeline, withPipeline } from "../batch.ts";
import { collected, NULL_FLAG, parseInteger, timesOf, unitsOf } from "../flags.ts";

interface Options {
  readonly sample: string;
  readonly seed: string;
  readonly file?: string;
  readonly data?: string;
  readonly unit: string[];
  readonly null: string[];
  readonly from?: string;
  readonly to?: string;
  readonly json: boolean;
}

export function certifyCommand(settingsOf: (command: Command) => Settings): Command {
  return withPipeline(new Command("certify"))
    .description(
      "Compares streamed feature rows with the backfill's and an oracle's, row by row, and stores a certificate beside the feature table",
    )
    .option("--sample <number>", "most windows that are compared, chosen by the seed", "10000")
    .option("--seed <number>", "which windows those are", "1")
    .option(
      "--file <path>",
      "stream a sample of this file first, in a namespace of its own, and certify that",
    )
    .addOption(
      new Option("--data <folder>", "the same of a data set's folder, as backfill takes it").conflicts(
        "file",
      ),
    )
    .option(
      "--unit <field=unit>",
      "unit a column of the file comes in, where it is not the contract's; repeatable",
      collected,
      [],
    )
    .option(...NULL_FLAG, collected, [])
    .option("--from <time>", "first window end (of a file: observation), inclusive")
    .option("--to <time>", "last window end (of a file: observation), exclusive")
    .option("--json", "print the result as JSON", false)
    .addHelpText(
      "after",
      "\nExamples:\n  millrace certify weather --sample 10000\n  millrace certify --file samples/us-cities-hourly.csv.gz --to 2016-12-01T00:00:00Z\n\nLeaves with 1 when it does not pass.",
    )
    .action(async (word: string | undefined, options: Options, command: Command) => {
      const settings = forPipeline(settingsOf(command), word);
      const { pipeline, contract } = pipelineOf(settings.pipeline);
      const { from_ms, to_ms } = timesOf(options.from, options.to);
      const sample = parseInteger("--sample", options.sample, 1);
      const seed = parseInteger("--seed", options.seed);
      const job = namesOf(pipeline, settings.namespace).job("certify");
      const left = new SkippedRows((line) => console.error(line));
      const { onBad, onRepeat } = left;
      const units = unitsOf(options.unit);
      const input =
        options.file !== undefined
          ? // As the rows stand: what came late in the file comes late in the stream.
            fileInput({
              path: options.file,
              contract,
              units,
              nulls: options.null,
              from_ms,
              to_ms,
              order: "file",
              onBad,
              onRepeat,
            })
          : options.data !== undefined
            ? kaggleInput({ folder: options.data, contract, from_ms, to_ms, onBad })
            : null;
      let done: Certified | null = null;
      await batchLine(job, options.json).run(async ({ signal, onReport, onState, say }) => {
        const effects = { signal, onReport, onState };
        done = input
          ? await certifyInput(settings, input, { sample, seed }, { ...effects, say })
          : await runCertify(
              settings,
              { from_ms, to_ms, sample, seed, certificates_path: null, file: null },
              effects,
            );
        return done;
      });
      const { certificate, path } = done as unknown as Certified;
      if (!options.json) {
        if (left.rows + left.cells + left.repeats > 0) console.log(`  noted: ${left.describe()}`);
        for (const note of certificate.notes) console.log(`  noted: ${note}`);
        console.log(`  ${path}`);
      }
      if (certificate.verdict !== "passed") throw refused(settings, certificate, path);
    });
}

function refused(
  { pipeline }: Settings,
  { reasons, first_differences }: Certified["certificate"],
  path: string,
): PipelineError {
  const rows = first_differences.map((row) => JSON.stringify(row));
  return new PipelineError(
    "uncertified",
    `Cannot certify "${pipeline}": expected stream, backfill and oracle to agree, see "${path}"`,
    { cause: new Error([...reasons, ...rows].join("\n  ")) },
  );
}
