// `millrace sink`: writes the topics of a pipeline into the store until Ctrl-C. Also the command of the process job
// `<pipeline>-sink`, which then says every few seconds how it fares, as every job does.

import { Command } from "commander";
import { connectKafka } from "../../kafka/client.ts";
import { connectRegistry } from "../../kafka/registry.ts";
import { namesOf, pipelineOf } from "../../pipelines/index.ts";
import { retentionOf, type Settings } from "../../settings/settings.ts";
import { Sink } from "../../store/sink.ts";
import { type Fares, submissionIn, whileReporting } from "../heartbeat.ts";
import { interruptible } from "../interrupt.ts";

export function sinkCommand(settingsOf: (command: Command) => Settings): Command {
  return new Command("sink")
    .description("Write the records of the topics into the store until Ctrl-C, each once")
    .addHelpText(
      "after",
      "\nExample:\n  millrace sink --pipeline weather\n  millrace store      # what there is",
    )
    .action(async (_options: object, command: Command) => {
      const settings = settingsOf(command);
      const { pipeline, contract } = pipelineOf(settings.pipeline);
      const names = namesOf(pipeline, settings.namespace);
      const kafka = connectKafka(settings.kafka, { client_id: `${names.prefix}${names.job("sink")}` });
      const registry = connectRegistry(settings.registryUrl);
      const log = (line: string) => process.stderr.write(`${new Date().toISOString()} ${line}\n`);
      const sink = new Sink({
        place: { settings, names },
        names,
        contract,
        kafka,
        registry,
        retention: retentionOf(settings),
        log,
      });
      const submission = submissionIn(process.env["ENGINE_RUN"]);
      const reporting = {
        job: "sink",
        submission,
        state: () => faresOf(sink),
        kafka,
        registry,
        names,
        contract,
        log,
      };
      try {
        await interruptible((signal) => whileReporting(reporting, () => sink.run(signal)));
      } finally {
        await kafka.close();
      }
    });
}

function faresOf(sink: Sink): Fares {
  const { rows, waits_for, ...counters } = sink.state();
  return {
    message: waits_for === null ? null : `waits: ${waits_for}`,
    counters: {
      ...Object.fromEntries(Object.entries(rows).map(([kind, count]) => [`${kind}_rows`, count])),
      ...counters,
    },
  };
}
