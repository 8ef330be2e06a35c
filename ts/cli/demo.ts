// `millrace demo`: the whole line once, on real data: engines, contract, backfill, training, seeded history, stream, API.
// Strings the other commands' functions together and says how far it is; computes and decides nothing of its own.
// A second run skips what an earlier one has done if contract and code still match, and goes on from the source's cursor: also
// after a step that failed.

import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { Listr, type ListrTask } from "listr2";
import { PipelineError } from "../contract/index.ts";
import { mlflowOf } from "../engines/mlflow.ts";
import { type Settings, stateDir } from "../engines/settings.ts";
import { httpOf } from "../ground/http.ts";
import { ONCE } from "../ground/repeat.ts";
import { until } from "../ground/until.ts";
import { planBackfill } from "../jobs/backfill.ts";
import type { JobName } from "../jobs/index.ts";
import { tables } from "../jobs/plan/tables.ts";
import { planSeed } from "../jobs/seed.ts";
import type { TrainChoice } from "../jobs/train.ts";
import { connectKafka } from "../kafka/client.ts";
import type { Kafka } from "../kafka/kafka.ts";
import { connectRegistry, type Registry } from "../kafka/registry.ts";
import { namesOf, pipelineOf } from "../pipelines/index.ts";
import { fileInput } from "../source/replay/input.ts";
import { stage } from "../source/replay/stage.ts";
import { apply } from "../supervise/apply.ts";
import { type BatchOptions, type Finished, runBatch } from "../supervise/batch.ts";
import type { Report } from "../supervise/progress.ts";
import { settingOf, submitJobs, untilRunning } from "../supervise/submit.ts";
import { jobRows } from "../supervise/views.ts";
import { status } from "../topology/local/index.ts";
import { countersLine } from "./batch.ts";
import { doctor } from "./doctor.ts";
import { stopAll } from "./down.ts";
import { interruptible } from "./interrupt.ts";
import { type Done, doneSteps, during, failureOf, StepError } from "./steps.ts";
import { train } from "./train.ts";
import { startShown } from "./up.ts";

/** What the demo trains on ends here, and its stream begins here: nothing it forecasts was seen in training. */
const CUT_MS = Date.UTC(2016, 11, 1);
const SAMPLE = "samples/us-cities-hourly.csv.gz";
/** An hour a second. */
const SPEED = "3600";
const STATION = "new-york";

/** Fewer and smaller trees over every tenth row, the same code: what fits into two minutes on two cores. */
const TRAIN: TrainChoice = {
  from_ms: null,
  cut_ms: CUT_MS,
  trees: 100,
  leaves: 31,
  learning_rate: 0.1,
  sample_every: 10,
  workers: 2,
  seed: 1,
  // What the demo shows is the line; a certificate takes a stream of its own first.
  allow_uncertified: true,
};

/** Longest a step may take on a slow machine before something is wrong, wall time. */
const BATCH_MS = 900_000;
const RUNNING_MS = 180_000;
const FIRST_MS = 180_000;

export function demoCommand(settingsOf: (command: Command) => Settings): Command {
  return new Command("demo")
    .description(
      "Runs the whole line on a bundled sample: trains on 2015-01 … 2016-11, streams from 2016-12-01",
    )
    .option("--detach", "return once the first forecast is served and leave everything running", false)
    .addHelpText(
      "after",
      "\nExample:\n  millrace demo --detach\n  curl http://127.0.0.1:8000/predictions/new-york\n  millrace down",
    )
    .action(async ({ detach }: { detach: boolean }, command: Command) => {
      const settings = settingsOf(command);
      await interruptible(
        async (signal) => {
          try {
            await demo(settings, signal).catch(async (error: unknown) => {
              throw error instanceof StepError ? failureOf(error, await left(settings)) : error;
            });
            if (detach) return;
            console.log("\nCtrl-C stops everything.");
            await watch(settings, signal);
          } catch (error) {
            if (!signal.aborted) throw error;
          } finally {
            if (signal.aborted) await stopAll(settings, (line) => console.log(line));
          }
        },
        () => new PipelineError("job_timed_out", "The demo was interrupted"),
      );
    });
}

