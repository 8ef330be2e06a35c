// `millrace store`: what the store of a pipeline holds. Words only; ts/store does the work.

import { Command } from "commander";
import { connectKafka } from "../../kafka/client.ts";
import type { Kafka } from "../../kafka/kafka.ts";
import { connectRegistry } from "../../kafka/registry.ts";
import { type Names, namesOf, pipelineOf } from "../../pipelines/index.ts";
import { retentionOf, type Settings } from "../../settings/settings.ts";
import { type BackupReport, backup, restore } from "../../store/backup.ts";
import { rebuild } from "../../store/rebuild.ts";
import { reportStore, type StoreReport } from "../../store/report.ts";
import { interruptible } from "../interrupt.ts";

export function storeCommand(settingsOf: (command: Command) => Settings): Command {
  const at = async (
    command: Command,
    work: (settings: Settings, names: Names, kafka: Kafka) => Promise<void>,
  ): Promise<void> => {
    const settings = settingsOf(command);
    const kafka = connectKafka(settings.kafka, { client_id: "millrace-store" });
    try {
      await work(settings, namesOf(pipelineOf(settings.pipeline).pipeline, settings.namespace), kafka);
    } finally {
      await kafka.close();
    }
  };
  const store = new Command("store")
    .exitOverride()
    .description(
      "What the store of a pipeline holds: rows, sizes, the span of event time, how far it is behind",
    )
    .option("--json", "print as JSON", false)
    .addHelpText(
      "after",
      "\nExamples:\n  millrace store --json\n  millrace store rebuild\n  millrace store backup weather.store",
    )
    .action(async ({ json }: { json: boolean }, command: Command) => {
      await at(command, async (settings, names, kafka) => {
        const report = await reportStore({ settings, names }, names, kafka);
        console.log(json ? JSON.stringify(report) : storeTable(report));
      });
    });
  store
    .command("rebuild")
    .description(
      "Fill the tables again from the topics, in place: what is missing comes, what is there stays",
    )
    .option("--empty", "throw all rows away first, those too that the topics no longer hold", false)
    .addHelpText("after", "\nExample:\n  millrace store rebuild")
    .action(async ({ empty }: { empty: boolean }, command: Command) => {
      await at(command, (settings, names, kafka) =>
        interruptible((signal) =>
          rebuild(
            {
              place: { settings, names },
              names,
              contract: pipelineOf(settings.pipeline).contract,
              kafka,
              registry: connectRegistry(settings.registryUrl),
              retention: retentionOf(settings),
              log: (line) => process.stderr.write(`${line}\n`),
            },
            { empty, signal, onProgress: (line) => console.log(line) },
          ),
        ),
      );
    });
  store
    .command("backup")
    .description("Write the tables into a file, all of one moment, whole or not at all")
    .argument("<file>", "file to write; one that is there is replaced once the new one is whole")
    .option("--json", "print what was written as JSON", false)
    .addHelpText("after", "\nExample:\n  millrace store backup weather.store")
    .action(async (path: string, { json }: { json: boolean }, command: Command) => {
      await at(command, async (settings, names) => {
        const report = await backup({ settings, names }, path, Date.now());
        console.log(json ? JSON.stringify(report) : `${rowsOf(report)} in "${path}"`);
      });
    });
  store
    .command("restore")
    .description(
      "Put what a backup has in the place of what the tables have, whole or not at all; the sink then reads its topics from their beginning",
    )
    .argument("<file>", "file that backup wrote, of the same pipeline")
    .option("--replace", "lose the rows that are there", false)
    .option("--json", "print what was restored as JSON", false)
    .addHelpText("after", "\nExample:\n  millrace store restore weather.store --replace")
    .action(
      async (path: string, { replace, json }: { replace: boolean; json: boolean }, command: Command) => {
        await at(command, async (settings, names) => {
          const report = await restore({ settings, names }, path, { replace });
          console.log(json ? JSON.stringify(report) : `${rowsOf(report)} of ${report.at} restored`);
        });
      },
    );
  return store;
}

const rowsOf = ({ rows }: BackupReport): string =>
  `${Object.values(rows)
    .reduce((sum, count) => sum + count, 0)
    .toLocaleString("en")} rows`;

const minute = (ms: number | null) => (ms === null ? "–" : `${new Date(ms).toISOString().slice(0, 16)}Z`);
const mebibytes = (bytes: number) => `${(bytes / 1024 / 1024).toFixed(1)} MB`;

/** One line a table, then how far each topic is behind. */
export function storeTable({ pipeline, version, wanted, tables, lags }: StoreReport): string {
  const lines = tables.map(
    ({ table, rows, bytes, oldest_ms, newest_ms }) =>
      `${table.padEnd(15)}${rows.toLocaleString("en").padStart(13)}  ${mebibytes(bytes).padStart(11)}  ${minute(oldest_ms)}  ${minute(newest_ms)}`,
  );
  const behind = lags.map(
    ({ topic, lag }) => `${topic} ${lag === null ? "unknown" : lag.toLocaleString("en")}`,
  );
  return [
    `${pipeline}: tables ${version ?? "none"}${version === wanted ? "" : `, this software has ${wanted}`}`,
    `${"table".padEnd(15)}${"rows".padStart(13)}  ${"size".padStart(11)}  ${"oldest".padEnd(17)}  newest`,
    ...lines,
    `behind: ${behind.join(", ")}`,
  ].join("\n");
}
