// weather-backfill: features of files, of a range of the raw topic, or of its archive, into the feature table.

import type { BackfillParams } from "../contract/generated/params.ts";
import { requirePart } from "../pipelines/parts.ts";
import { type Before, needsCommand, readingOf, sharedParams } from "./plan/params.ts";
import { BATCH_EXECUTOR_MEMORY, onSpark } from "./plan/spark.ts";
import { tables } from "./plan/tables.ts";
import type { JobType, Planned, Setting } from "./plan/type.ts";

/**
 * Where a batch of observations comes from: staged files, or a range of the raw topic (Spark JSON; end exclusive), read from
 * the topic itself or from its archive.
 */
export type BackfillFrom =
  | { readonly files: readonly string[] }
  | {
      readonly starting_offsets: string;
      readonly ending_offsets: string;
      readonly archive?: boolean;
    };

/** The offsets of one partition; `stable` is where what is not yet decided begins. */
interface Decided {
  readonly partition: number;
  readonly start: number;
  readonly stable: number;
}

/** Every record of a topic that is decided by now, in Spark's JSON: a fixed end, so that a second run reads the same. */
export function decided(topic: string, offsets: readonly Decided[]) {
  const side = (what: "start" | "stable") =>
    JSON.stringify({ [topic]: Object.fromEntries(offsets.map((o) => [o.partition, o[what]])) });
  return { starting_offsets: side("start"), ending_offsets: side("stable") };
}

export interface BackfillChoice {
  readonly from: BackfillFrom;
  /** Only windows that end in [from_ms, to_ms); null for all. */
  readonly from_ms: number | null;
  readonly to_ms: number | null;
}

export function planBackfill(setting: Setting, { from, from_ms, to_ms }: BackfillChoice): Planned {
  const { settings, pipeline, contract } = setting;
  const topic = "files" in from ? null : from;
  const { raw_topic, raw_schemas } = readingOf(setting, contract.stream);
  const params: Before<BackfillParams> = {
    ...sharedParams(setting, "backfill"),
    raw_topic: topic ? raw_topic : null,
    starting_offsets: topic?.starting_offsets ?? null,
    ending_offsets: topic?.ending_offsets ?? null,
    raw_schemas,
    archive_path: topic?.archive ? tables(settings).archive : null,
    files: "files" in from ? from.files : [],
    from_ms,
    to_ms,
    table_path: tables(settings).features,
    rejects_path: tables(settings).rejects,
    shuffle_partitions: 4,
  };
  const { cores, driver_memory } = requirePart(pipeline, "windows").resources;
  return onSpark(
    setting,
    "backfill",
    { cores, driver_memory, executor_memory: BATCH_EXECUTOR_MEMORY },
    params,
  );
}

export const backfill: JobType = {
  name: "backfill",
  engine: "spark",
  kind: "batch",
  summary: "features of files, of the raw topic or of its archive into the feature table",
  module: "windows.backfill",
  needs: ["windows"],
  reads: ["files", "raw", "archive_table"],
  writes: ["feature_table", "reject_table"],
  standard: false,
  plan(setting) {
    throw needsCommand(setting, "backfill");
  },
};
