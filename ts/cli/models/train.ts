// `millrace train`: trains a model on the feature table. Whether it serves is decided and announced by the supervisor, also when
// this command has been killed by then.

import { Command } from "commander";
import { PipelineError } from "../../contract/index.ts";
import { mlflowOf } from "../../engines/mlflow.ts";
import { planTrain, TRAIN, type TrainChoice } from "../../jobs/train.ts";
import { namesOf, pipelineOf } from "../../pipelines/index.ts";
import type { Settings } from "../../settings/settings.ts";
import { type BatchRunOptions, type Finished, runBatch } from "../../supervise/batch.ts";
import { settingOf } from "../../supervise/submit.ts";
import { batchLine, forPipeline, withPipeline } from "../batch.ts";
import { parseInteger, parseTime, positive } from "../flags.ts";

const DEADLINE_MS = 6 * 3_600_000;

export interface Trained extends Finished {
  /** Version the alias champion names now; null without one. */
  readonly champion: string | null;
  /** Whether this run moved it. */
  readonly promoted: boolean;
}

/** Errors: those of the job; `store_unreachable` for MLflow. */
export async function train(
  settings: Settings,
  choice: TrainChoice,
  effects: Pick<BatchRunOptions, "signal" | "onReport" | "onState">,
): Promise<Trained> {
  const setting = settingOf(settings);
  const names = namesOf(setting.pipeline, settings.namespace);
  const mlflow = mlflowOf(settings);
  const finished = await runBatch(settings, planTrain(setting, choice), {
    deadline_ms: DEADLINE_MS,
    ...effects,
  });
  // Whether it serves was decided before it counted as done.
  const champion = await mlflow.byAlias(names.model, "champion");
  return {
    ...finished,
    champion: champion?.version ?? null,
    promoted: champion?.submission === finished.submission,
  };
}

type TrainOptions = Record<string, string> & { json: boolean; allowUncertified: boolean };

export function trainCommand(settingsOf: (command: Command) => Settings): Command {
  return withPipeline(new Command("train"))
    .description(
      "Trains the quantile heads on the feature table and registers the model; the better one is champion",
    )
    .requiredOption(
      "--cut <time>",
      "only rows and truths before this time; the last month before it is the test month",
    )
    .option("--test-from <time>", "first window end of the test split instead, which ends at the cut")
    .option(
      "--calibrate-from <time>",
      "first window end of a split for the bands alone; what is fitted ends 72 h before it",
    )
    .option("--from <time>", "first window end used")
    .option(
      "--leave-out <stations>",
      "stations that training does not see, comma separated: evaluate then says what a new station gets",
    )
    .option("--trees <number>", "most boosting rounds a head", String(TRAIN.trees))
    .option("--leaves <number>", "leaves a tree", String(TRAIN.leaves))
    .option("--learning-rate <number>", "shrinkage a round", String(TRAIN.learning_rate))
    .option(
      "--tune <number>",
      "let that many settings of the heads compete on the watched weeks first, those given among them",
      "0",
    )
    .option("--sample-every <number>", "train on every how many-th row", String(TRAIN.sample_every))
    .option("--workers <number>", "Ray tasks at once", String(TRAIN.workers))
    .option("--seed <number>", "seed of every random choice", String(TRAIN.seed))
    .option(
      "--allow-uncertified",
      'train on rows no certificate stands for ("millrace certify"); the model\'s manifest says so',
      false,
    )
    .option("--json", "print the result as JSON", false)
    .addHelpText(
      "after",
      "\nExamples:\n  millrace train weather --cut 2016-12-01T00:00:00Z --trees 100 --sample-every 4\n  millrace train weather --cut 2016-12-01T00:00:00Z --tune 20",
    )
    .action(async (word: string | undefined, options: TrainOptions, command: Command) => {
      const settings = forPipeline(settingsOf(command), word);
      const cut_ms = parseTime("--cut", options["cut"]);
      if (cut_ms === null)
        throw new PipelineError("config_invalid", "Cannot train: expected --cut, got nothing");
      const learning_rate = positive("--learning-rate", options["learningRate"]!, 1);
      const job = namesOf(pipelineOf(settings.pipeline).pipeline, settings.namespace).job("train");
      await batchLine(job, options.json).run(async ({ signal, onReport, onState, say }) => {
        const trained = await train(
          settings,
          {
            cut_ms,
            from_ms: parseTime("--from", options["from"]),
            calibrate_from_ms: parseTime("--calibrate-from", options["calibrateFrom"]),
            test_from_ms: parseTime("--test-from", options["testFrom"]),
            leave_out: options["leaveOut"]?.split(",") ?? [],
            trees: parseInteger("--trees", options["trees"]!, 1),
            leaves: parseInteger("--leaves", options["leaves"]!, 2),
            learning_rate,
            tune: parseInteger("--tune", options["tune"]!),
            sample_every: parseInteger("--sample-every", options["sampleEvery"]!, 1),
            workers: parseInteger("--workers", options["workers"]!, 1),
            seed: parseInteger("--seed", options["seed"]!),
            allow_uncertified: options.allowUncertified,
          },
          { signal, onReport, onState },
        );
        say(
          trained.promoted
            ? `champion is now version ${trained.champion}; announced on model-events`
            : `champion stays version ${trained.champion ?? "none"}`,
        );
        return trained;
      });
    });
}
