// `millrace status`: one look at every engine. Exit code 3 when one that should work does not.

import { Command } from "commander";
import { PipelineError } from "../../contract/errors.ts";
import { OPTIONAL, type Settings } from "../../settings/settings.ts";
import { describeService, type EngineStatus, status, UNREACHABLE } from "../../topology/local/index.ts";

export function statusCommand(settingsOf: (command: Command) => Settings): Command {
  return new Command("status")
    .description("Says how each engine is; fails when one that should work does not")
    .option("--json", "print as JSON", false)
    .addHelpText("after", "\nExample:\n  millrace status --json")
    .action(async ({ json }: { json: boolean }, command: Command) => {
      const engines = await status(settingsOf(command));
      console.log(json ? JSON.stringify(engines) : statusTable(engines));
      const broken = engines.filter(({ state, wanted }) => wanted && state !== "up");
      if (broken.length > 0) throw unwell(broken);
    });
}

/** One line an engine, columns aligned. */
export function statusTable(engines: readonly EngineStatus[], now_ms: number = Date.now()): string {
  return engines
    .map(({ name, cluster, state, wanted, address, started_ms, seen, external }) => {
      if (!wanted) return `${name.padEnd(14)}optional, starts with "millrace up --with ${cluster}"`;
      const since = external
        ? "given"
        : state === "up" && started_ms !== null
          ? `${Math.round((now_ms - started_ms) / 60_000)} min`
          : "";
      return `${name.padEnd(14)}${state.padEnd(13)}${since.padEnd(9)}${address}${seen === null ? "" : `  (${seen})`}`;
    })
    .join("\n");
}

/** What a command says that finds an engine down: the engine, its address, the next step. */
export function unwell(broken: readonly EngineStatus[]): PipelineError {
  const [first] = broken;
  const names = broken.map(describeService).join(", ");
  const optional = OPTIONAL.filter((cluster) => broken.some((engine) => engine.cluster === cluster));
  const next = broken.every(({ external }) => external)
    ? "start it, or correct its address"
    : `start the engines with "millrace up${optional.map((cluster) => ` --with ${cluster}`).join("")}"`;
  return new PipelineError(UNREACHABLE[first!.cluster], `Cannot use the engines: ${names}; ${next}`);
}
