// `millrace backfill`: feature rows of the past into the feature table, from a file, from the folder of a data set, from the
// archive, or from what the raw topic still holds. Stages what is no topic, submits the Spark batch job and shows how it goes; computes nothing.

import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Command, Option } from "commander";
import { PipelineError } from "../../contract/index.ts";
import { type BackfillFrom, decided, planBackfill } from "../../jobs/backfill.ts";
import { connectKafka } from "../../kafka/client.ts";
import type { PartitionOffsets } from "../../kafka/kafka.ts";
import { namesOf, pipelineOf, topicOf } from "../../pipelines/index.ts";
import { type Settings, stateDir } from "../../settings/settings.ts";
import { fileInput } from "../../source/replay/input.ts";
import { kaggleInput } from "../../source/replay/kaggle.ts";
import { stage } from "../../source/replay/stage.ts";
import { SkippedRows } from "../../source/row.ts";
import { firstArchived, offsetsOfRange } from "../../supervise/archive.ts";
import { type BatchRunOptions, type Finished, runBatch } from "../../supervise/batch.ts";
import { settingOf } from "../../supervise/submit.ts";
import { batchLine, forPipeline, withPipeline } from "../batch.ts";
import { collected, NULL_FLAG, timesOf, unitsOf } from "../flags.ts";

export interface BackfillFlags {
  /** A file of observations. At most one of this and `data`; neither: the raw topic or its archive, see `records`. */
  readonly file: string | null;
  /** The folder of a data set (ts/source/replay/kaggle.ts). */
  readonly data: string | null;
  /** Whose records, without a file: null takes the topic, or the archive where that reaches further back. */
  readonly records?: "archive" | "topic" | null;
  readonly units: Readonly<Record<string, string>>;
  /** Words for no value in the file. */
  readonly nulls?: readonly string[];
  /** Only windows that end at or after, and before; epoch ms of event time. */
  readonly from_ms: number | null;
  readonly to_ms: number | null;
  /** Spark's JSON by topic and partition; null for all that the topic holds. */
  readonly starting_offsets: string | null;
  readonly ending_offsets: string | null;
}

export interface BackfillEffects extends Pick<BatchRunOptions, "signal" | "onReport" | "onState"> {
  readonly warn: (line: string) => void;
  /** What is read when no file is: one sentence. */
  readonly onSource?: (line: string) => void;
  /** So many rows are staged, now and then. */
  readonly onStaging?: (rows: number) => void;
  /** All are: so many rows; so many that were bad, or there before, and left out. */
  readonly onStaged?: (rows: number, left: SkippedRows) => void;
}

/** Staging is minutes of disk work at most; a batch over years of one-minute data is an hour's. */
const DEADLINE_MS = 2 * 3_600_000;

/** Errors: those of the file and of the job; `contract_mismatch` before `apply`. */
export async function backfill(
  settings: Settings,
  flags: BackfillFlags,
  { warn, onSource = () => {}, onStaging, onStaged, ...effects }: BackfillEffects,
): Promise<Finished> {
  const setting = settingOf(settings);
  const { contract } = setting;
  const { from_ms, to_ms } = flags;
  if (from_ms !== null && to_ms !== null && from_ms >= to_ms)
    throw new PipelineError(
      "config_invalid",
      `Cannot backfill from ${new Date(from_ms).toISOString()} to ${new Date(to_ms).toISOString()}: expected a range that ends after it begins, it is empty`,
    );
  let from: BackfillFrom;
  if (flags.file === null && flags.data === null) from = await rangeOf(settings, flags, onSource, warn);
  else {
    const left = new SkippedRows(warn);
    const { onBad, onRepeat } = left;
    // A window that ends at from_ms holds rows of one window's length before it; one that ends before to_ms none after.
    const span = { from_ms: from_ms === null ? null : from_ms - contract.window_ms, to_ms };
    const input =
      flags.data === null
        ? fileInput({
            path: flags.file!,
            contract,
            units: flags.units,
            nulls: flags.nulls ?? [],
            ...span,
            onBad,
            onRepeat,
          })
        : kaggleInput({ folder: flags.data, contract, ...span, onBad });
    const folder = join(stateDir(settings), "staged");
    mkdirSync(folder, { recursive: true });
    const digest = createHash("sha256")
      .update(await input.fingerprint())
      .digest("hex");
    const path = join(folder, `${digest.slice(0, 16)}.avro`);
    const staged = await stage(input, path, contract.schemas.observation, onStaging);
    onStaged?.(staged.rows, left);
    if (staged.rows === 0)
      throw new PipelineError(
        "config_invalid",
        `Cannot backfill from "${flags.file ?? flags.data}": expected observations in the range, got none`,
      );
    from = { files: [staged.path] };
  }
  return runBatch(settings, planBackfill(setting, { from, from_ms, to_ms }), {
    deadline_ms: DEADLINE_MS,
    ...effects,
  });
}

