// `millrace replay`: sends a file of observations in the foreground, each once. Also the command of the process job
// `<pipeline>-replay`. Flags and words only; ts/source does the work.

import { Command } from "commander";
import { PipelineError } from "../../contract/index.ts";
import { type Clock, wallClock } from "../../ground/clock.ts";
import { connectKafka } from "../../kafka/client.ts";
import { connectRegistry } from "../../kafka/registry.ts";
import {
  inStream,
  namesOf,
  pipelineOf,
  requireStream,
  streamSchema,
  topicOf,
} from "../../pipelines/index.ts";
import type { Settings } from "../../settings/settings.ts";
import { type FeedProgress, type FeedReport, feed } from "../../source/replay/feed.ts";
import { type Format, fileInput } from "../../source/replay/input.ts";
import { SkippedRows } from "../../source/row.ts";
import { spanOf, targetOf } from "../../source/send/target.ts";
import { untilReadable } from "../../supervise/applied.ts";
import { collected, NULL_FLAG, parseInteger, positive, timesOf, unitsOf } from "../flags.ts";

export interface ReplayFlags {
  readonly path: string;
  /** Null: the one called raw, or the only one. */
  readonly stream: string | null;
  readonly units: Readonly<Record<string, string>>;
  /** Words for no value. */
  readonly nulls: readonly string[];
  readonly speed: number | "max";
  readonly loop: boolean;
  readonly from_ms: number | null;
  readonly to_ms: number | null;
  readonly order: "time" | "file";
  readonly format: Format | null;
  readonly source: string;
  readonly slot: number;
}

export interface ReplayEffects {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly warn: (line: string) => void;
  readonly progress: (progress: FeedProgress, left: SkippedRows) => void;
}

export interface ReplayReport extends FeedReport {
  /** Rows that could not be observations, a station's second row of one time with other values among them. */
  readonly bad: number;
  /** Cells that were no numbers and are null. */
  readonly bad_cells: number;
  /** Rows that were there before, value for value. */
  readonly repeats: number;
  /** All of it in words. */
  readonly left_out: string;
}

/** Errors: those of `feed`, and `config_invalid` for a file or a flag that makes no sense. */
export async function replay(
  settings: Settings,
  flags: ReplayFlags,
  effects: ReplayEffects,
): Promise<ReplayReport> {
  const { pipeline, contract: whole } = pipelineOf(settings.pipeline);
  const contract = inStream(whole, requireStream(pipeline, flags.stream));
  const left = new SkippedRows(effects.warn);
  const input = fileInput({
    path: flags.path,
    contract,
    units: flags.units,
    nulls: flags.nulls,
    from_ms: flags.from_ms,
    to_ms: flags.to_ms,
    order: flags.order,
    ...(flags.format === null ? {} : { format: flags.format }),
    onBad: left.onBad,
    onRepeat: left.onRepeat,
  });
  const kafka = connectKafka(settings.kafka, { client_id: `${pipeline.name}-${flags.source}` });
  const registry = connectRegistry(settings.registryUrl);
  const names = namesOf(pipeline, settings.namespace);
  try {
    // While a new contract is being applied, its readers restart first.
    const raw_id = await registry.idOf(topicOf(names, contract.stream).subject, streamSchema(contract));
    await untilReadable(settings, raw_id, { signal: effects.signal });
    const target = await targetOf({
      kafka,
      registry,
      names,
      contract,
      source: flags.source,
      slot: flags.slot,
    });
    const report = await feed(input, target, {
      speed: flags.speed,
      loop: flags.loop,
      ends_now: flags.loop,
      span_ms: spanOf(contract),
      clock: effects.clock,
      signal: effects.signal,
      onProgress: (progress) => effects.progress(progress, left),
    });
    return {
      ...report,
      bad: left.rows,
      bad_cells: left.cells,
      repeats: left.repeats,
      left_out: left.describe(),
    };
  } finally {
    await kafka.close();
  }
}

/** `max`, or event time per wall time above 0. */
export function speedOf(word: string): number | "max" {
  return word === "max" ? "max" : positive("--speed", word);
}

function requireOneOf<T extends string>(flag: string, word: string, known: readonly T[]): T {
  const found = known.find((candidate) => candidate === word);
  if (found !== undefined) return found;
  throw new PipelineError(
    "config_invalid",
    `Cannot use ${flag} "${word}": expected one of ${known.join(", ")}`,
  );
}

const SOURCE = /^[a-z][a-z0-9-]{0,39}$/;

