// weather-archive: every committed raw record into Delta, once. Not part of a bare submit: who wants it asks for it by name.
// It has no state but its table, in whose folder its checkpoint lies.

import type { ArchiveParams } from "../contract/generated/params.ts";
import { onOurHdfs } from "../engines/settings.ts";
import { type Before, namesIn, sharedParams } from "./plan/params.ts";
import { onSpark } from "./plan/spark.ts";
import { tables } from "./plan/tables.ts";
import type { JobType, Planned, Setting } from "./plan/type.ts";

/**
 * How the archive is kept; the parameters' documentation has the bounds and what lies behind them.
 * The trigger: a batch of the archive takes a core for about a second, and the features want it three times a second.
 */
export const ARCHIVE: Pick<
  ArchiveParams,
  "trigger_ms" | "batch_records" | "compact_ms" | "file_bytes" | "vacuum_ms" | "retention_ms"
> = {
  trigger_ms: 30_000,
  // Half a minute of work at the least a small machine does.
  batch_records: 1_000_000,
  // Some twenty files a date come together.
  compact_ms: 600_000,
  file_bytes: 128 * 1024 * 1024,
  vacuum_ms: 6 * 3_600_000,
  retention_ms: 24 * 3_600_000,
};

export function planArchive(setting: Setting, keeping = ARCHIVE): Planned {
  const { settings, applied } = setting;
  const params: Before<ArchiveParams> = {
    ...sharedParams(setting, "archive"),
    raw_topic: namesIn(setting).topics.raw.topic,
    raw_schemas: applied.tables.raw,
    table_path: tables(settings).archive,
    ...keeping,
  };
  // The copies of a block are the client's word, by default three; ours has one DataNode. Another HDFS has its own number.
  const properties = onOurHdfs(settings) ? { "spark.hadoop.dfs.replication": "1" } : {};
  return onSpark(
    setting,
    "archive",
    { kind: "stream", cores: 1, driver_memory: "512m", executor_memory: "700m", properties },
    params,
  );
}

export const archive: JobType = {
  name: "archive",
  engine: "spark",
  kind: "stream",
  summary: "every committed raw record into Delta, once",
  module: "archive.archive",
  reads: ["raw"],
  writes: ["archive_table"],
  standard: false,
  places: (settings) => [tables(settings).archive],
  plan: (setting) => planArchive(setting),
};
