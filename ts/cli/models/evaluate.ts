// `millrace evaluate`: judges one version of the model on a split of its own training, shows the table, keeps JSON and card, and
// writes every run on the test split into a committed log: a test that is looked at often enough is one that is trained on.

import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { Command, Option } from "commander";
import { PipelineError, unitWord } from "../../contract/index.ts";
import { mlflowOf } from "../../engines/mlflow.ts";
import { EVALUATE, planEvaluate } from "../../jobs/evaluate.ts";
import { findVersion } from "../../models/promote.ts";
import { forecastName, namesOf } from "../../pipelines/index.ts";
import { type Settings, stateDir } from "../../settings/settings.ts";
import { knownAnomalies } from "../../source/replay/kaggle.ts";
import { type BatchRunOptions, type Finished, runBatch } from "../../supervise/batch.ts";
import { settingOf } from "../../supervise/submit.ts";
import { batchLine, forPipeline, withPipeline } from "../batch.ts";
import { parseInteger, timesOf } from "../flags.ts";
import { type Evaluation, scoreLines } from "./scores.ts";

export const SPLITS = ["calibrate", "test"] as const;

export interface EvaluateFlags {
  readonly split: string;
  /** An alias or a version. */
  readonly model: string;
  /** The folder of a data set whose list of known anomalies masks the truth; null without. */
  readonly data: string | null;
  /** Issue times, from inclusive and to exclusive; null for the split's. */
  readonly from_ms: number | null;
  readonly to_ms: number | null;
  readonly workers: number;
  readonly rounds: number;
  /** File that counts the runs on the test split. */
  readonly log: string;
}

export interface Evaluated extends Finished {
  readonly result: Evaluation;
  /** Files on this machine; both are also among the artifacts of the model's run. */
  readonly result_path: string;
  readonly card_path: string;
  /** How often the test split of these data has been looked at, this time included; null for another split. */
  readonly test_runs: number | null;
}

const DEADLINE_MS = 2 * 3_600_000;

/** Errors: those of the job; `config_invalid` for a model that is not there; `store_unreachable` for MLflow. */
export async function evaluate(
  settings: Settings,
  flags: EvaluateFlags,
  effects: Pick<BatchRunOptions, "signal" | "onReport" | "onState">,
): Promise<Evaluated> {
  const setting = settingOf(settings);
  const names = namesOf(setting.pipeline, settings.namespace);
  const mlflow = mlflowOf(settings);
  const version = await findVersion(mlflow, names.model, flags.model);
  const known = flags.data === null ? null : await knownAnomalies(flags.data, setting.contract);
  const plan = planEvaluate(setting, {
    ...EVALUATE,
    version: version.version,
    split: flags.split,
    from_ms: flags.from_ms,
    to_ms: flags.to_ms,
    masks: known ?? [],
    masked_by: known === null ? null : "known-anomalies.csv",
    workers: flags.workers,
    rounds: flags.rounds,
  });
  const finished = await runBatch(settings, plan, { deadline_ms: DEADLINE_MS, ...effects });
  const run_id = version.run_id ?? "";
  const read = async (name: string): Promise<string> => {
    const path = `evaluation/${flags.split}/${name}`;
    const text = await mlflow.artifact(run_id, path);
    if (text !== null) return text;
    throw new PipelineError(
      "job_failed",
      `Cannot read "${path}" of run "${run_id}": expected what the job logged, got none`,
    );
  };
  const text = await read("result.json");
  const result = JSON.parse(text) as Evaluation;
  const folder = join(stateDir(settings), "evaluations");
  mkdirSync(folder, { recursive: true });
  const result_path = join(folder, `${finished.submission}.json`);
  const card_path = join(folder, `${finished.submission}.html`);
  writeFileSync(result_path, text);
  writeFileSync(card_path, await read("card.html"));
  const test_runs = flags.split === "test" ? logRun(flags.log, result, new Date()) : null;
  return { ...finished, result, result_path, card_path, test_runs };
}

/**
 * Appends one line to the log of test runs, and says how many it has now of the same pipeline and truths. The line holds no
 * machine's path, since the log is committed.
 */
