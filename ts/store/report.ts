// What the store of a pipeline holds: rows and bytes of each table, the span of event time, and how far it is behind its topics.

import { CompiledQuery, sql } from "kysely";
import type { Kafka } from "../kafka/kafka.ts";
import { type Names, topicOf } from "../pipelines/index.ts";
import { appliedMigrations, openDatabase, type StorePlace, storeError } from "./database.ts";
import { VERSION } from "./migrations/index.ts";
import { STORED, type StoredKind } from "./rows.ts";
import { schemaName } from "./tables.ts";
import { positionKey } from "./write.ts";

export interface TableReport {
  readonly table: string;
  readonly rows: number;
  /** With its indexes. */
  readonly bytes: number;
  /** Event time of its rows, append time of rejects; null for none. */
  readonly oldest_ms: number | null;
  readonly newest_ms: number | null;
}

export interface LagReport {
  readonly topic: string;
  /** Committed records that are not in the store yet, to a handful of markers; null where Kafka does not answer. */
  readonly lag: number | null;
}

export interface StoreReport {
  readonly pipeline: string;
  readonly schema: string;
  /** The last step of its tables, and the one this software has. */
  readonly version: string | null;
  readonly wanted: string;
  readonly tables: readonly TableReport[];
  readonly lags: readonly LagReport[];
}

/** Counting walks through whole tables. */
const STATEMENT_MS = 120_000;

const TIMES: Readonly<Record<StoredKind | "anomalies", string>> = {
  features: "window_end",
  predictions: "window_end",
  verifications: "valid",
  rejects: "append_time",
  anomalies: "opened",
};

/** Errors: `store_unreachable`, also where there are no tables yet. */
export async function reportStore(
  place: StorePlace,
  names: Names,
  kafka: Pick<Kafka, "admin">,
): Promise<StoreReport> {
  const { db, close } = openDatabase(place, STATEMENT_MS);
  try {
    const version = (await appliedMigrations(db)).at(-1) ?? null;
    const tables: TableReport[] = [];
    for (const [table, time] of Object.entries(TIMES)) {
      const { rows } = await db.executeQuery<Omit<TableReport, "table">>(
        CompiledQuery.raw(
          `select count(*) as rows, pg_total_relation_size('${table}'::regclass) as bytes,
             min(${time}) as oldest_ms, max(${time}) as newest_ms from ${table}`,
        ),
      );
      tables.push({ table, ...rows[0]! });
    }
    const offsets = await sql<{ topic: string; partition: number; next: number }>`
      select topic, partition, next from offsets`.execute(db);
    const stored = new Map(
      offsets.rows.map(({ topic, partition, next }) => [positionKey(topic, partition), next]),
    );
    const topics = STORED.filter((kind) => names.topics[kind]).map((kind) => topicOf(names, kind).topic);
    return {
      pipeline: names.pipeline,
      schema: schemaName(names),
      version,
      wanted: VERSION,
      tables,
      lags: await Promise.all(topics.map((topic) => lagOf(kafka, topic, stored))),
    };
  } catch (error) {
    throw storeError("read what the store holds", place, error);
  } finally {
    await close();
  }
}

/** A transaction leaves a marker behind its records: a topic whose last offsets are few behind may hold nothing more. */
async function lagOf(
  kafka: Pick<Kafka, "admin">,
  topic: string,
  stored: ReadonlyMap<string, number>,
): Promise<LagReport> {
  try {
    const ends = await kafka.admin.offsets(topic);
    const lag = ends.reduce((sum, { partition, start, stable }) => {
      const next = stored.get(positionKey(topic, partition)) ?? start;
      return sum + Math.max(0, stable - Math.max(next, start));
    }, 0);
    return { topic, lag };
  } catch {
    return { topic, lag: null };
  }
}
