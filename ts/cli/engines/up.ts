// `millrace up`: starts the engines and shows each as it comes. Returns once all work; they stay until `millrace down`.

import { Command, Option } from "commander";
import { Listr } from "listr2";
import { explain } from "../../contract/errors.ts";
import { OPTIONAL, type Optional, type Settings } from "../../settings/settings.ts";
import {
  type EngineEvent,
  type EngineOptions,
  type EngineStatus,
  engineNames,
  up,
} from "../../topology/local/index.ts";
import { interruptible } from "../interrupt.ts";

export function upCommand(settingsOf: (command: Command) => Settings): Command {
  return new Command("up")
    .description(
      "Starts the engines that are not running: Kafka, schema registry, Spark, Ray, MLflow, PostgreSQL",
    )
    .addOption(
      new Option(
        "--with <engines...>",
        "also start what is optional; it then comes back with every up until it is stopped",
      )
        .choices(OPTIONAL)
        .default([]),
    )
    .option("--json", "print the engines' state as JSON", false)
    .addHelpText(
      "after",
      "\nExamples:\n  MILLRACE_KAFKA_PORT=19092 millrace up\n  millrace up --with hdfs        # then MILLRACE_ARCHIVE=hdfs:/archive, see docs/archive.md",
    )
    .action(async (options: { json: boolean; with: Optional[] }, command: Command) => {
      const { json } = options;
      const engines = await startShown(settingsOf(command), { quiet: json, with: options.with });
      if (json) console.log(JSON.stringify(engines));
    });
}

interface Line extends PromiseWithResolvers<void> {
  say: (text: string) => void;
}

/**
 * Starts the engines with one line each on the terminal, or silently. Ctrl-C meanwhile stops what was started.
 * Errors: as `up` in ts/topology/local.
 */
export async function startShown(
  settings: Settings,
  { quiet, with: asked = [] }: { quiet: boolean; with?: readonly Optional[] },
): Promise<EngineStatus[]> {
  return interruptible(
    async (signal) => {
      const forgone: string[] = [];
      const onForgone = (name: string, error: unknown) => {
        forgone.push(`Goes on without "${name}", which could not be started: ${explain(error)}`);
      };
      const options = { with: asked, signal, onForgone };
      const engines = await (quiet ? up(settings, options) : shown(settings, options));
      for (const line of forgone) console.error(line);
      return engines;
    },
    () => new Error("interrupted"),
  );
}

async function shown(settings: Settings, options: EngineOptions): Promise<EngineStatus[]> {
  const lines = new Map<string, Line>(
    engineNames(settings, options.with).map((name) => [
      name,
      { ...Promise.withResolvers<void>(), say: () => {} },
    ]),
  );
  const tasks = new Listr(
    [...lines].map(([name, line]) => ({
      title: name,
      task: (_: unknown, task: { title?: string }) => {
        line.say = (text) => {
          task.title = text;
        };
        return line.promise;
      },
    })),
    {
      concurrent: true,
      exitOnError: false,
      // Ours stop what was started; listr2's would leave at once.
      registerSignalListeners: false,
      fallbackRenderer: "simple",
      rendererOptions: { showErrorMessage: false, collapseErrors: false },
    },
  );
  // Drawn from the first event on: a port in use is an error before any engine is touched.
  let drawn: Promise<unknown> | null = null;
  const on = ({ engine, state, elapsed_ms, address }: EngineEvent) => {
    drawn ??= tasks.run();
    const line = lines.get(engine)!;
    if (state === "ready" || state === "already running") {
      line.say(
        `${engine.padEnd(13)} ${address}  ${state === "ready" ? `${(elapsed_ms / 1000).toFixed(1)} s` : state}`,
      );
      line.resolve();
    } else if (state === "failed") line.reject(new Error("see below"));
  };
  try {
    return await up(settings, { ...options, on });
  } finally {
    // A line that has had no end by now gets none: the error that follows says why.
    for (const { promise, reject } of lines.values()) {
      promise.catch(() => {});
      reject(new Error("not started"));
    }
    await drawn;
  }
}
