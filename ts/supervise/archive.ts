// What the archive holds and what it lacks. Its table is read by Python beside the jobs (spark_jobs.archive.archived), which names
// the offsets that are not there; Kafka says which of them are committed records. A hole of markers or of an aborted
// transaction is none; below the topic's beginning nobody can tell any more. Writes nothing.

import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { PipelineError } from "../contract/index.ts";
import { writeJson } from "../ground/json.ts";
import { tables } from "../jobs/plan/tables.ts";
import type { Kafka, PartitionOffsets } from "../kafka/kafka.ts";
import { namesOf, pipelineOf, requireStream, topicOf } from "../pipelines/index.ts";
import { type Settings, stateDir } from "../settings/settings.ts";
import { requirePlace } from "./place.ts";
import { uniqueSuffix } from "./submission.ts";

/** First inclusive, end exclusive. */
export type Span = readonly [first: number, end: number];

/** What spark_jobs.archive.archived says of a table; `repeated` counts rows beyond one an offset, `holes` lie between first and end. */
interface Table {
  readonly version: number;
  readonly first_version: number;
  readonly fingerprint: string | null;
  readonly files: number;
  readonly bytes: number;
  readonly rows: number;
  readonly dates: { readonly count: number; readonly first: string | null; readonly last: string | null };
  /** Records of the range of event time that was asked for. */
  readonly selected: number | null;
  /** What retention had taken before it could be archived: partition, first, end. */
  readonly lost: readonly (readonly [partition: number, first: number, end: number])[];
  readonly partitions: readonly {
    readonly partition: number;
    readonly rows: number;
    readonly first: number;
    readonly end: number;
    readonly repeated: number;
    readonly holes: readonly Span[];
  }[];
}

/** Committed records that are not in the table. `records` is null where only the range is known. */
export interface Gap {
  readonly first: number;
  readonly last: number;
  readonly records: number | null;
  /** `missing`: the topic still holds them. `lost`: retention took them before they were archived. */
  readonly kind: "missing" | "lost";
}

export interface ArchivedPartition {
  readonly partition: number;
  readonly rows: number;
  /** First and last offset; null without a row. */
  readonly first: number | null;
  readonly last: number | null;
  readonly repeated: number;
  readonly gaps: readonly Gap[];
  /** Offsets without a row below the topic's beginning: markers and aborted records, or not, nobody knows. */
  readonly unknowable: number;
  /** Offsets of the topic behind the last row, markers included. */
  readonly behind: number;
}

export interface ArchiveState extends Omit<Table, "lost" | "partitions"> {
  readonly path: string;
  readonly partitions: readonly ArchivedPartition[];
  /** No gap and nothing repeated. */
  readonly whole: boolean;
}

export interface ArchiveRange {
  /** Only what records of this range of event time reach over, in epoch ms; null without a bound. */
  readonly span?: { readonly from_ms: number | null; readonly to_ms: number | null };
  /** Only these offsets, by partition. */
  readonly offsets?: Readonly<Record<string, Span>>;
}

/** The topic of the stream that is kept. */
function archivedTopic(settings: Settings): string {
  const { pipeline } = pipelineOf(settings.pipeline);
  const stream = requireStream(pipeline, pipeline.archive?.reads ?? null);
  return topicOf(namesOf(pipeline, settings.namespace), stream).topic;
}

