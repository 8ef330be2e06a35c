// One connection to the database of a pipeline, or a pool of them, over pg and kysely: whoever gets one sees that pipeline's tables
// and no other's. What goes wrong is `store_unreachable` here and nowhere else. Knows no table but those that migrations made.

import { CompiledQuery, Kysely, PostgresDialect } from "kysely";
import { Migrator } from "kysely/migration";
import pg from "pg";
import { PipelineError } from "../contract/index.ts";
import { type DatabasePlace, databaseOf } from "../settings/database.ts";
import { MIGRATIONS } from "./migrations/index.ts";
import { schemaName, type Tables } from "./tables.ts";

/** Which database, and whose tables. */
export interface StorePlace {
  readonly settings: DatabasePlace;
  /** `prefix` and `pipeline` of the pipeline's names (namesOf). */
  readonly names: { readonly prefix: string; readonly pipeline: string };
}

export type Db = Kysely<Tables>;

/** Connections of a reader: as many questions are under way at once, more wait for at most CONNECT_MS. */
const READERS = 8;
const CONNECT_MS = 5_000;

/** Times, offsets and counts are whole numbers below 2^53. */
const INT8 = 20;
const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: "text" | "binary") =>
    oid === INT8
      ? (text: string) => Number(text)
      : pg.types.getTypeParser(oid, format as "text")) as pg.CustomTypesConfig["getTypeParser"],
};

/** How to connect so that names mean the pipeline's tables. Errors: those of `databaseOf`. */
export function connectionOf({ settings, names }: StorePlace): pg.ClientConfig {
  return {
    connectionString: databaseOf(settings).url,
    connectionTimeoutMillis: CONNECT_MS,
    application_name: `millrace-${names.prefix}${names.pipeline}`,
    options: `-c search_path="${schemaName(names)}"`,
    keepAlive: true,
    types,
  };
}

export interface Database {
  readonly db: Db;
  close(): Promise<void>;
}

/** A pool for short questions, each bounded by `statement_ms`. Connects when it is asked. */
export function openDatabase(place: StorePlace, statement_ms: number): Database {
  const pool = poolOf({
    ...connectionOf(place),
    max: READERS,
    statement_timeout: statement_ms,
    idleTimeoutMillis: 30_000,
  });
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) });
  return { db, close: () => db.destroy() };
}

/** A connection that breaks is replaced by the next question, whose error says so; without a listener it would end the process. */
function poolOf(config: pg.PoolConfig): pg.Pool {
  const pool = new pg.Pool(config);
  pool.on("error", () => undefined);
  pool.on("connect", (client) => client.on("error", () => undefined));
  return pool;
}

/** A single connection, for who writes in transactions. Errors: `store_unreachable`. */
export async function openClient(place: StorePlace): Promise<pg.Client> {
  try {
    const client = new pg.Client(connectionOf(place));
    // Whoever waits for an answer gets the error too.
    client.on("error", () => undefined);
    await client.connect();
    return client;
  } catch (error) {
    throw storeError("reach the store", place, error);
  }
}

/** Makes the schema and brings its tables to this software's version. Idempotent; two at once wait for each other. */
export async function migrate(place: StorePlace): Promise<void> {
  const schema = schemaName(place.names);
  const db = new Kysely<Tables>({
    dialect: new PostgresDialect({ pool: poolOf({ ...connectionOf(place), max: 1 }) }),
  });
  try {
    const migrator = new Migrator({
      db,
      provider: { getMigrations: async () => MIGRATIONS },
      migrationTableSchema: schema,
    });
    const { error } = await migrator.migrateToLatest();
    if (error) throw error;
  } catch (error) {
    throw storeError("bring the store's tables to this version", place, error);
  } finally {
    await db.destroy().catch(() => undefined);
  }
}

/** The names of the migrations that made the tables, oldest first; empty where there are no tables. */
export async function appliedMigrations(db: Db): Promise<readonly string[]> {
  const there = await db.executeQuery<{ found: string | null }>(
    CompiledQuery.raw("select to_regclass('kysely_migration')::text as found"),
  );
  if (there.rows[0]?.found == null) return [];
  const { rows } = await db.executeQuery<{ name: string }>(
    CompiledQuery.raw("select name from kysely_migration order by name"),
  );
  return rows.map(({ name }) => name);
}

/** The last migration that made the tables; null where there are none. */
export async function appliedOn(client: Pick<pg.Client, "query">): Promise<string | null> {
  const there = await client.query<{ found: string | null }>(
    "select to_regclass('kysely_migration')::text as found",
  );
  if (there.rows[0]?.found == null) return null;
  const { rows } = await client.query<{ name: string }>(
    "select name from kysely_migration order by name desc limit 1",
  );
  return rows[0]?.name ?? null;
}

/** Drops all that a pipeline has in the store. What is not there is no error. Errors: `store_unreachable`. */
export async function dropStore(place: StorePlace): Promise<void> {
  const client = await openClient(place);
  try {
    await client.query(`drop schema if exists ${pg.escapeIdentifier(schemaName(place.names))} cascade`);
  } catch (error) {
    throw storeError("drop the store's tables", place, error);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** No table or no schema: nobody has written anything yet. */
const NO_TABLES = new Set(["42P01", "3F000"]);

/** A statement that makes no sense, or a value that no column takes: a mistake of ours, which no waiting mends. */
const OURS = /^(?:0A|21|22|23|42|P0)/;

/** What went wrong, as `store_unreachable` that says what to do. An error of ours stays as it is. */
export function storeError(action: string, place: StorePlace, cause: unknown): unknown {
  if (cause instanceof PipelineError) return cause;
  const { prefix, pipeline } = place.names;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  const address = addressOf(place);
  if (NO_TABLES.has(code))
    return new PipelineError(
      "store_unreachable",
      `Cannot ${action} at "${address}": expected the tables of pipeline "${prefix}${pipeline}", found none`,
      { cause, context: { next: `millrace submit ${pipeline}-sink writes them`, address } },
    );
  if (OURS.test(code)) return cause;
  return new PipelineError(
    "store_unreachable",
    `Cannot ${action} at "${address}": expected PostgreSQL to answer, ${describeCode(code)}`,
    {
      cause,
      context: {
        next: 'see with "millrace status" whether PostgreSQL works; "millrace up" starts it',
        address,
      },
    },
  );
}

/** Codes that a person meets, in words. Source: PostgreSQL 18, Appendix A. */
const CODES: Readonly<Record<string, string>> = {
  "53100": "its disk is full",
  "53300": "it has too many connections",
  "57014": "it took too long",
  "57P01": "it is shutting down",
  "57P03": "it is starting",
  "28P01": "it refused the password",
  "3D000": "it has no such database",
  ECONNREFUSED: "nobody listens there",
};

const describeCode = (code: string) => CODES[code] ?? `got ${code === "" ? "no answer" : code}`;

function addressOf({ settings }: StorePlace): string {
  try {
    return databaseOf(settings).address;
  } catch {
    return "the store";
  }
}