/** What was asked for, else everything decided so far. */
async function rangeOf(
  settings: Settings,
  flags: BackfillFlags,
  say: (line: string) => void,
  warn: (line: string) => void,
): Promise<BackfillFrom> {
  const { starting_offsets, ending_offsets, from_ms, to_ms } = flags;
  const { pipeline, contract } = settingOf(settings);
  const { topic } = topicOf(namesOf(pipeline, settings.namespace), contract.stream);
  const kafka = connectKafka(settings.kafka);
  try {
    const offsets = await kafka.admin.offsets(topic);
    if (await isArchived(settings, flags, offsets)) {
      const timed = from_ms !== null || to_ms !== null;
      const named = starting_offsets !== null || ending_offsets !== null;
      const reach = await offsetsOfRange(settings, kafka, {
        ...(named ? { offsets: spansOf(topic, starting_offsets, ending_offsets, offsets) } : {}),
        ...(timed && !named ? { span: { from_ms, to_ms } } : {}),
      });
      say(`reads ${reach.records.toLocaleString("en-US")} records of the archive`);
      if (reach.unknowable > 0)
        warn(
          `${reach.unknowable} offsets of the range have no record and lie below the topic's beginning: whether they were markers nobody can tell`,
        );
      return {
        archive: true,
        starting_offsets: reach.starting_offsets,
        ending_offsets: reach.ending_offsets,
      };
    }
    const all = decided(topic, offsets);
    const range = {
      starting_offsets: starting_offsets ?? all.starting_offsets,
      ending_offsets: ending_offsets ?? all.ending_offsets,
    };
    const spans = Object.values(spansOf(topic, range.starting_offsets, range.ending_offsets, offsets));
    if (spans.every(([first, end]) => first >= end))
      throw new PipelineError(
        "config_invalid",
        `Cannot backfill from topic "${topic}": expected a range of offsets that holds records, it is empty; name a file with --file`,
      );
    say(`reads topic ${topic}`);
    return range;
  } finally {
    await kafka.close();
  }
}

/** Whether the archive is read: when it is asked for, or when nothing is and it reaches further back than the topic. */
async function isArchived(
  settings: Settings,
  { records = null, starting_offsets, ending_offsets }: BackfillFlags,
  offsets: readonly PartitionOffsets[],
): Promise<boolean> {
  if (records !== null) return records === "archive";
  // Offsets alone name records of the topic; and a topic that still holds its first record needs no archive.
  if (starting_offsets !== null || ending_offsets !== null || offsets.every(({ start }) => start === 0))
    return false;
  const first = await firstArchived(settings);
  return offsets.some(({ partition, start }) => (first?.get(partition) ?? start) < start);
}

