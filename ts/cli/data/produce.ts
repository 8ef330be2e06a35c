// `millrace produce`: asks a live feed in the foreground and sends what is new, each observation once. Also the command of the
// process jobs `<pipeline>-<source>`. Flags and words only; ts/source does the work.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { PipelineError } from "../../contract/index.ts";
import { wallClock } from "../../ground/clock.ts";
import { type Get, get } from "../../ground/get.ts";
import { connectKafka } from "../../kafka/client.ts";
import { connectRegistry } from "../../kafka/registry.ts";
import {
  type Contract,
  FEED_NAMES,
  type FeedName,
  inStream,
  namesOf,
  type Pipeline,
  pipelineOf,
  requireStream,
  type Source,
  streamSchema,
  topicOf,
} from "../../pipelines/index.ts";
import { resolveSecrets } from "../../settings/secrets.ts";
import type { Settings } from "../../settings/settings.ts";
import type { Feed, Place } from "../../source/feeds/feed.ts";
import { FEEDS } from "../../source/feeds/index.ts";
import { type Delivery, intoKafka, intoNothing } from "../../source/poll/deliver.ts";
import { lackingOf } from "../../source/poll/observe.ts";
import { planOf } from "../../source/poll/plan.ts";
import { Poll } from "../../source/poll/poll.ts";
import type { Observation } from "../../source/row.ts";
import { spanOf, targetOf } from "../../source/send/target.ts";
import { untilReadable } from "../../supervise/applied.ts";
import { collected, positive } from "../flags.ts";
import { type Fares, submissionIn, whileReporting } from "../heartbeat.ts";
import { interruptible } from "../interrupt.ts";

interface Options {
  readonly source?: string;
  readonly place: readonly string[];
  readonly every?: string;
  readonly stream?: string;
  readonly url?: string;
  readonly key?: string;
  readonly contact?: string;
  readonly once: boolean;
  readonly dryRun: boolean;
  readonly json: boolean;
}

/** The source that is meant: its name, and its entry in the definition where it has one. */
function sourceOf(
  { name, sources = {} }: Pick<Pipeline, "name" | "sources">,
  feed: FeedName,
  word: string | undefined,
): { readonly name: string; readonly entry: Partial<Source> } {
  const named = word ?? Object.keys(sources).find((source) => sources[source]!.feed === feed) ?? feed;
  const entry: Partial<Source> = Object.hasOwn(sources, named) ? sources[named]! : {};
  if (entry.feed !== undefined && entry.feed !== feed)
    throw new PipelineError(
      "config_invalid",
      `Cannot use source "${named}" of pipeline "${name}" with feed "${feed}": expected "${entry.feed}", which it asks`,
    );
  if (!/^[a-z][a-z0-9_-]{0,39}$/.test(named))
    throw new PipelineError(
      "config_invalid",
      `Cannot use --source "${named}": expected lower case letters, digits, hyphens and underscores, a letter first`,
    );
  return { name: named, entry };
}

/**
 * `KEY=WHERE`, or the key alone of a station of the pipeline; without any those of the definition, else every station with a place on
 * the map. Errors: `config_invalid`.
 */
export function placesOf(
  feed: Pick<Feed, "at" | "name">,
  { stations }: Pick<Contract, "stations">,
  words: readonly string[],
  { places }: Pick<Source, "places"> = {},
): readonly Place[] {
  const mapped = (key: string): string | null => {
    const station = Object.hasOwn(stations, key) ? stations[key]! : null;
    return station?.latitude == null || station.longitude == null
      ? null
      : `${station.latitude},${station.longitude}`;
  };
  if (words.length > 0)
    return words.map((word) => {
      const at = word.indexOf("=");
      // A URL of its own holds "=" only behind its scheme.
      if (feed.at === "url" && /^https?:/.test(word)) return { key: "", at: word };
      if (at > 0) return { key: word.slice(0, at), at: word.slice(at + 1) };
      if (feed.at === "code") return { key: word.toLowerCase(), at: word.toUpperCase() };
      const known = mapped(word);
      if (known !== null) return { key: word, at: known };
      throw new PipelineError(
        "config_invalid",
        `Cannot ask feed "${feed.name}" for "${word}": expected a station of the pipeline that has a place on the map, or KEY=LATITUDE,LONGITUDE`,
      );
    });
  if (places !== undefined) return Object.entries(places).map(([key, at]) => ({ key, at }));
  if (feed.at !== "coordinates") return [];
  return Object.keys(stations).flatMap((key) => {
    const at = mapped(key);
    return at === null ? [] : [{ key, at }];
  });
}

