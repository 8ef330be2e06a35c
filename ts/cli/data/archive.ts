// `millrace archive`: what the archive holds, and whether every committed record of the raw topic is in it, once. Words only;
// ts/supervise/archive.ts looks.

import { Command } from "commander";
import { connectKafka } from "../../kafka/client.ts";
import { namesOf, pipelineOf } from "../../pipelines/index.ts";
import type { Settings } from "../../settings/settings.ts";
import { type ArchivedPartition, type ArchiveState, archiveOf } from "../../supervise/archive.ts";
import { forPipeline, withPipeline } from "../batch.ts";

const count = (value: number) => value.toLocaleString("en-US");

function bytes(value: number): string {
  const steps = ["B", "KiB", "MiB", "GiB", "TiB"];
  let [size, step] = [value, 0];
  for (; size >= 1024 && step < steps.length - 1; step++) size /= 1024;
  return `${step === 0 ? size : size.toFixed(1)} ${steps[step]}`;
}

/** What a person reads of it. */
export function describeArchive(job: string, archive: ArchiveState): string[] {
  const { path, rows, files, version, first_version, dates } = archive;
  const days = dates.first === null ? "no date" : `${dates.count} dates, ${dates.first} to ${dates.last}`;
  return [
    `${job}: ${path}`,
    `${count(rows)} rows in ${count(files)} files, ${bytes(archive.bytes)} · versions ${first_version} to ${version} · ${days}`,
    ...archive.partitions.flatMap(partitionLines),
    archive.rows === 0
      ? "NOTHING is archived yet"
      : archive.whole
        ? "every committed record the topic still holds, up to the last one archived, is here once"
        : "NOT WHOLE: see the gaps and repeats above",
  ];
}

function partitionLines({
  partition,
  rows,
  first,
  last,
  repeated,
  gaps,
  unknowable,
  behind,
}: ArchivedPartition): string[] {
  const place = first === null ? "no row yet" : `${count(rows)} rows, offsets ${first} to ${last}`;
  const more = [
    repeated > 0 ? `${repeated} REPEATED` : "",
    gaps.length > 0 ? `${gaps.length} GAPS` : "no gap",
    unknowable > 0
      ? `${count(unknowable)} offsets without a row lie below the topic's beginning: markers and aborted records, or not, nobody can tell`
      : "",
    behind > 0 ? `${count(behind)} offsets behind the topic` : "",
  ].filter(Boolean);
  return [
    `partition ${partition}: ${[place, ...more].join(" · ")}`,
    ...gaps.map(({ first, last, records, kind }) =>
      kind === "missing"
        ? `  gap: ${records} committed records in offsets ${first} to ${last}, the topic still holds them`
        : `  lost: offsets ${first} to ${last} were deleted from the topic before they were archived`,
    ),
  ];
}

export function archiveCommand(settingsOf: (command: Command) => Settings): Command {
  return withPipeline(new Command("archive"))
    .description(
      "Says what the archive of raw records holds, and looks for committed records that are missing or there twice; leaves with 1 if there are any, or nothing at all",
    )
    .option("--json", "print it as JSON", false)
    .addHelpText(
      "after",
      "\nThe archive is written by a job of its own:\n  millrace submit weather-archive\n\nExample:\n  millrace archive weather --json",
    )
    .action(async (word: string | undefined, { json }: { json: boolean }, command: Command) => {
      const settings = forPipeline(settingsOf(command), word);
      const job = namesOf(pipelineOf(settings.pipeline).pipeline, settings.namespace).job("archive");
      const kafka = connectKafka(settings.kafka);
      try {
        const archive = await archiveOf(settings, kafka);
        for (const line of json ? [JSON.stringify(archive)] : describeArchive(job, archive))
          console.log(line);
        if (!archive.whole || archive.rows === 0) process.exitCode = 1;
      } finally {
        await kafka.close();
      }
    });
}
