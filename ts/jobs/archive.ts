// weather-archive: every committed record of one stream into Delta, once. Not part of a bare submit: who wants it asks for it by name.
// It has no state but its table, in whose folder its checkpoint lies.

import type { ArchiveParams } from "../contract/generated/params.ts";
import { requirePart } from "../pipelines/parts.ts";
import { requireStream } from "../pipelines/streams.ts";
import { onOurHdfs } from "../settings/settings.ts";
import { type Before, readingOf, sharedParams } from "./plan/params.ts";
import { inApplication } from "./plan/spark.ts";
import { tables } from "./plan/tables.ts";
import type { JobType, Planned, Setting } from "./plan/type.ts";

/** How an archive is kept; the parameters' documentation has the bounds and what lies behind them. */
type Keeping = Pick<
  ArchiveParams,
  "trigger_ms" | "batch_records" | "compact_ms" | "file_bytes" | "vacuum_ms" | "retention_ms"
>;

/** What goes for every pipeline's. */
const KEEPING: Omit<Keeping, "trigger_ms"> = {
  // Half a minute of work at the least a small machine does.
  batch_records: 1_000_000,
  // Some twenty files a date come together.
  compact_ms: 600_000,
  file_bytes: 128 * 1024 * 1024,
  vacuum_ms: 6 * 3_600_000,
  retention_ms: 24 * 3_600_000,
};

/** `keeping` replaces what the pipeline says and what goes for every archive. */
export function planArchive(setting: Setting, keeping: Partial<Keeping> = {}): Planned {
  const { settings, pipeline } = setting;
  const { reads = null, trigger_ms } = requirePart(pipeline, "archive");
  const params: Before<ArchiveParams> = {
    ...sharedParams(setting, "archive"),
    ...readingOf(setting, requireStream(pipeline, reads)),
    table_path: tables(settings).archive,
    ...KEEPING,
    trigger_ms,
    ...keeping,
  };
  return inApplication(setting, "archive", params);
}

export const archive: JobType = {
  name: "archive",
  engine: "spark",
  kind: "stream",
  summary: "every committed record of a stream into Delta, once",
  module: "archive.archive",
  needs: ["archive"],
  reads: ["raw"],
  writes: ["archive_table"],
  standard: false,
  share: ({ settings }) => ({
    cores: 1,
    driver_memory: "512m",
    executor_memory: "700m",
    // The copies of a block are the client's word, by default three; ours has one DataNode. Another HDFS has its own number.
    properties: onOurHdfs(settings) ? { "spark.hadoop.dfs.replication": "1" } : {},
    delta: true,
  }),
  places: (settings) => [tables(settings).archive],
  plan: (setting) => planArchive(setting),
};