/** The key of a feed, looked up; null for one that needs none. Errors: `config_invalid` for one that is written out or missing. */
export function keyOf(feed: Feed, reference: string | undefined, secrets_path: string | null): string | null {
  if (feed.key === undefined) return null;
  const named = reference ?? `secret:${feed.key.secret}`;
  if (!named.startsWith("secret:"))
    throw new PipelineError(
      "config_invalid",
      `Cannot use the key of feed "${feed.name}": expected "secret:NAME" and the key under NAME in the file of MILLRACE_SECRETS, got one that is written out`,
    );
  const name = `key of feed ${feed.name}`;
  return resolveSecrets({ properties: { [name]: named }, secrets_path }, "the").get(name)!;
}

function feedNamed(word: string): Feed {
  const name = FEED_NAMES.find((known) => known === word);
  if (name !== undefined) return FEEDS[name];
  throw new PipelineError(
    "config_invalid",
    `Cannot use feed "${word}": expected one of ${FEED_NAMES.join(", ")}`,
  );
}

export function produceCommand(settingsOf: (command: Command) => Settings, asks: Get = get): Command {
  const list = FEED_NAMES.map((name) => `  ${name.padEnd(16)}${FEEDS[name].summary}`).join("\n");
  return new Command("produce")
    .description("Ask a live feed until Ctrl-C and send what is new, each observation once")
    .argument("<feed>", FEED_NAMES.join(", "))
    .option(
      "--place <key=where>",
      "what to ask for: lisbon=38.72,-9.14, KNYC, a URL; repeatable",
      collected,
      [],
    )
    .option("--every <seconds>", "how often; its quota may make it less often")
    .option(
      "--source <name>",
      "name of the source, of the definition or a new one; each has a cursor of its own",
    )
    .option("--stream <name>", "stream to send to, where the pipeline has several and none of them is raw")
    .option("--url <url>", "where the feed is, if not at its provider")
    .option("--key <secret:name>", "its key, by its name in the file of MILLRACE_SECRETS")
    .option("--contact <text>", "who asks, for the provider: an address or a site (User-Agent)")
    .option("--once", "ask once for everything and end", false)
    .option("--dry-run", "ask once and print what would be sent; needs no Kafka", false)
    .option("--json", "print observations and the result as JSON", false)
    .addHelpText(
      "after",
      `\nFeeds (docs/feeds.md):\n${list}\n\nExamples:\n  millrace produce open-meteo --place lisbon=38.72,-9.14 --place new-york\n` +
        "  millrace produce nws --place KNYC --place KBOS --contact ops@example.org --once --dry-run",
    )
    .action(async (word: string, options: Options, command: Command) => {
      const settings = settingsOf(command);
      const feed = feedNamed(word);
      const { pipeline, contract: whole } = pipelineOf(settings.pipeline);
      const { name, entry } = sourceOf(pipeline, feed.name, options.source);
      const contract = inStream(whole, requireStream(pipeline, options.stream ?? entry.stream ?? null));
      const every_ms =
        options.every === undefined ? (entry.every_ms ?? null) : positive("--every", options.every) * 1000;
      const places = placesOf(feed, whole, options.place, entry);
      const plan = planOf(feed, { places, every_ms, origin: options.url ?? entry.url ?? null });
      const key = keyOf(feed, options.key ?? entry.key, settings.kafka.secrets_path);
      const say = (line: string) => process.stderr.write(`${line}\n`);
      const log = (line: string) => say(`${new Date().toISOString()} ${name}: ${line}`);
      say(plan.words);
      const lacking = lackingOf(contract, feed.words);
      if (lacking.length > 0) say(`${feed.name} has no ${lacking.join(", ")}: null in all it sends`);
      const agent = `millrace/${versionIn(settings.root)} (${options.contact ?? "no contact given"})`;
      const pollOf = (delivery: Delivery, signal: AbortSignal) =>
        new Poll(
          {
            ...{ feed, plan, contract, key, agent },
            span_ms: spanOf(contract),
            lateness_ms: contract.lateness_ms,
          },
          { clock: wallClock, random: Math.random, get: asks, delivery, log, signal },
        );
      const ended = (poll: Poll, answered: boolean) => {
        const { message, failure, counters } = poll.state();
        if (options.json) console.log(JSON.stringify({ source: name, message, ...counters }));
        else
          say(
            `${options.dryRun ? "Would send" : "Sent"} ${counters["rows"]} observations, ${counters["repeats"]} were sent before, ` +
              `${counters["refused_rows"]} refused; ${counters["requests"]} requests, ${counters["failed_requests"]} failed`,
          );
        if (answered) return;
        throw new PipelineError(
          "job_failed",
          `Cannot read feed "${feed.name}": ${failure ?? message ?? "no place was answered"}`,
        );
      };
      await interruptible(async (signal) => {
        if (options.dryRun) {
          const poll = pollOf(
            intoNothing((rows) => show(rows, contract)),
            signal,
          );
          return ended(poll, await poll.once());
        }
        const names = namesOf(pipeline, settings.namespace);
        const kafka = connectKafka(settings.kafka, { client_id: `${names.prefix}${names.job(name)}` });
        const registry = connectRegistry(settings.registryUrl);
        try {
          // While a new contract is being applied, its readers restart first.
          const raw_id = await registry.idOf(topicOf(names, contract.stream).subject, streamSchema(contract));
          await untilReadable(settings, raw_id, { signal });
          const target = await targetOf({
            kafka,
            registry,
            names,
            contract,
            source: name.replaceAll("_", "-"),
          });
          const submission = submissionIn(process.env["ENGINE_RUN"]);
          const delivery = intoKafka(target, { clock: wallClock, signal });
          // Whoever looks on wants to see that something comes.
          const poll = pollOf(submission === null ? told(delivery, log) : delivery, signal);
          if (options.once) return ended(poll, await poll.once());
          await whileReporting(
            {
              job: name,
              submission,
              state: () => faresOf(poll, feed, plan.words),
              kafka,
              registry,
              names,
              contract,
              log,
            },
            () => poll.run(),
          );
        } finally {
          await kafka.close();
        }
      });
    });
}

/** A delivery that says what it has committed. */
function told(delivery: Delivery, log: (line: string) => void): Delivery {
  return {
    ...delivery,
    async commit(observations, standpoint) {
      await delivery.commit(observations, standpoint);
      const newest = observations.at(-1);
      if (newest !== undefined)
        log(`sent ${observations.length}, the newest of ${new Date(newest.time).toISOString()}`);
    },
  };
}

/** What would be sent, a line each: the record as its stream's readers see it, in the contract's units. */
function show(observations: readonly Observation[], { event_time }: Pick<Contract, "event_time">): void {
  for (const { time, record } of observations)
    console.log(JSON.stringify({ ...record, [event_time]: new Date(time).toISOString() }));
}

/** What is not as it should be, else what it asks: the page shows either. */
function faresOf(poll: Poll, { summary }: Feed, words: string): Fares {
  const { message, counters } = poll.state();
  return { message: message ?? `${summary}; ${words}`, counters };
}

const versionIn = (root: string): string =>
  (JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string }).version;