export function logRun(path: string, result: Evaluation, date: Date): number {
  const { pipeline, model, split, data, masks, units } = result;
  const scores = Object.fromEntries(
    result.cells
      .filter((cell) => cell.station === null && cell.group === undefined)
      .map(({ target, horizon_h, metrics }) => {
        const unit = unitWord(units[target] ?? null);
        const kept = [`mae_${unit}`, `dap_mae_${unit}`, "skill_dap", "coverage_90"];
        return [
          forecastName(target, horizon_h),
          Object.fromEntries(
            kept.flatMap((name) =>
              typeof metrics[name] === "number" ? [[name, rounded(metrics[name])]] : [],
            ),
          ),
        ];
      }),
  );
  const line = {
    date: date.toISOString(),
    pipeline,
    model: model.name,
    version: model.version,
    digest: model.digest,
    split: {
      name: split.name,
      from: new Date(split.from_ms).toISOString(),
      to: new Date(split.to_ms).toISOString(),
    },
    data_sha256: data.sha256,
    table: `${basename(data.table)} version ${data.table_version}`,
    masked_by: masks.by,
    stations: data.stations.length,
    scores,
  };
  mkdirSync(dirname(path), { recursive: true });
  appendFileSync(path, `${JSON.stringify(line)}\n`);
  return readFileSync(path, "utf8")
    .split("\n")
    .filter((text) => text !== "")
    .map((text) => JSON.parse(text) as typeof line)
    .filter((run) => run.pipeline === pipeline && run.data_sha256 === data.sha256).length;
}

const rounded = (value: number) => Number(value.toPrecision(5));

interface Options {
  readonly split: string;
  readonly model: string;
  readonly data?: string;
  readonly from?: string;
  readonly to?: string;
  readonly workers: string;
  readonly rounds: string;
  readonly log?: string;
  readonly json: boolean;
}

export function evaluateCommand(settingsOf: (command: Command) => Settings): Command {
  return withPipeline(new Command("evaluate"))
    .description("Judges a model on a split of its own training, hour by hour, beside every baseline")
    .addOption(
      new Option("--split <name>", "test counts how often it is run").choices(SPLITS).default("calibrate"),
    )
    .option("--model <which>", "an alias or a version", "champion")
    .option(
      "--data <folder>",
      "data set whose known-anomalies.csv masks the truth; without it the bundled years",
    )
    .option("--from <time>", "first issue time, instead of the split's")
    .option("--to <time>", "end of the issue times, exclusive, instead of the split's")
    .option("--workers <number>", "Ray tasks at once", String(EVALUATE.workers))
    .option("--rounds <number>", "draws of the block bootstrap", String(EVALUATE.rounds))
    .option("--log <file>", "log of the runs on the test split (default: docs/evaluations.jsonl)")
    .option("--json", "print the result as JSON", false)
    .addHelpText(
      "after",
      "\nExample:\n  millrace evaluate weather --split calibrate --data ../kaggle-hourly-weather",
    )
    .action(async (word: string | undefined, options: Options, command: Command) => {
      const settings = forPipeline(settingsOf(command), word);
      const flags: EvaluateFlags = {
        split: options.split,
        model: options.model,
        data: options.data ?? null,
        ...timesOf(options.from, options.to),
        workers: parseInteger("--workers", options.workers, 1),
        rounds: parseInteger("--rounds", options.rounds, 1),
        log: resolve(options.log ?? join(settings.root, "docs", "evaluations.jsonl")),
      };
      if (flags.data !== null && !existsSync(flags.data))
        throw new PipelineError(
          "config_invalid",
          `Cannot use --data "${flags.data}": expected a folder, got none`,
        );
      const job = namesOf(settingOf(settings).pipeline, settings.namespace).job("evaluate");
      await batchLine(job, options.json).run(async ({ signal, onReport, onState, say }) => {
        const evaluated = await evaluate(settings, flags, { signal, onReport, onState });
        const { result } = evaluated;
        const day = (ms: number) => new Date(ms).toISOString().slice(0, 16);
        say(
          `${result.model.name} version ${result.model.version} on ${result.split.name}, issued ${day(result.split.from_ms)} to ${day(result.split.to_ms)}, ${result.data.stations.length} stations`,
        );
        if (flags.data === null)
          say("without --data: the years in the feature table, truth masked by climatology only");
        for (const line of scoreLines(result)) say(line);
        say(`result ${evaluated.result_path}`);
        say(`card ${evaluated.card_path}`);
        if (evaluated.test_runs !== null)
          say(`run ${evaluated.test_runs} on these test data, logged in ${flags.log}`);
        return evaluated;
      });
    });
}
