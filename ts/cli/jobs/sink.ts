// `millrace sink`: writes the topics of a pipeline into the store until Ctrl-C. Also the command of the process job
// `<pipeline>-sink`, which then says every few seconds how it fares, as every job does.

import { Command } from "commander";
import { encoder, explain, type JobProgress } from "../../contract/index.ts";
import { pause } from "../../ground/pause.ts";
import { connectKafka } from "../../kafka/client.ts";
import type { Kafka, Producer } from "../../kafka/kafka.ts";
import { connectRegistry, type Registry } from "../../kafka/registry.ts";
import { type Contract, type Names, namesOf, pipelineOf } from "../../pipelines/index.ts";
import { retentionOf, type Settings } from "../../settings/settings.ts";
import { Sink } from "../../store/sink.ts";
import { interruptible } from "../interrupt.ts";

/** Nine in the time after which the supervisor takes it for dead. */
const REPORT_MS = 10_000;

/** The submission that this process is of, in the mark it was started with (ts/engines/process.ts); null by hand. */
const submissionIn = (mark: string | undefined): string | null => /^job=(.+);$/.exec(mark ?? "")?.[1] ?? null;

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
      try {
        await interruptible(async (signal) => {
          const done = new AbortController();
          const reports =
            submission === null
              ? Promise.resolve()
              : report({ sink, submission, kafka, registry, names, contract, log }, done.signal);
          try {
            await sink.run(signal);
          } finally {
            done.abort();
            await reports;
          }
        });
      } finally {
        await kafka.close();
      }
    });
}

interface Reporting {
  readonly sink: Sink;
  readonly submission: string;
  readonly kafka: Kafka;
  readonly registry: Registry;
  readonly names: Names;
  readonly contract: Contract;
  readonly log: (line: string) => void;
}

/** Says how the sink fares until the signal fires, and once more then. That it cannot be said is no reason to stop. */
async function report(
  { sink, submission, kafka, registry, names, contract, log }: Reporting,
  signal: AbortSignal,
): Promise<void> {
  const { topic, subject } = names.topics.progress;
  const { progress } = contract.schemas;
  let producer: Producer | null = null;
  let encode: ((record: JobProgress) => Buffer) | null = null;
  let failed = "";
  const say = async (state: JobProgress["state"]) => {
    const { rows, waits_for, ...counters } = sink.state();
    const record: JobProgress = {
      job: names.job("sink"),
      submission,
      state,
      timestamp: Date.now(),
      error_code: null,
      message: waits_for === null ? null : `waits: ${waits_for}`,
      counters: {
        ...Object.fromEntries(Object.entries(rows).map(([kind, count]) => [`${kind}_rows`, count])),
        ...counters,
      },
    };
    try {
      encode ??= encoder<JobProgress>(progress, await registry.idOf(subject, progress));
      producer ??= await kafka.producer({ transactional_id: names.transactionalId("sink", 0) });
      const transaction = await producer.begin();
      await transaction.send([{ topic, key: record.job, value: encode(record) }]);
      await transaction.commit();
      failed = "";
    } catch (error) {
      await producer?.close().catch(() => undefined);
      producer = null;
      const reason = explain(error);
      if (reason !== failed) log(`cannot report: ${reason}`);
      failed = reason;
    }
  };
  await say("starting");
  while (!signal.aborted) {
    await say("running");
    await pause(REPORT_MS, signal);
  }
  await say("stopped");
  await (producer as Producer | null)?.close().catch(() => undefined);
}