async function demo(settings: Settings, signal: AbortSignal): Promise<void> {
  const begin_ms = performance.now();
  await doctor(settings, (line) => console.log(line));
  await during("Engines", () => startShown(settings, { quiet: false }));
  const { pipeline, contract } = pipelineOf(settings.pipeline);
  const names = namesOf(pipeline, settings.namespace);
  const kafka = connectKafka(settings.kafka, { client_id: `${names.prefix}demo` });
  const registry = connectRegistry(settings.registryUrl);
  try {
    await steps(settings, kafka, registry, signal).run();
    const forecast = await during("First forecast", () => served(settings, signal));
    const seconds = ((performance.now() - begin_ms) / 1000).toFixed(0);
    console.log(`
First forecast served after ${seconds} s: ${forecast}

  API       ${settings.apiUrl}   the page; its description is at /openapi.json
  Spark     ${settings.sparkUiUrl}
  Ray       ${settings.rayUrl}
  MLflow    ${settings.mlflowUrl}   model "${names.model}", ${contract.stations[STATION]?.name ?? STATION} and ${Object.keys(contract.stations).length - 1} more stations

  curl ${settings.apiUrl}/predictions/${STATION}`);
  } finally {
    await kafka.close();
  }
}

/** Engines and jobs that run. */
async function left(settings: Settings): Promise<string[]> {
  const engines = (await status(settings)).filter(({ state }) => state === "up" || state === "unwell");
  const jobs = jobRows(settings).filter(({ state }) => state === "running" || state === "waiting");
  return [...engines, ...jobs].map(({ name }) => name);
}

type Step = ListrTask;
/** Steps that need not be done twice. */
type StepName = "backfill" | "training" | "seed";
type Follow = Required<Pick<BatchOptions, "signal" | "onReport" | "onState">>;

function steps(settings: Settings, kafka: Kafka, registry: Registry, signal: AbortSignal): Listr {
  const { pipeline, contract } = pipelineOf(settings.pipeline);
  const names = namesOf(pipeline, settings.namespace);
  const mlflow = mlflowOf(settings);
  // Known once the contract is applied.
  let done: Done | null = null;
  /** Whether an earlier run has done it. */
  const before = (name: StepName) => () =>
    done?.of(name) != null && "done before, with the same contract and code";
  const step = <F extends Finished>(
    name: StepName,
    title: string,
    work: (follow: Follow) => Promise<F>,
    resultOf: (finished: F) => string = () => "",
  ): Step => ({
    title,
    skip: before(name),
    task: async (_, task) => {
      const say = (line: string) => {
        task.output = line;
      };
      const onReport = ({ message, counters }: Report) => say(message ?? countersLine(counters));
      const finished = await work({ signal, onState: say, onReport });
      done?.add(name, resultOf(finished));
      const { message } = finished;
      task.title = message ? `${title}: ${message}` : title;
    },
  });

  const staged = () => join(stateDir(settings), "staged", `${pipeline.name}.avro`);
  const tasks: Step[] = [
    {
      title: "Contract: schemas and topics",
      task: async (_, task) => {
        const { subjects, topics } = await apply({
          settings,
          kafka,
          registry,
          signal,
          onStep: (line) => (task.output = line),
        });
        task.title += `: ${subjects.length} schemas, ${topics.filter(({ kind }) => kind === "create").length} new topics`;
        const champion = await mlflow.byAlias(names.model, "champion");
        const earlier = doneSteps(settings, {
          fingerprint: contract.fingerprint,
          code: settingOf(settings).code,
        });
        // Somebody may have moved the alias, or thrown the table away.
        const stands: Readonly<Record<StepName, boolean>> = {
          backfill: existsSync(tables(settings).features),
          training: champion !== null && champion.version === earlier.of("training"),
          seed: true,
        };
        done = { add: earlier.add, of: (name) => (stands[name as StepName] ? earlier.of(name) : null) };
      },
    },
    {
      title: `Observations before ${new Date(CUT_MS).toISOString().slice(0, 10)} from ${SAMPLE}`,
      skip: before("backfill"),
      task: async (_, task) => {
        mkdirSync(join(stateDir(settings), "staged"), { recursive: true });
        const input = fileInput({ path: join(settings.root, SAMPLE), contract, units: {}, to_ms: CUT_MS });
        const { rows } = await stage(input, staged(), contract.schemas.observation);
        task.title += `: ${rows.toLocaleString("en")}`;
      },
    },
    step("backfill", "Backfill on Spark", (follow) => {
      const plan = planBackfill(settingOf(settings), {
        from: { files: [staged()] },
        from_ms: null,
        to_ms: null,
      });
      return runBatch(settings, plan, { ...follow, deadline_ms: BATCH_MS });
    }),
    {
      title: "Model, history and stream",
      task: (_, task) =>
        task.newListr(
          [
            step(
              "training",
              "Training on Ray",
              (follow) => train(settings, TRAIN, follow),
              ({ champion }) => champion ?? "",
            ),
            step("seed", "Seed: ten days of history before the cut", (follow) =>
              runBatch(settings, planSeed(settingOf(settings), { cutover_ms: CUT_MS }), {
                ...follow,
                deadline_ms: BATCH_MS,
              }),
            ),
            running("Features on Spark, API", ["features", "serve"]),
          ].map(named),
          { concurrent: true },
        ),
    },
    running("Inference on Ray", ["infer"]),
    running(`Replay from ${new Date(CUT_MS).toISOString().slice(0, 10)} on, an hour a second`, ["replay"]),
  ];
  return new Listr(tasks.map(named), {
    // Ours stop what was started; listr2's would leave at once.
    registerSignalListeners: false,
    fallbackRenderer: "simple",
    rendererOptions: { collapseSubtasks: false },
  });

  /** An error of a task names the task by the title it began with. */
  function named(task: Step): Step {
    const { title, task: work } = task;
    return { ...task, task: (context, wrapper) => during(String(title), async () => work(context, wrapper)) };
  }

  function running(title: string, jobs: readonly JobName[]): Step {
    return {
      title,
      task: async (_, task) => {
        const from = new Date(CUT_MS).toISOString();
        const replay = [join(settings.root, SAMPLE), "--from", from, "--speed", SPEED];
        const desired = await submitJobs(settings, kafka, jobs, { words: replay });
        await untilRunning(settings, desired, {
          deadline_ms: RUNNING_MS,
          signal,
          onState: (name, state) => {
            task.output = `${name}: ${state}`;
          },
        });
      },
    };
  }
}

