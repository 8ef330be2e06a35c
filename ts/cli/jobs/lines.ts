// `millrace lines`: writes the records of a stream as JSON Lines by hour until Ctrl-C. Also the command of the process job
// `<pipeline>-lines`. Words only; ts/lines does the work.

import { randomBytes } from "node:crypto";
import { Command } from "commander";
import { tables } from "../../jobs/plan/tables.ts";
import { connectKafka } from "../../kafka/client.ts";
import { connectRegistry } from "../../kafka/registry.ts";
import { requireHdfs, webHdfs } from "../../lines/webhdfs.ts";
import { LinesWriter } from "../../lines/writer.ts";
import { inStream, namesOf, pipelineOf, requirePart, requireStream } from "../../pipelines/index.ts";
import { resolvePlace, type Settings } from "../../settings/settings.ts";
import { type Fares, submissionIn, whileReporting } from "../heartbeat.ts";
import { interruptible } from "../interrupt.ts";

export function linesCommand(settingsOf: (command: Command) => Settings): Command {
  return new Command("lines")
    .description("Write the records of a stream as JSON Lines by hour on HDFS until Ctrl-C, each once")
    .option("--place <url>", "where they lie, hdfs:/folder; as the pipeline says where nothing is said")
    .addHelpText("after", "\nExample:\n  millrace up --with hdfs\n  millrace lines --pipeline city")
    .action(async ({ place: word }: { place?: string }, command: Command) => {
      const settings = settingsOf(command);
      const { pipeline, contract: whole } = pipelineOf(settings.pipeline);
      const { reads, prefix, batch_records, ...where } = requirePart(pipeline, "lines");
      const contract = inStream(whole, requireStream(pipeline, reads ?? null));
      const place = word === undefined ? tables(settings).lines(where) : resolvePlace(word, settings);
      requireHdfs(place);
      const names = namesOf(pipeline, settings.namespace);
      const kafka = connectKafka(settings.kafka, { client_id: `${names.prefix}${names.job("lines")}` });
      const registry = connectRegistry(settings.registryUrl);
      const log = (line: string) => process.stderr.write(`${new Date().toISOString()} ${line}\n`);
      const files = webHdfs(settings, place);
      const writer = new LinesWriter({
        ...{ files, kafka, registry, names, contract, prefix, batch_records, log },
        writer: randomBytes(6).toString("hex"),
      });
      const submission = submissionIn(process.env["ENGINE_RUN"]);
      const state = () => faresOf(writer);
      try {
        await interruptible((signal) =>
          whileReporting({ job: "lines", submission, state, kafka, registry, names, contract, log }, () =>
            writer.run(signal),
          ),
        );
      } finally {
        await kafka.close();
      }
    });
}

function faresOf(writer: LinesWriter): Fares {
  const { waits_for, closed_until_ms, unread_ms, ...counters } = writer.state();
  return {
    message: waits_for === null ? null : `waits: ${waits_for}`,
    counters: {
      ...counters,
      ...(closed_until_ms === null ? {} : { closed_until_ms }),
      ...(unread_ms === null ? {} : { unread_ms }),
    },
  };
}
