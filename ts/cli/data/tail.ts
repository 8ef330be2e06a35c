// `millrace tail`: decoded records of a topic, committed ones only, as lines for a person or as JSON for a pipe.

import { Command } from "commander";
import { definitionOf, toJson, type Unframed, WireDecoder } from "../../contract/index.ts";
import { connectKafka } from "../../kafka/client.ts";
import type { Kafka, KafkaRecord } from "../../kafka/kafka.ts";
import { connectRegistry, type Registry } from "../../kafka/registry.ts";
import {
  type Contract,
  inStream,
  type Names,
  namesOf,
  pipelineOf,
  streamSchema,
  streamsOf,
  TOPICS,
  topicOf,
  topicsOf,
} from "../../pipelines/index.ts";
import type { Settings } from "../../settings/settings.ts";
import { parseInteger } from "../flags.ts";

export interface TailFlags {
  readonly topic: string;
  readonly unframed: Unframed;
  readonly json: boolean;
  readonly from_beginning: boolean;
  readonly follow: boolean;
  readonly limit: number;
}

/** A topic by its short name (`raw`, or that of another stream), its name without the namespace (`weather-raw`) or its whole name. */
export function topicNamed(names: Names, word: string): string {
  const short = TOPICS.find((what) => what === word.replaceAll("-", "_"));
  if (short !== undefined) return topicOf(names, short).topic;
  const stream = names.topics[word] ?? names.topics[word.replaceAll("-", "_")];
  if (stream !== undefined) return stream.topic;
  const query = names.results[word] ?? names.results[word.replaceAll("-", "_")];
  if (query !== undefined) return query.topic;
  const ours = [...topicsOf(names), ...Object.values(names.results)].find(
    ({ topic }) => topic === `${names.prefix}${word}`,
  );
  return ours?.topic ?? word;
}

/** What JSON without a frame is on a topic: an observation, the result of a query, or nothing of ours. */
function unframedIn(names: Names, contract: Contract, topic: string): Unframed {
  const stream = streamsOf(contract).find((name) => topicOf(names, name).topic === topic);
  if (stream !== undefined) return definitionOf(streamSchema(inStream(contract, stream)));
  return Object.values(names.results).some((result) => result.topic === topic) ? "any_json" : null;
}

/** What a record is on a line. Bytes that are no UTF-8 are base64 behind `base64:`; a value that cannot be decoded says why. */
export async function describeRecord(
  record: KafkaRecord,
  decoder: WireDecoder,
): Promise<Record<string, unknown>> {
  const { partition, offset, timestamp, key, value } = record;
  const headers = Object.fromEntries(
    Object.entries(record.headers).map(([name, bytes]) => [name, words(bytes)]),
  );
  const decoded = value === null ? null : await decoder.decode(value);
  return {
    key: key === null ? null : words(key),
    partition,
    offset,
    timestamp,
    headers,
    value:
      decoded === null
        ? null
        : decoded.ok
          ? decoded.record
          : { refused: decoded.reason, detail: decoded.detail, schema_id: decoded.schema_id, bytes: value },
  };
}

function words(bytes: Buffer): string {
  const text = bytes.toString("utf8");
  return Buffer.from(text).equals(bytes) ? text : `base64:${bytes.toString("base64")}`;
}

/** Prints records until the limit, the end (unless following) or the signal. Returns how many. */
export async function printRecords(
  { kafka, registry }: { kafka: Kafka; registry: Registry },
  flags: TailFlags,
  { print, signal }: { print: (line: string) => void; signal: AbortSignal },
): Promise<number> {
  const decoder = new WireDecoder(flags.unframed, (id) => registry.schemaById(id));
  const reader = kafka.read(flags.topic, {
    from: flags.from_beginning ? "beginning" : "end",
    until: flags.follow ? "never" : "stable",
    signal,
  });
  let count = 0;
  if (flags.limit === 0) return count;
  try {
    for await (const records of reader)
      for (const record of records) {
        const line = await describeRecord(record, decoder);
        if (flags.json) print(toJson(line));
        else {
          const time = new Date(record.timestamp).toISOString();
          print(
            `${time} ${line["partition"]}/${line["offset"]} ${line["key"] ?? "-"} ${toJson(line["value"])}`,
          );
        }
        if (++count >= flags.limit) return count;
      }
  } finally {
    await reader.close();
  }
  return count;
}

export function tailCommand(settingsOf: (command: Command) => Settings): Command {
  return new Command("tail")
    .description(
      "Print the decoded records of a topic: key, partition, offset, headers and value; leaves with 1 if there is none",
    )
    .argument(
      "<topic>",
      `raw or another stream, ${TOPICS.map((what) => what.replaceAll("_", "-")).join(", ")}, a query whose results are a topic, or a whole topic name`,
    )
    .option("--json", "one JSON object a line", false)
    .option("--from-beginning", "start with the oldest record and end with the newest", false)
    .option("--follow", "go on with records that arrive later (the default without --from-beginning)", false)
    .option("--limit <number>", "end after so many records")
    .addHelpText("after", "\nExample:\n  millrace tail features --json --from-beginning --limit 5\n")
    .action(async (word: string, options: Record<string, string | boolean | undefined>, command: Command) => {
      const settings = settingsOf(command);
      const { pipeline, contract } = pipelineOf(settings.pipeline);
      const names = namesOf(pipeline, settings.namespace);
      const topic = topicNamed(names, word);
      const from_beginning = options["fromBeginning"] === true;
      const limit =
        options["limit"] === undefined
          ? Number.POSITIVE_INFINITY
          : parseInteger("--limit", String(options["limit"]), 1);
      const kafka = connectKafka(settings.kafka, { client_id: "millrace-tail" });
      const stop = new AbortController();
      process.once("SIGINT", () => stop.abort());
      process.once("SIGTERM", () => stop.abort());
      // `millrace tail … | head` closes the pipe: that is an end, not an error.
      process.stdout.once("error", () => stop.abort());
      const follow = options["follow"] === true || !from_beginning;
      try {
        const count = await printRecords(
          { kafka, registry: connectRegistry(settings.registryUrl) },
          {
            topic,
            unframed: unframedIn(names, contract, topic),
            json: options["json"] === true,
            from_beginning,
            follow,
            limit,
          },
          { print: (line) => process.stdout.write(`${line}\n`), signal: stop.signal },
        );
        if (count === 0 && !follow && !stop.signal.aborted) {
          console.error(`no committed record in "${topic}"`);
          process.exitCode = 1;
        }
      } finally {
        await kafka.close();
      }
    });
}