export function replayCommand(settingsOf: (command: Command) => Settings): Command {
  return new Command("replay")
    .description(
      "Send a file of observations (CSV, JSON Lines, Avro; also .gz), each once, from where it stopped",
    )
    .argument("<file>", "columns are the contract's field names; timestamp is RFC 3339 or epoch ms")
    .option(
      "--unit <field=unit>",
      "unit a column comes in, where it is not the contract's; repeatable",
      collected,
      [],
    )
    .option(...NULL_FLAG, collected, [])
    .option("--speed <factor>", "event time per wall time (3600: an hour a second), or max", "1")
    .option(
      "--loop",
      "begin again at the end, shifted by whole days, until the observations' time is now",
      false,
    )
    .option("--from <time>", "first event time, inclusive")
    .option("--to <time>", "last event time, exclusive")
    .option(
      "--order <order>",
      "time: a row older than the one above is bad; file: rows go as they stand",
      "time",
    )
    .option("--format <format>", "csv, jsonl or avro, where the name does not say")
    .option("--stream <name>", "stream to send to, where the pipeline has several and none of them is raw")
    .option("--source <name>", "name of the feed; each has a cursor of its own", "replay")
    .option("--slot <number>", "number of the feed among equals", "0")
    .option("--json", "print the result as JSON", false)
    .addHelpText(
      "after",
      "\nExample:\n  millrace replay samples/us-cities-hourly.csv.gz --from 2016-12-01T00:00:00Z --speed 3600\n",
    )
    .action(async (path: string, options: Record<string, string>, command: Command) => {
      const source = options["source"]!;
      if (!SOURCE.test(source))
        throw new PipelineError(
          "config_invalid",
          `Cannot use --source "${source}": expected lower case letters, digits and hyphens, a letter first`,
        );
      const { format } = options;
      const flags: ReplayFlags = {
        path,
        stream: options["stream"] ?? null,
        units: unitsOf(options["unit"] as unknown as string[]),
        nulls: options["null"] as unknown as string[],
        speed: speedOf(options["speed"]!),
        loop: Boolean(options["loop"]),
        ...timesOf(options["from"], options["to"]),
        order: requireOneOf("--order", options["order"]!, ["time", "file"]),
        format:
          format === undefined ? null : requireOneOf<Format>("--format", format, ["csv", "jsonl", "avro"]),
        source,
        slot: parseInteger("--slot", options["slot"]!),
      };
      const stop = new AbortController();
      process.once("SIGINT", () => stop.abort());
      process.once("SIGTERM", () => stop.abort());
      const json = Boolean(options["json"]);
      const line = progressLine(process.stderr);
      const report = await replay(settingsOf(command), flags, {
        clock: wallClock,
        signal: stop.signal,
        warn: line.above,
        progress: json ? () => {} : line.update,
      });
      line.end();
      const { sent, resumed_at, bad, bad_cells, repeats, left_out, place, finished } = report;
      if (json)
        console.log(
          JSON.stringify({
            ...{ sent, resumed_at, bad, bad_cells, repeats, finished },
            ...{ pass: place.pass, position: place.position },
          }),
        );
      else {
        console.log(
          `${finished ? "Sent" : "Stopped after sending"} ${count(sent)} observations` +
            `${resumed_at > 0 ? `, going on after ${count(resumed_at)} of an earlier run` : ""}; ${left_out}`,
        );
        if (finished && flags.loop && sent > 0)
          console.log(
            `Ended in pass ${place.pass + 1}: its next observation lies in the future, where every job refuses it. A smaller --speed reaches it later`,
          );
      }
    });
}

const count = (n: number): string => n.toLocaleString("en-US");

/** How often the line is drawn anew, wall time: on a terminal, and in a log. */
const DRAW_MS = 200;
const LOG_MS = 10_000;

function progressLine(out: NodeJS.WriteStream): {
  update: (progress: FeedProgress, left: SkippedRows) => void;
  above: (text: string) => void;
  end: () => void;
} {
  let drawn_ms = Number.NEGATIVE_INFINITY;
  let open = false;
  const clear = (): void => {
    if (open) out.write("\r\x1b[2K");
    open = false;
  };
  return {
    update({ sent, pass, event_time, behind_ms }, { rows, cells }) {
      const now_ms = performance.now();
      if (now_ms - drawn_ms < (out.isTTY ? DRAW_MS : LOG_MS)) return;
      drawn_ms = now_ms;
      const text = [
        `sent ${count(sent)}`,
        event_time === null ? "" : new Date(event_time).toISOString(),
        pass > 0 ? `pass ${pass + 1}` : "",
        behind_ms > 1000 ? `behind ${(behind_ms / 1000).toFixed(1)} s` : "",
        rows + cells > 0 ? `${count(rows)} bad rows, ${count(cells)} bad cells` : "",
      ]
        .filter((part) => part !== "")
        .join(" · ");
      if (!out.isTTY) {
        out.write(`${text}\n`);
        return;
      }
      clear();
      out.write(text);
      open = true;
    },
    above(text) {
      clear();
      out.write(`${text}\n`);
    },
    end: clear,
  };
}
