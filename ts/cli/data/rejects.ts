// `millrace rejects`: list, show and send again what could not be used. Words only; ts/source/rejects.ts does the work.

import { readFileSync } from "node:fs";
import { Command } from "commander";
import { PipelineError, toJson } from "../../contract/index.ts";
import { connectKafka } from "../../kafka/client.ts";
import { connectRegistry } from "../../kafka/registry.ts";
import { entityKey, inStream, namesOf, pipelineOf, topicOf } from "../../pipelines/index.ts";
import type { Settings } from "../../settings/settings.ts";
import {
  contractOf,
  findReject,
  observationOf,
  type Reject,
  type RejectsSource,
  readRejects,
  readResent,
  rejectId,
  resend,
} from "../../source/rejects.ts";
import { collected, parseInteger } from "../flags.ts";

type Print = (line: string) => void;

export interface ListFlags {
  readonly reason: string | null;
  /** Only those of one stream. */
  readonly stream: string | null;
  readonly limit: number;
  readonly json: boolean;
}

/**
 * The newest ones, oldest of them first; how many there are. Errors: `config_invalid` for a reason that no reject can have and for
 * a stream that is not there.
 */
export async function list(
  place: RejectsSource,
  { reason, stream, limit, json }: ListFlags,
  print: Print,
): Promise<number> {
  const reasons = reasonsOf(place);
  if (reason !== null && !reasons.includes(reason))
    throw new PipelineError(
      "config_invalid",
      `Cannot use --reason "${reason}": expected one of ${reasons.join(", ")}`,
    );
  const topic = stream === null ? null : topicOf(place.names, inStream(place.contract, stream).stream).topic;
  const resent = await readResent(place);
  const all = (await readRejects(place))
    .filter((reject) => reason === null || reject.reason === reason)
    .filter((reject) => topic === null || reject.topic === topic)
    .sort((a, b) => a.rejected_time - b.rejected_time);
  const lines = all.slice(Math.max(0, all.length - limit)).map((reject) => summary(reject, place, resent));
  if (json) for (const line of lines) print(toJson(line));
  else {
    for (const { id, reason, key, resent, detail } of lines)
      print(`${id}  ${reason}  ${key ?? "-"}${resent ? "  sent again" : ""}  ${detail}`);
    print(`${all.length} rejects${all.length > lines.length ? `, the newest ${lines.length} shown` : ""}`);
  }
  return all.length;
}

function reasonsOf({ contract }: Pick<RejectsSource, "contract">): readonly string[] {
  const { fields } = JSON.parse(contract.schemas.rejects) as {
    fields: readonly { name: string; type: { symbols?: readonly string[] } }[];
  };
  return fields.find(({ name }) => name === "reason")?.type.symbols ?? [];
}

function summary(reject: Reject, place: RejectsSource, resent: ReadonlySet<string>) {
  const contract = contractOf(reject, place) ?? place.contract;
  const id = rejectId(reject);
  const { reason, detail, append_time, rejected_time } = reject;
  // What was refused of windows is named by what they are of.
  const names = reject as unknown as Readonly<Record<string, unknown>>;
  const named = names[contract.key] ?? names[entityKey(contract)];
  const key = typeof named === "string" ? named : (reject.key?.toString("utf8") ?? null);
  return { id, reason, key, detail, append_time, rejected_time, resent: resent.has(id) };
}

/** The whole reject; its bytes in base64 and, where they can be read, the observation they hold. */
export async function show(place: RejectsSource, id: string, print: Print): Promise<void> {
  const reject = await findReject(place, id);
  const resent = await readResent(place);
  const headers = Object.fromEntries(
    Object.entries(reject.headers).map(([name, bytes]) => [name, bytes.toString("utf8")]),
  );
  const observation = await observationOf(reject, place);
  print(
    toJson({
      ...summary(reject, place, resent),
      schema_id: reject.schema_id,
      headers,
      observation,
      value: reject.value,
    }),
  );
}

