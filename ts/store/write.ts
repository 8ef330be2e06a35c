// One batch of records into the tables, and how far the topics then are, in one transaction. Whoever comes back after a kill reads
// the offsets and goes on there: every record is in the tables once, whatever became of an answer.

import { pipeline as stream } from "node:stream/promises";
import type pg from "pg";
import { from as copyFrom } from "pg-copy-streams";
import type { CopyBuffer } from "./copy.ts";
import { type RowKind, SPANS_TABLE, STORED, type StoredKind } from "./rows.ts";

/** `<topic> <partition>` to the next offset. */
export type Positions = ReadonlyMap<string, number>;

export const positionKey = (topic: string, partition: number): string => `${topic} ${partition}`;

/** What is ready to be written. */
export interface Prepared {
  readonly rows: Readonly<Partial<Record<StoredKind, CopyBuffer>>>;
  /** Schemas that were not written before, by id. */
  readonly schemas: ReadonlyMap<number, string>;
  /** Where the topics are once it is written: of those of which it has anything. */
  readonly positions: Positions;
}

/** Somebody else has written, or the store is to be filled again: the offsets are not those that this writer left. */
export class MovedError extends Error {
  override readonly name = "MovedError";
}

/** Longest time of one statement: a batch that takes longer has met a server that does not get on. */
const STATEMENT_MS = 120_000;

/** Once a connection: staging tables of its own, and a commit that does not wait for the disk, because offsets and rows go together. */
export async function prepareSession(
  client: pg.Client,
  kinds: Readonly<Partial<Record<StoredKind, RowKind>>>,
): Promise<void> {
  await client.query(
    `set synchronous_commit = off; set statement_timeout = ${STATEMENT_MS};
     create temp table ${SPANS_TABLE} on commit delete rows`,
  );
  for (const [kind, { columns }] of Object.entries(kinds)) {
    const list = columns.map(([name, type]) => `"${name}" ${type}`).join(", ");
    // As in the tables themselves: bytes stay in their row, and nobody tries to compress them.
    await client.query(
      `create temp table stage_${kind} (${list}) with (toast_tuple_target = 8160) on commit delete rows;
       alter table stage_${kind} alter value set storage external`,
    );
  }
}

export async function readPositions(client: Pick<pg.Client, "query">): Promise<Map<string, number>> {
  const { rows } = await client.query<{ topic: string; partition: number; next: number }>(
    "select topic, partition, next from offsets",
  );
  return new Map(rows.map(({ topic, partition, next }) => [positionKey(topic, partition), next]));
}

/** `before`: the offsets that this writer left. Errors: a `MovedError` where they are others; PostgreSQL's own. Nothing is written then. */
export async function writeBatch(
  client: pg.Client,
  kinds: Readonly<Partial<Record<StoredKind, RowKind>>>,
  { rows, schemas, positions }: Prepared,
  before: Positions,
): Promise<void> {
  await client.query("begin");
  try {
    await expectPositions(client, before);
    for (const kind of STORED) {
      const staged = rows[kind];
      const { columns, merge } = kinds[kind] ?? {};
      if (staged === undefined || columns === undefined || merge === undefined || staged.rows === 0) continue;
      const names = columns.map(([name]) => `"${name}"`).join(", ");
      await stream(
        [staged.bytes()],
        client.query(copyFrom(`copy stage_${kind} (${names}) from stdin (format binary)`)),
      );
      await client.query(merge.join(";\n"));
    }
    if (schemas.size > 0)
      await client.query(
        "insert into schemas (schema_id, schema) select * from unnest($1::int[], $2::text[]) on conflict do nothing",
        [[...schemas.keys()], [...schemas.values()]],
      );
    const split = [...positions].map(([key, next]) => {
      const at = key.lastIndexOf(" ");
      return [key.slice(0, at), Number(key.slice(at + 1)), next] as const;
    });
    await client.query(
      `insert into offsets (topic, partition, next)
       select * from unnest($1::text[], $2::int[], $3::bigint[])
       on conflict (topic, partition) do update set next = excluded.next`,
      [0, 1, 2].map((i) => split.map((row) => row[i])),
    );
    await client.query("commit");
  } catch (error) {
    // A connection that is gone has rolled back already.
    await client.query("rollback").catch(() => undefined);
    throw error;
  }
}

async function expectPositions(client: pg.Client, before: Positions): Promise<void> {
  // Whoever moves them waits until this batch is in, or this one sees that they moved.
  await client.query("lock table offsets in exclusive mode");
  await confirmPositions(client, before);
}

/** Errors: a `MovedError` where the offsets are not those that this writer left. */
export async function confirmPositions(client: Pick<pg.Client, "query">, before: Positions): Promise<void> {
  const there = await readPositions(client);
  if (there.size !== before.size) throw new MovedError("The store's offsets were moved");
  for (const [key, next] of before)
    if (there.get(key) !== next) throw new MovedError(`The store's offset of ${key} was moved`);
}
