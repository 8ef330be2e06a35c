// Where the lines of an hour lie below their root, and what lies beside them. Pure.

const HOUR_MS = 3_600_000;

/** Names that begin so are no files of an hour: Spark and Hive leave them out as well. */
export const HIDDEN = "_";

export const RAW = "raw";
export const POSITIONS = `${HIDDEN}positions`;

export const hourOf = (time_ms: number): number => Math.floor(time_ms / HOUR_MS) * HOUR_MS;

/** `raw/year=2026/month=12/day=01`, UTC. */
export function dayFolder(time_ms: number): string {
  const [year, month, day] = new Date(time_ms).toISOString().slice(0, 10).split("-");
  return `${RAW}/year=${year}/month=${month}/day=${day}`;
}

/** `weather_0900.jsonl` in the folder of its day: the hour that begins then, its end exclusive. */
export function hourFile(prefix: string, hour_ms: number): string {
  return `${dayFolder(hour_ms)}/${prefix}_${new Date(hour_ms).toISOString().slice(11, 13)}00.jsonl`;
}

/** What a batch adds to an hour, beside its file: a concatenation wants both in one folder. */
export function partFile(file: string, writer: string, batch: number): string {
  const at = file.lastIndexOf("/");
  return `${file.slice(0, at)}/${HIDDEN}${file.slice(at + 1).replace(/\.jsonl$/, "")}.${writer}-${batch}.jsonl`;
}

/** Twelve digits: names sort as numbers do. */
export const positionFile = (batch: number): string => `${POSITIONS}/${String(batch).padStart(12, "0")}.json`;

/** The number of a position's file; null for another name. */
export function batchIn(name: string): number | null {
  const digits = /^(\d{12})\.json$/.exec(name)?.[1];
  return digits === undefined ? null : Number(digits);
}

/**
 * The end, exclusive, of the hours that are closed: every partition that has a say has seen an event at or after an hour's end by
 * the lateness. Null while nothing is closed.
 */
export function closedUntil(newest_ms: readonly (number | null)[], lateness_ms: number): number | null {
  const known = newest_ms.filter((time) => time !== null);
  return known.length === 0 || known.length < newest_ms.length
    ? null
    : hourOf(Math.min(...known) - lateness_ms);
}