/** Errors: `config_invalid` without a table, naming what makes one; `kafka_unreachable`; `store_unreachable`. */
export async function archiveOf(
  settings: Settings,
  kafka: Kafka,
  { span, offsets }: ArchiveRange = {},
): Promise<ArchiveState> {
  const topic = archivedTopic(settings);
  const path = tables(settings).archive;
  const { lost, partitions, ...table } = await readTable(settings, path, { span, offsets });
  const there = await kafka.admin.offsets(topic);
  const asked = (p: number): Span | null => offsets?.[String(p)] ?? null;
  const found: ArchivedPartition[] = [];
  const numbers = offsets
    ? Object.keys(offsets).map(Number)
    : span
      ? partitions.map(({ partition }) => partition)
      : [...new Set([...there.map(({ partition }) => partition), ...partitions.map((p) => p.partition)])];
  for (const partition of numbers.sort((a, b) => a - b)) {
    const held = partitions.find((p) => p.partition === partition) ?? null;
    const now = there.find((p) => p.partition === partition) ?? null;
    const limits = asked(partition) ?? (span && held ? [held.first, held.end] : null);
    const holes = holesOf(held, limits ?? (now && held ? [Math.min(now.start, held.first), held.end] : null));
    const gone = lost
      .filter(([p]) => p === partition)
      .flatMap(([, first, end]) => clip([first, end], limits))
      .map(([first, end]): Gap => ({ first, last: end - 1, records: null, kind: "lost" }));
    const missing = now ? await missingIn(kafka, topic, now, holes) : [];
    const below = now ? clipAll(holes, [0, now.start]) : holes;
    const known = gone.reduce((sum, { first, last }) => sum + sizeOf(clipAll(below, [first, last + 1])), 0);
    found.push({
      partition,
      rows: held?.rows ?? 0,
      first: held?.first ?? null,
      last: held ? held.end - 1 : null,
      repeated: held?.repeated ?? 0,
      gaps: [...gone, ...missing].sort((a, b) => a.first - b.first),
      unknowable: sizeOf(below) - known,
      behind: now ? Math.max(0, now.stable - Math.max(held?.end ?? now.start, now.start)) : 0,
    });
  }
  const whole = found.every(({ gaps, repeated }) => gaps.length === 0 && repeated === 0);
  return { path, ...table, partitions: found, whole };
}

/** Every offset of `limits` that has no row; without rows all of them. */
export function holesOf(held: Table["partitions"][number] | null, limits: Span | null): Span[] {
  if (!held) return limits && limits[0] < limits[1] ? [limits] : [];
  const around: Span[] = limits
    ? [
        [limits[0], held.first],
        [held.end, limits[1]],
      ]
    : [];
  return [...held.holes, ...around].filter(([first, end]) => first < end).sort((a, b) => a[0] - b[0]);
}

function clip([first, end]: Span, limits: Span | null): Span[] {
  const cut: Span = limits ? [Math.max(first, limits[0]), Math.min(end, limits[1])] : [first, end];
  return cut[0] < cut[1] ? [cut] : [];
}

const clipAll = (spans: readonly Span[], limits: Span): Span[] => spans.flatMap((span) => clip(span, limits));
const sizeOf = (spans: readonly Span[]) => spans.reduce((sum, [first, end]) => sum + end - first, 0);

/** A stretch without holes that is worth a seek instead of being read: some answers of the broker. */
const SEEK_OFFSETS = 50_000;

/** Runs of committed records in the holes, as far as the topic still reaches. Reads from the first hole to the last one. */
export async function missingIn(
  kafka: Pick<Kafka, "read">,
  topic: string,
  { partition, start, stable }: PartitionOffsets,
  holes: readonly Span[],
): Promise<Gap[]> {
  const known = clipAll(holes, [start, stable]);
  const end = known.at(-1)?.[1];
  if (known.length === 0 || end === undefined) return [];
  const found: { first: number; last: number; records: number }[] = [];
  let at = 0;
  const reader = kafka.read(topic, {
    from: new Map([[partition, known[0]![0]]]),
    until: "stable",
    partitions: [partition],
  });
  try {
    read: for await (const records of reader) {
      let next = 0;
      for (const { offset } of records) {
        next = offset + 1;
        while (at < known.length && offset >= known[at]![1]) at++;
        if (at >= known.length || offset >= end) break read;
        if (offset < known[at]![0]) continue;
        const run = found.at(-1);
        // Records of one hole are one gap, whatever markers lie between them.
        if (run && run.first >= known[at]![0]) {
          run.last = offset;
          run.records++;
        } else found.push({ first: offset, last: offset, records: 1 });
      }
      while (at < known.length && next >= known[at]![1]) at++;
      if (at >= known.length) break;
      if (known[at]![0] - next > SEEK_OFFSETS) reader.seek(partition, known[at]![0]);
    }
  } finally {
    await reader.close();
  }
  return found.map((gap) => ({ ...gap, kind: "missing" }));
}

/** First offset of each partition in the archive; null without one. Errors: `store_unreachable`. */
export async function firstArchived(settings: Settings): Promise<ReadonlyMap<number, number> | null> {
  try {
    const { partitions } = await readTable(settings, tables(settings).archive, {
      span: undefined,
      offsets: undefined,
    });
    return new Map(partitions.map(({ partition, first }) => [partition, first]));
  } catch (error) {
    if (error instanceof PipelineError && error.code === "config_invalid") return null;
    throw error;
  }
}