/** Spark's JSON as a span of each partition that both ends name; -2 and -1 are the topic's ends. */
function spansOf(
  topic: string,
  starting: string | null,
  ending: string | null,
  offsets: readonly PartitionOffsets[],
): Record<string, readonly [number, number]> {
  const side = (flag: string, text: string | null, ends: (of: PartitionOffsets) => number) => {
    const all = new Map(offsets.map((of) => [String(of.partition), ends(of)]));
    if (text === null || text === "earliest" || text === "latest") return all;
    try {
      const given = (JSON.parse(text) as Record<string, Record<string, number>>)[topic]!;
      return new Map(
        Object.entries(given).map(([p, offset]) => [p, offset < 0 ? (all.get(p) ?? 0) : offset]),
      );
    } catch (cause) {
      throw new PipelineError(
        "config_invalid",
        `Cannot use ${flag} '${text}': expected {"${topic}":{"0":12}}`,
        { cause },
      );
    }
  };
  const first = side("--start-offsets", starting, () => 0);
  const end = side("--end-offsets", ending, ({ stable }) => stable);
  return Object.fromEntries(
    [...first].flatMap(([p, at]) => (end.has(p) ? [[p, [at, end.get(p)!] as const]] : [])),
  );
}

interface Options {
  readonly file?: string;
  readonly data?: string;
  readonly fromArchive?: true;
  readonly fromTopic?: true;
  readonly unit: string[];
  readonly null: string[];
  readonly from?: string;
  readonly to?: string;
  readonly startOffsets?: string;
  readonly endOffsets?: string;
  readonly json: boolean;
}

export function backfillCommand(settingsOf: (command: Command) => Settings): Command {
  return withPipeline(new Command("backfill"))
    .description(
      "Computes the feature rows of the past into the feature table, from a file, a data set or the raw topic",
    )
    .option(
      "--file <path>",
      "observations (CSV, JSON Lines, Avro; also .gz); without it the raw topic, or its archive, is read",
    )
    .addOption(
      new Option(
        "--from-archive",
        "read what weather-archive has kept; the default where that reaches further back than the topic",
      ).conflicts(["file", "data", "fromTopic"]),
    )
    .addOption(new Option("--from-topic", "read the raw topic").conflicts(["file", "data"]))
    .addOption(
      new Option(
        "--data <folder>",
        "the hourly set of Kaggle: city_attributes.csv and a wide CSV a variable, K becomes degC",
      ).conflicts("file"),
    )
    .option(
      "--unit <field=unit>",
      "unit a column comes in, where it is not the contract's; repeatable",
      collected,
      [],
    )
    .option(...NULL_FLAG, collected, [])
    .option("--from <time>", "first window end, inclusive")
    .option("--to <time>", "last window end, exclusive")
    .option("--start-offsets <json>", 'of the raw topic, inclusive: {"weather-raw":{"0":12}}')
    .option("--end-offsets <json>", "of the raw topic, exclusive")
    .option("--json", "print the result as JSON", false)
    .addHelpText(
      "after",
      "\nExamples:\n  millrace backfill weather --file samples/us-cities-hourly.csv.gz --to 2016-12-01T00:00:00Z" +
        "\n  millrace backfill weather --from-archive --from 2016-01-01 --to 2016-07-01" +
        "\n  millrace backfill weather --data ../kaggle-hourly-weather --from 2012-10-15 --to 2017-03-01",
    )
    .action(async (word: string | undefined, options: Options, command: Command) => {
      const settings = forPipeline(settingsOf(command), word);
      const flags: BackfillFlags = {
        file: options.file ?? null,
        data: options.data ?? null,
        records: options.fromArchive ? "archive" : options.fromTopic ? "topic" : null,
        units: unitsOf(options.unit),
        nulls: options.null,
        ...timesOf(options.from, options.to),
        starting_offsets: options.startOffsets ?? null,
        ending_offsets: options.endOffsets ?? null,
      };
      const line = batchLine(
        namesOf(pipelineOf(settings.pipeline).pipeline, settings.namespace).job("backfill"),
        options.json,
      );
      await line.run(({ signal, onReport, onState, say }) =>
        backfill(settings, flags, {
          signal,
          onReport,
          onState,
          warn: (text) => console.error(text),
          onSource: say,
          onStaging: (rows) => say(`staged ${rows.toLocaleString("en-US")} observations`),
          onStaged: (rows, left) =>
            say(`staged ${rows.toLocaleString("en-US")} observations, ${left.describe()}`),
        }),
      );
    });
}
