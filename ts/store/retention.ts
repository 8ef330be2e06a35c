// Removes what is too old, by event time: a replay of ten years ago keeps its rows for as many days of its own time as a live feed.
// A little at a time, between two batches, so that no reader and no batch waits for it.

import type pg from "pg";

export interface Retention {
  /** Days of event time that are kept. */
  readonly days: number;
  /** Of feature rows, which are the most; at most `days`. */
  readonly features_days: number;
}

const DAY_MS = 86_400_000;
/** Rows of a table that are removed at once: some ten milliseconds. */
const ROWS = 5_000;

/** Tables, the column that says how old a row is, and whether feature days count. Rejects have no event time: their append time. */
const AGES = [
  ["features", "window_end", true],
  ["latest_features", "window_end", true],
  ["predictions", "window_end", false],
  ["latest_predictions", "window_end", false],
  ["anomalies", "last", false],
  ["verifications", "valid", false],
  ["rejects", "append_time", false],
  ["entities", "newest", false],
] as const;

/** `more`: there is more that is too old. The newest window of any entity, none of the future, says what time it is. */
export async function purge(
  client: pg.Client,
  { days, features_days }: Retention,
): Promise<{ readonly removed: number; readonly more: boolean }> {
  const { rows } = await client.query<{ windows: number | null; rejects: number | null }>(
    "select (select max(newest) from entities) as windows, (select max(append_time) from rejects) as rejects",
  );
  const { windows = null, rejects = null } = rows[0] ?? {};
  let [removed, more] = [0, false];
  for (const [table, column, feature] of AGES) {
    const newest = table === "rejects" ? rejects : windows;
    if (newest === null) continue;
    const oldest_ms = newest - DAY_MS * (feature ? Math.min(days, features_days) : days);
    const { rowCount } = await client.query(
      `delete from ${table} where ctid = any (array(select ctid from ${table} where ${column} < $1 limit ${ROWS}))`,
      [oldest_ms],
    );
    removed += rowCount ?? 0;
    more ||= rowCount === ROWS;
  }
  return { removed, more };
}