async function readTable(
  settings: Settings,
  path: string,
  { span, offsets }: { span: ArchiveRange["span"]; offsets: ArchiveRange["offsets"] },
): Promise<Table> {
  await requirePlace(settings, tables(settings).archive);
  const { pipeline, contract } = pipelineOf(settings.pipeline);
  const folder = join(stateDir(settings), "jobs");
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `archived-${uniqueSuffix()}.json`);
  // A window that ends at from_ms holds records of one window's length before it.
  const from_ms = span?.from_ms == null ? null : span.from_ms - contract.window_ms;
  writeJson(file, {
    path: path.replace(/^s3a:/, "s3:"),
    span: span
      ? { from_ms, to_ms: span.to_ms, lead_ms: contract.lead_ms, lateness_ms: contract.lateness_ms }
      : null,
    offsets: offsets ?? null,
  });
  try {
    const done = await execa(settings.pythonPath, ["-m", "spark_jobs.archive.archived", file], {
      cwd: join(settings.root, "jobs", "pyspark"),
      reject: false,
      maxBuffer: 1 << 30,
    });
    if (done.exitCode !== 0)
      throw new PipelineError("job_failed", `Cannot read archive "${path}": expected a Delta table of ours`, {
        cause: new Error(done.stderr.trimEnd().split("\n").slice(-3).join(" ")),
      });
    const said = JSON.parse(done.stdout) as { readonly table: false } | ({ readonly table: true } & Table);
    if (said.table) {
      const { table: _, ...table } = said;
      return table;
    }
  } finally {
    rmSync(file, { force: true });
  }
  const names = namesOf(pipeline, settings.namespace);
  throw new PipelineError(
    "config_invalid",
    `Cannot read archive "${path}": expected a Delta table, there is none; "millrace submit ${names.job("archive")}" makes it, its first records come after some 30 s`,
  );
}

/** A range of the archive for a backfill, in Spark's JSON, and how many records it holds. */
export interface OffsetsOfRange {
  readonly starting_offsets: string;
  readonly ending_offsets: string;
  readonly records: number;
  readonly unknowable: number;
}

/**
 * The offsets of a range of event time, or those asked for, once nothing is missing among them.
 * Errors: `config_invalid` for a range without a record, and for one with a gap, naming it and what to do.
 */
export async function offsetsOfRange(
  settings: Settings,
  kafka: Kafka,
  range: ArchiveRange,
): Promise<OffsetsOfRange> {
  const topic = archivedTopic(settings);
  const archive = await archiveOf(settings, kafka, range);
  const action = `Cannot backfill from archive "${archive.path}"`;
  const records = archive.selected ?? archive.partitions.reduce((sum, { rows }) => sum + rows, 0);
  if (records === 0)
    throw new PipelineError(
      "config_invalid",
      `${action}: expected records in the range, it holds none; the archive has ${archive.rows} rows of ${
        archive.dates.first === null ? "no date" : `${archive.dates.first} to ${archive.dates.last}`
      }`,
    );
  for (const { partition, gaps, repeated } of archive.partitions) {
    const gap = gaps[0];
    if (gap)
      throw new PipelineError(
        "config_invalid",
        `${action}: expected a range without a gap, partition ${partition} lacks ${
          gap.records ?? "the"
        } committed records of offsets ${gap.first} to ${gap.last}; ${
          gap.kind === "missing"
            ? "the topic still holds them: run it with --from-topic"
            : "nobody holds them any more: choose a range beside them with --start-offsets and --end-offsets"
        }`,
      );
    if (repeated > 0)
      throw new PipelineError(
        "config_invalid",
        `${action}: expected each offset once, partition ${partition} holds ${repeated} twice`,
      );
  }
  const side = (of: (p: ArchivedPartition) => number) =>
    JSON.stringify({
      [topic]: Object.fromEntries(
        archive.partitions.filter(({ first }) => first !== null).map((p) => [String(p.partition), of(p)]),
      ),
    });
  return {
    starting_offsets: side(({ first }) => first!),
    ending_offsets: side(({ last }) => last! + 1),
    records,
    unknowable: archive.partitions.reduce((sum, { unknowable }) => sum + unknowable, 0),
  };
}