/** `temperature=21.5`, `humidity=` for nothing, as cells. */
export function changesOf(words: readonly string[], value: string | null): Record<string, unknown> {
  const changes: Record<string, unknown> = {};
  if (value !== null) {
    let json: unknown;
    try {
      json = JSON.parse(readFileSync(value, "utf8"));
    } catch (cause) {
      throw new PipelineError(
        "config_invalid",
        `Cannot use --value "${value}": expected a file with one JSON object`,
        { cause },
      );
    }
    if (typeof json !== "object" || json === null || Array.isArray(json))
      throw new PipelineError("config_invalid", `Cannot use --value "${value}": expected one JSON object`);
    Object.assign(changes, json);
  }
  for (const word of words) {
    const at = word.indexOf("=");
    if (at <= 0)
      throw new PipelineError("config_invalid", `Cannot use --set "${word}": expected FIELD=VALUE`);
    changes[word.slice(0, at)] = word.slice(at + 1);
  }
  return changes;
}

interface ListOptions {
  readonly reason?: string;
  readonly stream?: string;
  readonly limit: string;
  readonly json: boolean;
}

export function rejectsCommand(settingsOf: (command: Command) => Settings): Command {
  const print: Print = (line) => console.log(line);
  const at = async (command: Command, work: (place: RejectsSource) => Promise<void>): Promise<void> => {
    const settings = settingsOf(command);
    const { pipeline, contract } = pipelineOf(settings.pipeline);
    const kafka = connectKafka(settings.kafka, { client_id: "millrace-rejects" });
    try {
      await work({
        kafka,
        registry: connectRegistry(settings.registryUrl),
        names: namesOf(pipeline, settings.namespace),
        contract,
      });
    } finally {
      await kafka.close();
    }
  };
  const rejects = new Command("rejects")
    .exitOverride()
    .description("Records that could not be used: list them, show one, send mended ones again")
    .addHelpText("after", "\nExample:\n  millrace rejects list --reason out_of_range\n");
  rejects
    .command("list")
    .description("The newest rejects with their ids")
    .option("--reason <reason>", "only those, for example out_of_range")
    .option("--stream <name>", "only those of this stream")
    .option("--limit <number>", "how many", "50")
    .option("--json", "one JSON object a line", false)
    .addHelpText("after", "\nExample:\n  millrace rejects list --limit 10 --json\n")
    .action(async (options: ListOptions, command: Command) => {
      const limit = parseInteger("--limit", options.limit, 1);
      const { reason = null, stream = null, json } = options;
      await at(command, async (place) => {
        const count = await list(place, { reason, stream, limit, json }, print);
        // Who asks for some and gets none has found nothing; that there are none at all is an answer.
        if (reason !== null && count === 0) process.exitCode = 1;
      });
    });
  rejects
    .command("show")
    .description("One reject as JSON, with the observation its bytes hold")
    .argument("<id>", "as `rejects list` prints it")
    .addHelpText("after", "\nExample:\n  millrace rejects show weather-raw/3/1042\n")
    .action((id: string, _options: object, command: Command) =>
      at(command, (place) => show(place, id, print)),
    );
  rejects
    .command("replay")
    .description("Send rejects to the topic of their stream again, once, mended; all of them or none")
    .argument("<id...>", "as `rejects list` prints them")
    .option(
      "--set <field=value>",
      "value in the contract's unit, nothing for none; repeatable",
      collected,
      [],
    )
    .option("--value <file>", "JSON file with the corrected observation, or the fields that change")
    .option("--json", "one JSON object a line", false)
    .addHelpText(
      "after",
      "\nExample:\n  millrace rejects replay weather-raw/3/1042/temperature --set temperature=21.5\n",
    )
    .action(
      async (ids: string[], options: { set: string[]; value?: string; json: boolean }, command: Command) => {
        const changes = changesOf(options.set, options.value ?? null);
        await at(command, async (place) => {
          for (const sent of await resend(place, ids, changes))
            print(
              options.json
                ? toJson(sent)
                : `${sent.id}  sent again to ${sent.topic} as ${toJson(sent.record)}`,
            );
        });
      },
    );
  return rejects;
}
