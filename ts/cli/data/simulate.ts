// `millrace simulate`: sends made-up values in a live feed's form until Ctrl-C. Also the command of the process job
// `<pipeline>-simulate`. Flags and words only; ts/source/simulate does the work.

import { Command } from "commander";
import { wallClock } from "../../ground/clock.ts";
import { connectKafka } from "../../kafka/client.ts";
import { connectRegistry } from "../../kafka/registry.ts";
import {
  inStream,
  namesOf,
  pipelineOf,
  requirePart,
  requireStream,
  streamSchema,
  topicOf,
} from "../../pipelines/index.ts";
import type { Settings } from "../../settings/settings.ts";
import { targetOf } from "../../source/send/target.ts";
import { Simulation } from "../../source/simulate/simulate.ts";
import { untilReadable } from "../../supervise/applied.ts";
import { parseTime, positive } from "../flags.ts";
import { submissionIn, whileReporting } from "../heartbeat.ts";
import { interruptible } from "../interrupt.ts";

interface Options {
  readonly from?: string;
  readonly speed: string;
}

export function simulateCommand(settingsOf: (command: Command) => Settings): Command {
  return new Command("simulate")
    .description("Send made-up values in a live feed's form until Ctrl-C, each once; their records say so")
    .option("--from <time>", "event time to begin at: RFC 3339 or a date; now where nothing is said")
    .option("--speed <factor>", "how fast time passes until it has come to now", "1")
    .addHelpText("after", "\nExample:\n  millrace simulate --pipeline city --from 2026-11-01 --speed 1800")
    .action(async (options: Options, command: Command) => {
      const settings = settingsOf(command);
      const { pipeline, contract: whole } = pipelineOf(settings.pipeline);
      const { every_ms, seed, stream } = requirePart(pipeline, "simulated");
      const contract = inStream(whole, requireStream(pipeline, stream ?? null));
      const names = namesOf(pipeline, settings.namespace);
      const log = (line: string) => process.stderr.write(`${new Date().toISOString()} ${line}\n`);
      const from_ms = parseTime("--from", options.from) ?? Date.now();
      const speed = positive("--speed", options.speed);
      const simulation = new Simulation({ contract, seed, every_ms, from_ms, speed, clock: wallClock, log });
      const kafka = connectKafka(settings.kafka, { client_id: `${names.prefix}${names.job("simulate")}` });
      const registry = connectRegistry(settings.registryUrl);
      const submission = submissionIn(process.env["ENGINE_RUN"]);
      const state = () => simulation.state();
      try {
        await interruptible(async (signal) => {
          // While a new contract is being applied, its readers restart first.
          const raw_id = await registry.idOf(topicOf(names, contract.stream).subject, streamSchema(contract));
          await untilReadable(settings, raw_id, { signal });
          const target = await targetOf({ kafka, registry, names, contract, source: "simulate" });
          await whileReporting(
            { job: "simulate", submission, state, kafka, registry, names, contract, log },
            () => simulation.run(target, signal),
          );
        });
      } finally {
        await kafka.close();
      }
    });
}
