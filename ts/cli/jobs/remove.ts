// `millrace remove`: takes a pipeline out of a namespace, its folder may be gone. Words only; supervise/remove.ts does it.

import { Command } from "commander";
import { PipelineError } from "../../contract/index.ts";
import { connectKafka } from "../../kafka/client.ts";
import { connectRegistry } from "../../kafka/registry.ts";
import type { Settings } from "../../settings/settings.ts";
import { planRemoval, type Removal, remove } from "../../supervise/remove.ts";

interface Options {
  readonly dryRun: boolean;
  readonly yes: boolean;
  readonly json: boolean;
}

/** What a person reads before it is removed. */
export function describeRemoval({ pipeline, topics, subjects, paths, stays }: Removal): string[] {
  const list = (what: string, names: readonly string[]) =>
    names.length === 0 ? [] : [`${what}:`, ...names.map((name) => `  ${name}`)];
  return [
    ...list("topics, with all their records", topics),
    ...list("subjects", subjects),
    ...list("files and folders", paths),
    ...list("stays, because a setting puts it outside the namespace's folder", stays),
    `models of "${pipeline}" stay in MLflow`,
  ];
}

export function removeCommand(settingsOf: (command: Command) => Settings): Command {
  return new Command("remove")
    .description(
      "Removes what there is of a pipeline in a namespace: its topics with all their records, schemas, checkpoints and tables; also where its folder is gone",
    )
    .argument("<pipeline>", "one that was applied")
    .option("--dry-run", "say what would be removed, and remove nothing", false)
    .option("--yes", "remove it: nothing of it can be brought back", false)
    .option("--json", "print it as JSON", false)
    .addHelpText(
      "after",
      "\nIts jobs are stopped before:\n  millrace stop --pipeline meters\n\nExamples:\n  millrace remove meters --dry-run\n  millrace remove meters --yes",
    )
    .action(async (pipeline: string, { dryRun, yes, json }: Options, command: Command) => {
      const settings = Object.freeze({ ...settingsOf(command), pipeline });
      const say = (line: string) => {
        if (!json) console.log(line);
      };
      const removal = planRemoval(settings);
      for (const line of describeRemoval(removal)) say(line);
      if (dryRun) say("Nothing was removed (--dry-run)");
      else if (!yes)
        throw new PipelineError(
          "config_invalid",
          `Cannot remove pipeline "${pipeline}": expected --yes, because nothing of it can be brought back`,
          { context: { next: `millrace remove ${pipeline} --yes` } },
        );
      else {
        const kafka = connectKafka(settings.kafka);
        try {
          await remove(settings, { kafka, registry: connectRegistry(settings.registryUrl) }, say);
        } finally {
          await kafka.close();
        }
      }
      if (json) console.log(JSON.stringify({ ...removal, removed: !dryRun }));
    });
}