/** Waits for the first forecast and says it in one line. Errors: `job_timed_out` with what was last seen. */
async function served(settings: Settings, signal: AbortSignal): Promise<string> {
  const url = `${settings.apiUrl}/predictions/${STATION}`;
  // One try a look: it is looked at again anyway.
  const http = httpOf("job_timed_out", { pace: ONCE });
  const { done, seen } = await until(
    async () => {
      try {
        const { status, text } = await http({ action: "read a forecast", url });
        if (status !== 200) return { done: false, seen: `HTTP ${status}` };
        const { timestamp, predictions } = JSON.parse(text) as {
          timestamp: string;
          predictions: Record<string, number | null>;
        };
        const [name, value] = Object.entries(predictions)[0] ?? ["nothing", null];
        return { done: true, seen: `${STATION} at ${timestamp}, ${name} ${value}` };
      } catch (error) {
        signal.throwIfAborted();
        return { done: false, seen: String(error) };
      }
    },
    { deadline_ms: FIRST_MS, interval_ms: 250, signal },
  );
  if (done) return seen;
  const jobs = jobRows(settings).map(({ name, state, reason }) => `${name} ${reason ?? state}`);
  throw new PipelineError(
    "job_timed_out",
    `Cannot see a forecast at "${url}": expected one within ${FIRST_MS / 1000} s, last seen: ${seen}; jobs: ${jobs.join("; ")}`,
  );
}

/** Prints each change of a job's state until the signal fires. */
async function watch(settings: Settings, signal: AbortSignal): Promise<void> {
  const before = new Map(jobRows(settings).map(({ name, state }) => [name, state]));
  await until(
    () => {
      for (const { name, state, reason } of jobRows(settings)) {
        if (before.get(name) !== state)
          console.log(`${name}: ${state}${reason === null ? "" : ` (${reason})`}`);
        before.set(name, state);
      }
      return { done: signal.aborted, seen: null };
    },
    { deadline_ms: Number.POSITIVE_INFINITY, interval_ms: 1_000, signal },
  );
}
