// The `millrace` command: finds the one file of the command asked for, loads only that, and turns what it throws into
// one explained message and an exit code. Knows no command's options.

import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Command, CommanderError, Option } from "commander";
import { type ErrorCode, explain, PipelineError } from "../contract/errors.ts";
import { type Flags, settingsFrom } from "../settings/environment.ts";
import type { Settings } from "../settings/settings.ts";
import { nextStep } from "./next.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

/** Settings of a command from the environment and its flags; every command's first step. */
export type SettingsOf = (command: Command) => Settings;
const settingsOf: SettingsOf = (command) => settingsFrom(root, process.env, command.optsWithGlobals<Flags>());

interface Row {
  readonly summary: string;
  load(): Promise<Command>;
}

/** Every command, in the order of help. A new one is a row here and a file in a folder beside this one. */
const COMMANDS: Readonly<Record<string, Row>> = {
  demo: {
    summary: "runs the whole line on a bundled sample",
    load: async () => (await import("./dev/demo.ts")).demoCommand(settingsOf),
  },
  doctor: {
    summary: "checks what the machine needs, and says what to do about what is missing",
    load: async () => (await import("./engines/doctor.ts")).doctorCommand(settingsOf),
  },
  up: {
    summary: "starts the engines: Kafka, schema registry, Spark, Ray, MLflow, PostgreSQL",
    load: async () => (await import("./engines/up.ts")).upCommand(settingsOf),
  },
  down: {
    summary: "stops supervisor, jobs and engines",
    load: async () => (await import("./engines/down.ts")).downCommand(settingsOf),
  },
  status: {
    summary: "says how each engine is",
    load: async () => (await import("./engines/status.ts")).statusCommand(settingsOf),
  },
  apply: {
    summary: "registers schemas, creates topics, writes the desired state",
    load: async () => (await import("./jobs/apply.ts")).applyCommand(settingsOf),
  },
  run: {
    summary: "supervises the desired jobs in the foreground",
    load: async () => (await import("./jobs/run.ts")).runCommand(settingsOf),
  },
  submit: {
    summary: "starts the pipeline's long-running jobs, or one, under supervision",
    load: async () => (await import("./jobs/submit.ts")).submitCommand(settingsOf),
  },
  jobs: {
    summary: "lists the jobs and their state",
    load: async () => (await import("./jobs/jobs.ts")).jobsCommand(settingsOf),
  },
  top: {
    summary: "shows how the line runs: alerts, latency, lag, batches, processes",
    load: async () => (await import("./jobs/top.ts")).topCommand(settingsOf),
  },
  logs: {
    summary: "prints the end of a job's log",
    load: async () => (await import("./jobs/logs.ts")).logsCommand(settingsOf),
  },
  stop: {
    summary: "takes a job out of the desired state and ends it",
    load: async () => (await import("./jobs/stop.ts")).stopCommand(settingsOf),
  },
  remove: {
    summary: "removes what there is of a pipeline in a namespace: topics, schemas, state, tables",
    load: async () => (await import("./jobs/remove.ts")).removeCommand(settingsOf),
  },
  generate: {
    summary: "writes schemas, TypeScript and Python from the contracts and pipelines",
    load: async () => (await import("./dev/generate.ts")).generateCommand(root),
  },
  replay: {
    summary: "sends a file of observations, each once, from where it stopped",
    load: async () => (await import("./data/replay.ts")).replayCommand(settingsOf),
  },
  produce: {
    summary: "asks a live feed and sends what is new, each observation once",
    load: async () => (await import("./data/produce.ts")).produceCommand(settingsOf),
  },
  simulate: {
    summary: "sends made-up values in a live feed's form, where nobody has access to it",
    load: async () => (await import("./data/simulate.ts")).simulateCommand(settingsOf),
  },
  tail: {
    summary: "prints the decoded records of a topic",
    load: async () => (await import("./data/tail.ts")).tailCommand(settingsOf),
  },
  rejects: {
    summary: "lists what could not be used, and sends mended records again",
    load: async () => (await import("./data/rejects.ts")).rejectsCommand(settingsOf),
  },
  keys: {
    summary: "makes, lists and revokes keys of an API that other machines reach",
    load: async () => (await import("./jobs/keys.ts")).keysCommand(settingsOf),
  },
  serve: {
    summary: "answers forecasts, stations, jobs, health and metrics over HTTP",
    load: async () => (await import("./jobs/serve.ts")).serveCommand(settingsOf),
  },
  sink: {
    summary: "writes the records of the topics into the store",
    load: async () => (await import("./jobs/sink.ts")).sinkCommand(settingsOf),
  },
  alerts: {
    summary: "tells people of anomalies by webhook",
    load: async () => (await import("./jobs/alerts.ts")).alertsCommand(settingsOf),
  },
  lines: {
    summary: "writes the records of a stream as JSON Lines by hour on HDFS",
    load: async () => (await import("./jobs/lines.ts")).linesCommand(settingsOf),
  },
  store: {
    summary: "says what the store holds; fills it again, saves it to a file and brings it back",
    load: async () => (await import("./data/store.ts")).storeCommand(settingsOf),
  },
  archive: {
    summary: "says what the archive of raw records holds, and what it lacks",
    load: async () => (await import("./data/archive.ts")).archiveCommand(settingsOf),
  },
  backfill: {
    summary: "computes features of a file or a Kafka range into the feature table",
    load: async () => (await import("./data/backfill.ts")).backfillCommand(settingsOf),
  },
  certify: {
    summary: "shows that stream, backfill and an oracle agree row by row, and writes a certificate",
    load: async () => (await import("./data/certify.ts")).certifyCommand(settingsOf),
  },
  seed: {
    summary: "fills the history topic from the feature table",
    load: async () => (await import("./models/seed.ts")).seedCommand(settingsOf),
  },
  train: {
    summary: "trains a model from the feature table",
    load: async () => (await import("./models/train.ts")).trainCommand(settingsOf),
  },
  evaluate: {
    summary: "judges a model on a split of its training, against every baseline",
    load: async () => (await import("./models/evaluate.ts")).evaluateCommand(settingsOf),
  },
  models: {
    summary: "lists the models, and which is champion",
    load: async () => (await import("./models/models.ts")).modelsCommand(settingsOf),
  },
  standin: {
    summary: "answers in the form of live feeds where there is no internet",
    load: async () => (await import("./dev/standin.ts")).standinCommand(),
  },
  bench: {
    summary: "measures latency, throughput, memory and start-up",
    load: async () => (await import("./dev/bench.ts")).benchCommand(settingsOf),
  },
  prove: {
    summary: "proves at full count: kill -9 of every part, nothing lost, nothing doubled",
    load: async () => (await import("./dev/prove.ts")).proveCommand(settingsOf),
  },
};

