// `millrace apply`: puts the pipeline's contract in force in a namespace. Words only; supervise/apply.ts does it.

import { readFileSync } from "node:fs";
import { Command } from "commander";
import { PipelineError } from "../../contract/index.ts";
import { connectKafka } from "../../kafka/client.ts";
import { connectRegistry } from "../../kafka/registry.ts";
import type { Settings } from "../../settings/settings.ts";
import { type ApplyReport, apply, describeTopic } from "../../supervise/apply.ts";

interface Options {
  readonly dryRun: boolean;
  readonly observation?: string;
  readonly stream?: string;
  readonly json: boolean;
}

export function applyCommand(settingsOf: (command: Command) => Settings): Command {
  return new Command("apply")
    .description(
      "Registers schemas, creates topics, and for a changed contract restarts readers before writers; idempotent",
    )
    .option("--dry-run", "say what would change, and change nothing", false)
    .option("--observation <file>", "observation contract (Avro JSON) to apply instead of the generated one")
    .option(
      "--stream <name>",
      "stream of --observation, where the pipeline has several and none of them is raw",
    )
    .option("--json", "print the result as JSON", false)
    .addHelpText("after", "\nExample:\n  millrace apply --dry-run")
    .action(async ({ dryRun, observation, stream, json }: Options, command: Command) => {
      const settings = settingsOf(command);
      const kafka = connectKafka(settings.kafka);
      try {
        const report = await apply({
          settings,
          kafka,
          registry: connectRegistry(settings.registryUrl),
          dry_run: dryRun,
          ...(observation === undefined ? {} : { observation: read(observation) }),
          ...(stream === undefined ? {} : { stream }),
          ...(json ? {} : { onStep: (line: string) => console.log(line) }),
        });
        if (json) console.log(JSON.stringify(report));
        else for (const line of applySummary(report)) console.log(line);
      } finally {
        await kafka.close();
      }
    });
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new PipelineError("config_invalid", `Cannot read contract "${path}": expected a file`, { cause });
  }
}

function applySummary({ subjects, topics, restarted, dry_run }: ApplyReport): string[] {
  const changed = subjects.filter(({ change }) => change !== "same");
  if (dry_run)
    return [
      ...changed.map(({ subject, change }) => `${subject}: ${change}`),
      ...topics.map(describeTopic),
      changed.length + topics.length === 0 ? "Nothing would change" : "Nothing was changed (--dry-run)",
    ];
  const restarts = restarted.length;
  return changed.length + topics.length + restarts === 0
    ? ["Nothing to change"]
    : [`Applied: ${changed.length} schemas, ${topics.length} topic changes, ${restarts} jobs restarted`];
}
