// `millrace up`: starts the engines and shows each as it comes. Returns once all work; they stay until `millrace down`.

import { Command } from "commander";
import { Listr } from "listr2";
import {
  type EngineEvent,
  type EngineName,
  type EngineStatus,
  engineNames,
  up,
} from "../engines/local/index.ts";
import type { Settings } from "../engines/settings.ts";
import { interruptible } from "./interrupt.ts";

export function upCommand(settingsOf: (command: Command) => Settings): Command {
  return new Command("up")
    .description("Starts the engines that are not running: Kafka, schema registry, Spark, Ray, MLflow")
    .option("--json", "print the engines' state as JSON", false)
    .addHelpText("after", "\nExample:\n  MILLRACE_KAFKA_PORT=19092 millrace up")
    .action(async ({ json }: { json: boolean }, command: Command) => {
      const engines = await startShown(settingsOf(command), { quiet: json });
      if (json) console.log(JSON.stringify(engines));
    });
}

interface Line extends PromiseWithResolvers<void> {
  say: (text: string) => void;
}

/**
 * Starts the engines with one line each on the terminal, or silently. Ctrl-C meanwhile stops what was started.
 * Errors: as `up` in ts/engines/local.
 */
export async function startShown(settings: Settings, { quiet }: { quiet: boolean }): Promise<EngineStatus[]> {
  return interruptible(
    (signal) => (quiet ? up(settings, { signal }) : shown(settings, signal)),
    () => new Error("interrupted"),
  );
}

async function shown(settings: Settings, signal: AbortSignal): Promise<EngineStatus[]> {
  const lines = new Map<EngineName, Line>(
    engineNames(settings).map((name) => [name, { ...Promise.withResolvers<void>(), say: () => {} }]),
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
        `${engine.padEnd(12)} ${address}  ${state === "ready" ? `${(elapsed_ms / 1000).toFixed(1)} s` : state}`,
      );
      line.resolve();
    } else if (state === "failed") line.reject(new Error("see below"));
  };
  try {
    return await up(settings, { on, signal });
  } finally {
    // A line that has had no end by now gets none: the error that follows says why.
    for (const { promise, reject } of lines.values()) {
      promise.catch(() => {});
      reject(new Error("not started"));
    }
    await drawn;
  }
}