/** Exit codes: 0 done, 1 failed, 2 asked for something that cannot be, 3 something does not answer. */
function exitCode(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  const code: ErrorCode | null = error instanceof PipelineError ? error.code : null;
  if (code === "config_invalid") return 2;
  return code?.endsWith("_unreachable") ? 3 : 1;
}

async function main(args: readonly string[]): Promise<number> {
  const program = new Command("millrace")
    .description("Forecasts from streams: TypeScript over real Kafka, Spark and Ray")
    .helpOption("-h, --help", "shows this")
    .addHelpText("after", "\nEach command has its own --help with an example. Settings: docs/settings.md")
    .exitOverride();
  const asked = args.find((arg) => !arg.startsWith("-")) ?? "";
  const row = Object.hasOwn(COMMANDS, asked) ? COMMANDS[asked] : undefined;
  if (row) program.addCommand(withShared(await row.load()));
  else for (const [name, { summary }] of Object.entries(COMMANDS)) program.command(name).description(summary);
  try {
    // No command and nothing asked is a question for help.
    if (args.length === 0) program.outputHelp();
    else if (!row && asked !== "" && asked !== "help")
      program.error(`unknown command "${asked}"; see millrace --help`);
    else await program.parseAsync(args, { from: "user" });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    if (!(error instanceof CommanderError)) {
      const next = nextStep(error);
      console.error(explain(error) + (next === null ? "" : `\n  next: ${next}`));
    }
    return exitCode(error);
  }
}

/** What every command takes, unless it has its own. */
function withShared(command: Command): Command {
  const has = (flag: string) => command.options.some((option) => option.long === flag);
  if (!has("--namespace"))
    command.option("--namespace <name>", "namespace of topics, jobs and state (MILLRACE_NAMESPACE)");
  if (!has("--pipeline"))
    command.option("--pipeline <name>", "pipeline to work for (MILLRACE_PIPELINE; default: weather)");
  if (!has("--pipelines"))
    command.option(
      "--pipelines <folder>",
      "further pipelines, each in <folder>/<name>/pipeline.ts (MILLRACE_PIPELINES)",
    );
  if (!has("--settings"))
    command.addOption(
      new Option("--settings <file>", "complete settings as JSON, instead of the environment").hideHelp(),
    );
  return command.exitOverride();
}

process.exitCode = await main(process.argv.slice(2));
