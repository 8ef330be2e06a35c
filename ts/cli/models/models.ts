// `millrace models list|show|promote`: the versions MLflow holds of the pipeline's model, and which one serves.
// Promoting moves the alias and says so on model-events; actors swap between two batches. Trains nothing.

import { Command } from "commander";
import { type ModelVersion, mlflowOf } from "../../engines/mlflow.ts";
import { connectKafka } from "../../kafka/client.ts";
import { connectRegistry } from "../../kafka/registry.ts";
import { announce } from "../../models/announce.ts";
import { ALIASES, findVersion, promote } from "../../models/promote.ts";
import { inTurn } from "../../models/turn.ts";
import { namesOf, pipelineOf } from "../../pipelines/index.ts";
import type { Settings } from "../../settings/settings.ts";

const print = (line: string) => console.log(line);

/** One line a version, in the order given, below a heading. */
export function versionTable(versions: readonly ModelVersion[]): string[] {
  const rows = versions.map((v) => [
    v.version,
    v.aliases.join(",") || "-",
    new Date(v.created_ms).toISOString().slice(0, 16),
    v.parent ?? "-",
    v.digest?.slice(0, 12) ?? "-",
    v.fingerprint?.slice(0, 12) ?? "-",
  ]);
  const all = [["version", "alias", "created (UTC)", "parent", "digest", "fingerprint"], ...rows];
  const widths = all[0]!.map((_, i) => Math.max(...all.map((row) => row[i]!.length)));
  return all.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join("  ")
      .trimEnd(),
  );
}

export function modelsCommand(settingsOf: (command: Command) => Settings): Command {
  const open = (command: Command) => {
    const settings = settingsOf(command);
    const { pipeline, contract } = pipelineOf(settings.pipeline);
    const names = namesOf(pipeline, settings.namespace);
    return { settings, contract, names, mlflow: mlflowOf(settings) };
  };

  const list = new Command("list")
    .description("Every version of the model, newest first")
    .option("--json", "print JSON", false)
    .addHelpText("after", "\nExample:\n  millrace models list --json")
    .action(async ({ json }: { json: boolean }, command: Command) => {
      const { mlflow, names } = open(command);
      const versions = await mlflow.versions(names.model);
      if (json) print(JSON.stringify(versions));
      else if (versions.length === 0)
        print(`no version of model "${names.model}" yet; train one with: millrace train`);
      else for (const line of versionTable(versions)) print(line);
    });

  const show = new Command("show")
    .description("One version with the metrics of its training")
    .argument("[which]", "an alias or a version", "champion")
    .option("--json", "print JSON", false)
    .addHelpText("after", "\nExample:\n  millrace models show 3")
    .action(async (which: string, { json }: { json: boolean }, command: Command) => {
      const { mlflow, names } = open(command);
      const version = await findVersion(mlflow, names.model, which);
      const metrics = version.run_id === null ? {} : await mlflow.metrics(version.run_id);
      if (json) return print(JSON.stringify({ ...version, metrics }));
      for (const line of versionTable([version])) print(line);
      print(`${mlflow.url}/#/models/${names.model}/versions/${version.version}`);
      const width = Math.max(0, ...Object.keys(metrics).map((name) => name.length));
      for (const [name, value] of Object.entries(metrics))
        print(`  ${name.padEnd(width)}  ${Number(value.toPrecision(5))}`);
    });

  const promoted = new Command("promote")
    .description("Lets an alias name a version; the running actors take it between two batches")
    .argument("<which>", "a version, or another alias")
    .option("--alias <name>", `one of ${ALIASES.join(", ")}`, "champion")
    .option("--json", "print JSON", false)
    .addHelpText("after", "\nExample:\n  millrace models promote 2")
    .action(async (which: string, { alias, json }: { alias: string; json: boolean }, command: Command) => {
      const { settings, contract, names, mlflow } = open(command);
      const kafka = connectKafka(settings.kafka, { client_id: `${settings.pipeline}-models` });
      try {
        const registry = connectRegistry(settings.registryUrl);
        const version = await inTurn(settings, names.model, () =>
          promote(mlflow, names.model, { which, alias }, (moved) =>
            announce({ kafka, registry, names, contract }, { ...moved, now_ms: Date.now() }),
          ),
        );
        print(json ? JSON.stringify(version) : `${alias} of ${names.model} is version ${version.version}`);
      } finally {
        await kafka.close();
      }
    });

  return new Command("models")
    .description("The trained models, and which one serves")
    .addHelpText("after", "\nExample:\n  millrace models list")
    .addCommand(list)
    .addCommand(show)
    .addCommand(promoted);
}
