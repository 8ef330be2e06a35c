// What the API asks of the store. Each question is short, goes by an index, and has a bound: a page of at most PAGE_MAX rows, a
// span of at most SPAN_MS_MAX, STATEMENT_MS of the server's time. Pages go by key, not by number, so that rows which come meanwhile
// neither repeat nor hide any. Says what is stored and computes nothing but sums over columns that Python wrote.

import { createHash } from "node:crypto";
import { type JoinBuilder, type Selectable, type SelectQueryBuilder, sql } from "kysely";
import { Decoder, PipelineError } from "../contract/index.ts";
import { namesOf, type Registered, type SchemaName, schemaOf, topicOf } from "../pipelines/index.ts";
import type { Settings } from "../settings/settings.ts";
import { cursorsOf, type Key } from "./cursor.ts";
import { openDatabase, type StorePlace, storeError } from "./database.ts";
import type { Tables } from "./tables.ts";

/** Most rows of a page. */
export const PAGE_MAX = 1_000;
/** Longest range of event time that is listed or summed: a year and a day. */
export const SPAN_MS_MAX = 367 * 86_400_000;

/** Longest time the server works for one question. */
const STATEMENT_MS = 5_000;

/** A decoded record, entity key and all. */
export type Cells = Readonly<Record<string, unknown>>;

/** A record as it was stored: the same shape as what ts/serve holds in memory. */
export interface Stored<T = Cells> {
  readonly entity: string;
  readonly record: T;
  readonly arrival: {
    readonly topic: string;
    readonly partition: number;
    readonly offset: number;
    readonly append_time_ms: number;
  };
}

export interface Page<T> {
  readonly rows: readonly T[];
  /** Opaque; null on the last page. With order "desc" it is the last page for now: newer rows are before the first. */
  readonly next: string | null;
}

/** Event time, `from_ms` inclusive, `to_ms` exclusive; an end that is null is open. */
export interface Range {
  readonly from_ms: number | null;
  readonly to_ms: number | null;
}

export interface Paging {
  /** From 1 to PAGE_MAX. */
  readonly limit: number;
  /** `next` of the page before, of the same question; null for the first. Another's is refused with `config_invalid`. */
  readonly cursor: string | null;
  /** By time: "asc" oldest first, "desc" newest first. */
  readonly order: "asc" | "desc";
}

export interface HistoryQuery extends Range, Paging {
  readonly entity: string;
  /** "latest": of each window the version that counts; "all": each version, oldest to newest within a window. */
  readonly revision: "latest" | "all";
}

export interface PredictionQuery extends HistoryQuery {
  readonly arm: string;
}

export interface VerificationQuery extends Range, Paging {
  readonly arm: string;
  readonly entity: string | null;
  readonly target: string | null;
  readonly horizon_h: number | null;
}

export interface AnomalyQuery extends Range, Paging {
  readonly arm: string;
  readonly entity: string | null;
  readonly type: string | null;
  /** Least severity, 0 to 1; null for all. */
  readonly severity: number | null;
  /** Only those that have not ended. */
  readonly open: boolean;
}

/** A run of flagged windows of one entity and type. Times are ends of windows. */
export interface StoredAnomaly {
  /** Of entity, arm and `opened`, which it begins with: stays while those do, and finds it again. */
  readonly id: string;
  readonly entity: string;
  readonly type: string;
  readonly opened_ms: number;
  /** End of the window with the highest score. */
  readonly peak_ms: number;
  /** End of its last window so far. */
  readonly last_ms: number;
  /** End of the first window behind it that is not of it; null while there is none. */
  readonly ended_ms: number | null;
  /** Highest score, 0 to 1. */
  readonly severity: number;
  readonly windows: number;
}

export interface ScoreQuery {
  readonly arm: string;
  /** Of the valid time, `from_ms` inclusive, `to_ms` exclusive. */
  readonly from_ms: number;
  readonly to_ms: number;
  readonly entity: string | null;
  /** One row for each target and horizon and, as asked, day of the valid time (UTC) or entity. */
  readonly by: "horizon" | "day" | "entity";
}

/** Sums over verifications; the columns are those that ts/serve/verified.ts sums. */
export interface ScoreSums {
  readonly target: string;
  readonly horizon_h: number;
  /** First moment of the day; null unless asked by day. */
  readonly day_ms: number | null;
  /** Null unless asked by entity. */
  readonly entity: string | null;
  /** Forecasts with a truth, not those issued inside a model's training range. */
  readonly pairs: number;
  readonly unverifiable: number;
  readonly in_sample: number;
  /** Sums over the pairs: |error|, error, and the scores. */
  readonly abs: number;
  readonly bias: number;
  readonly pinball: number;
  readonly width: number;
  readonly winkler: number;
  /** Pairs whose truth lay inside the band, by its percent. */
  readonly covered: Readonly<Record<string, number>>;
  /** Over the pairs where the baseline said something: their number, the model's |error| and the baseline's. */
  readonly persistence: { readonly pairs: number; readonly model: number; readonly baseline: number };
  readonly dap: { readonly pairs: number; readonly model: number; readonly baseline: number };
}

export interface EntityAt {
  readonly entity: string;
  /** Of the newest window that ends at or before the moment; null where there is none. */
  readonly features: Stored | null;
  readonly prediction: Stored | null;
}

export interface AtQuery {
  readonly arm: string;
  /** A moment of event time; null for the newest of each. */
  readonly at_ms: number | null;
  readonly limit: number;
  readonly cursor: string | null;
}

/** What the store holds, at a glance. */
export interface StoreSpan {
  /** Event times of the windows there are; null for none. */
  readonly oldest_ms: number | null;
  readonly newest_ms: number | null;
  /** Newest valid time of a verification. */
  readonly verified_ms: number | null;
}

/**
 * Errors of all: `store_unreachable` where it does not answer, takes too long, or has no tables yet; `config_invalid` for a limit or
 * a range beyond its bound and for a cursor that this question did not hand out.
 */
export interface Queries {
  /** The newest prediction that counts, of windows that end at or before `at_ms`; null for none. */
  latestPrediction(entity: string, arm: string, at_ms?: number | null): Promise<Stored | null>;
  /** By the window's end. */
  predictions(query: PredictionQuery): Promise<Page<Stored>>;
  /** The feature rows, by the window's end. */
  windows(query: HistoryQuery): Promise<Page<Stored>>;
  /** By valid time. */
  verifications(query: VerificationQuery): Promise<Page<Stored>>;
  scores(query: ScoreQuery): Promise<readonly ScoreSums[]>;
  /** Those that overlap the range, by the time they opened. */
  anomalies(query: AnomalyQuery): Promise<Page<StoredAnomaly>>;
  /** By its id; null for one that no anomaly has, or has any more. */
  anomaly(id: string, arm: string): Promise<StoredAnomaly | null>;
  /** Every entity as of a moment, by name. */
  entitiesAt(query: AtQuery): Promise<Page<EntityAt>>;
  span(): Promise<StoreSpan>;
}

export interface Store extends Queries {
  close(): Promise<void>;
}

/** What a stored record is told by, whichever table it came from. */
interface Row {
  readonly entity: string;
  readonly partition: number;
  readonly offset: number;
  readonly append_time: number;
  readonly value: Buffer;
}

type Kind = Extract<SchemaName, "features" | "predictions" | "verifications">;

/** The stored pipeline of some settings. Connects when it is asked; close it. */
export function openStore(
  settings: Pick<Settings, "home" | "external" | "databaseUrl" | "kafka" | "namespace">,
  { pipeline, contract }: Pick<Registered, "pipeline" | "contract">,
): Store {
  const names = namesOf(pipeline, settings.namespace);
  const place: StorePlace = { settings, names };
  const { db, close } = openDatabase(place, STATEMENT_MS);
  const bands = contract.bands.map((band) => Math.round(band * 100));

  /** A question and what becomes of its failure. */
  const ask = async <T>(action: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw storeError(action, place, error);
    }
  };

  const decoders = new Map<Kind, Decoder>();
  const schemas = new Map<number, string>();
  async function schemaById(id: number): Promise<string | null> {
    const known = schemas.get(id);
    if (known !== undefined) return known;
    const found = await db
      .selectFrom("schemas")
      .select("schema")
      .where("schema_id", "=", id)
      .executeTakeFirst();
    if (found) schemas.set(id, found.schema);
    return found?.schema ?? null;
  }

  async function stored(kind: Kind, row: Row): Promise<Stored> {
    let decoder = decoders.get(kind);
    if (decoder === undefined) {
      decoder = new Decoder(schemaOf(contract, kind), schemaById);
      decoders.set(kind, decoder);
    }
    const { topic } = topicOf(names, kind);
    const { entity, partition, offset, append_time, value } = row;
    const decoded = await decoder.decode(value);
    if (!decoded.ok)
      throw new PipelineError(
        "contract_mismatch",
        `Cannot read the stored record of "${topic}" at ${partition}/${offset}: expected one of this contract, got ${decoded.reason} (${decoded.detail})`,
      );
    return {
      entity,
      record: decoded.record,
      arrival: { topic, partition, offset, append_time_ms: append_time },
    };
  }

  /** One row more than asked for tells whether there is a next page. */
  async function pageOf<R, T>(
    rows: readonly R[],
    limit: number,
    write: (row: R) => string,
    become: (row: R) => T | Promise<T>,
  ): Promise<Page<T>> {
    const shown = rows.slice(0, limit);
    return {
      rows: await Promise.all(shown.map(become)),
      next: rows.length > limit ? write(shown.at(-1)!) : null,
    };
  }

  return {
    close,

    latestPrediction: (entity, arm, at_ms = null) =>
      ask("read the latest prediction", async () => {
        if (unknowable(entity, arm)) return null;
        const row = await db
          .selectFrom("latest_predictions as l")
          .innerJoin("predictions as p", samePrediction)
          .select(["p.entity", "p.partition", "p.offset", "p.append_time", "p.value"])
          .where("l.entity", "=", entity)
          .where("l.arm", "=", arm)
          .$if(at_ms !== null, (q) => q.where("l.window_end", "<=", at_ms!))
          .orderBy("l.window_end", "desc")
          .limit(1)
          .executeTakeFirst();
        return row ? stored("predictions", row) : null;
      }),

    predictions: (query) =>
      ask("read predictions", async () => {
        const { entity, arm, revision, order, limit } = checked(query);
        if (unknowable(entity, arm)) return NOTHING;
        const columns = ["p.entity", "p.partition", "p.offset", "p.append_time", "p.value"] as const;
        if (revision === "latest") {
          const cursors = cursorsOf(questionOf("predictions", query), ["number"]);
          const after = cursors.read(query.cursor);
          const rows = await db
            .selectFrom("latest_predictions as l")
            .innerJoin("predictions as p", samePrediction)
            .select([...columns, "l.window_end"])
            .where("l.entity", "=", entity)
            .where("l.arm", "=", arm)
            .$call((q) => within(q, "l.window_end", query))
            .$if(after !== null, (q) =>
              q.where("l.window_end", order === "asc" ? ">" : "<", after![0] as number),
            )
            .orderBy("l.window_end", order)
            .limit(limit + 1)
            .execute();
          return pageOf(
            rows,
            limit,
            (row) => cursors.write([row.window_end]),
            (row) => stored("predictions", row),
          );
        }
        const cursors = cursorsOf(questionOf("predictions", query), ["number", "number", "number", "string"]);
        const after = cursors.read(query.cursor);
        const rows = await db
          .selectFrom("predictions as p")
          .select([...columns, "p.window_end", "p.plan_epoch", "p.revision", "p.model_version"])
          .where("p.entity", "=", entity)
          .where("p.arm", "=", arm)
          .$call((q) => within(q, "p.window_end", query))
          .$if(after !== null, (q) =>
            q.where(beyond(["p.window_end", "p.plan_epoch", "p.revision", "p.model_version"], order, after!)),
          )
          .orderBy("p.window_end", order)
          .orderBy("p.plan_epoch", order)
          .orderBy("p.revision", order)
          .orderBy("p.model_version", order)
          .limit(limit + 1)
          .execute();
        return pageOf(
          rows,
          limit,
          (row) => cursors.write([row.window_end, row.plan_epoch, row.revision, row.model_version]),
          (row) => stored("predictions", row),
        );
      }),

    windows: (query) =>
      ask("read windows", async () => {
        const { entity, revision, order, limit } = checked(query);
        if (unknowable(entity)) return NOTHING;
        const columns = ["f.entity", "f.partition", "f.offset", "f.append_time", "f.value"] as const;
        if (revision === "latest") {
          const cursors = cursorsOf(questionOf("windows", query), ["number"]);
          const after = cursors.read(query.cursor);
          const rows = await db
            .selectFrom("latest_features as l")
            .innerJoin("features as f", sameFeatures)
            .select([...columns, "l.window_end"])
            .where("l.entity", "=", entity)
            .$call((q) => within(q, "l.window_end", query))
            .$if(after !== null, (q) =>
              q.where("l.window_end", order === "asc" ? ">" : "<", after![0] as number),
            )
            .orderBy("l.window_end", order)
            .limit(limit + 1)
            .execute();
          return pageOf(
            rows,
            limit,
            (row) => cursors.write([row.window_end]),
            (row) => stored("features", row),
          );
        }
        const cursors = cursorsOf(questionOf("windows", query), ["number", "number", "number"]);
        const after = cursors.read(query.cursor);
        const rows = await db
          .selectFrom("features as f")
          .select([...columns, "f.window_end", "f.plan_epoch", "f.revision"])
          .where("f.entity", "=", entity)
          .$call((q) => within(q, "f.window_end", query))
          .$if(after !== null, (q) =>
            q.where(beyond(["f.window_end", "f.plan_epoch", "f.revision"], order, after!)),
          )
          .orderBy("f.window_end", order)
          .orderBy("f.plan_epoch", order)
          .orderBy("f.revision", order)
          .limit(limit + 1)
          .execute();
        return pageOf(
          rows,
          limit,
          (row) => cursors.write([row.window_end, row.plan_epoch, row.revision]),
          (row) => stored("features", row),
        );
      }),

    verifications: (query) =>
      ask("read verifications", async () => {
        const { entity, arm, target, horizon_h, order, limit } = checked(query);
        if (unknowable(entity, arm, target)) return NOTHING;
        const key = ["number", "string", "string", "number", "string"] as const;
        const cursors = cursorsOf(questionOf("verifications", query), key);
        const after = cursors.read(query.cursor);
        const rows = await db
          .selectFrom("verifications as v")
          .select([
            ...(["v.entity", "v.partition", "v.offset", "v.append_time", "v.value"] as const),
            ...(["v.valid", "v.target", "v.horizon_h", "v.id"] as const),
          ])
          .where("v.arm", "=", arm)
          .$if(entity !== null, (q) => q.where("v.entity", "=", entity!))
          .$if(target !== null, (q) => q.where("v.target", "=", target!))
          .$if(horizon_h !== null, (q) => q.where("v.horizon_h", "=", horizon_h!))
          .$call((q) => within(q, "v.valid", query))
          .$if(after !== null, (q) =>
            q.where(beyond(["v.valid", "v.entity", "v.target", "v.horizon_h", "v.id"], order, after!)),
          )
          .orderBy("v.valid", order)
          .orderBy("v.entity", order)
          .orderBy("v.target", order)
          .orderBy("v.horizon_h", order)
          .orderBy("v.id", order)
          .limit(limit + 1)
          .execute();
        return pageOf(
          rows,
          limit,
          (row) => cursors.write([row.valid, row.entity, row.target, row.horizon_h, row.id]),
          (row) => stored("verifications", row),
        );
      }),

    scores: (query) =>
      ask("sum verifications", async () => {
        const { arm, entity, by } = query;
        checkSpan(query);
        if (unknowable(entity, arm)) return [];
        // Verified outside the training range: what a score rests on.
        const pair = sql<boolean>`(not in_sample and verified and error is not null)`;
        const over = (column: string) =>
          sql<number>`coalesce(sum(${sql.raw(column)}) filter (where ${pair}), 0)::float8`;
        const count = (where: string) =>
          sql<number>`count(*) filter (where ${pair} and ${sql.raw(where)})`.$castTo<number>();
        const versus = (error: string) => [
          count(`${error} is not null`).as(`${error}_pairs`),
          over(`abs(error) * (${error} is not null)::int`).as(`${error}_model`),
          over(`abs(${error})`).as(`${error}_abs`),
        ];
        const group = sql<number | string | null>`${sql.raw(GROUPS[by])}`;
        const rows = (await db
          .selectFrom("verifications")
          .select(["target", "horizon_h", group.as("group")])
          .select([
            count("true").as("pairs"),
            sql<number>`count(*) filter (where not in_sample and not (verified and error is not null))`.as(
              "unverifiable",
            ),
            sql<number>`count(*) filter (where in_sample)`.as("in_sample_count"),
            over("abs(error)").as("abs"),
            over("error").as("bias"),
            over("pinball").as("pinball"),
            over("width").as("width"),
            over("winkler").as("winkler"),
          ])
          .select([...versus("persistence_error"), ...versus("dap_error")])
          .select(bands.map((band) => count(`${band} = any(covered)`).as(`covered_${band}`)))
          .where("arm", "=", arm)
          .where("valid", ">=", query.from_ms)
          .where("valid", "<", query.to_ms)
          .$if(entity !== null, (q) => q.where("entity", "=", entity!))
          .groupBy(["target", "horizon_h", sql`3`])
          .orderBy("target")
          .orderBy("horizon_h")
          .orderBy(sql`3`)
          .limit(SCORES_MAX)
          .execute()) as unknown as readonly Readonly<Record<string, number>>[];
        return rows.map((row) => sumsOf(row, by, bands));
      }),

    anomalies: (query) =>
      ask("read anomalies", async () => {
        const { entity, arm, type, severity, open, order, limit, from_ms, to_ms } = checked(query);
        if (unknowable(entity, arm, type)) return NOTHING;
        const cursors = cursorsOf(questionOf("anomalies", query), ["number", "string"]);
        const after = cursors.read(query.cursor);
        const rows = await db
          .selectFrom("anomalies")
          .selectAll()
          .where("arm", "=", arm)
          .$if(entity !== null, (q) => q.where("entity", "=", entity!))
          .$if(type !== null, (q) => q.where("type", "=", type!))
          .$if(severity !== null, (q) => q.where("severity", ">=", severity!))
          .$if(open, (q) => q.where("ended", "is", null))
          .$if(to_ms !== null, (q) => q.where("opened", "<", to_ms!))
          .$if(from_ms !== null, (q) =>
            q.where((eb) => eb.or([eb("ended", "is", null), eb("ended", ">", from_ms!)])),
          )
          .$if(after !== null, (q) => q.where(beyond(["opened", "entity"], order, after!)))
          .orderBy("opened", order)
          .orderBy("entity", order)
          .limit(limit + 1)
          .execute();
        return pageOf(rows, limit, (row) => cursors.write([row.opened, row.entity]), anomalyOf);
      }),

    anomaly: (id, arm) =>
      ask("read an anomaly", async () => {
        const opened = openedIn(id);
        if (opened === null || unknowable(arm)) return null;
        // As many as entities went wrong in the same minute.
        const rows = await db
          .selectFrom("anomalies")
          .selectAll()
          .where("opened", "=", opened)
          .where("arm", "=", arm)
          .execute();
        return rows.map(anomalyOf).find((one) => one.id === id) ?? null;
      }),

    entitiesAt: (query) =>
      ask("read the entities as of a moment", async () => {
        const { arm, at_ms, limit } = query;
        checkLimit(limit);
        if (unknowable(arm)) return NOTHING;
        const cursors = cursorsOf({ what: "entitiesAt", arm, at_ms }, ["string"]);
        const after = cursors.read(query.cursor);
        const names_ = await db
          .selectFrom("entities")
          .select("entity")
          .$if(after !== null, (q) => q.where("entity", ">", after![0] as string))
          .orderBy("entity")
          .limit(limit + 1)
          .execute();
        const shown = names_.slice(0, limit).map(({ entity }) => entity);
        const until = at_ms === null ? sql`true` : sql`l.window_end <= ${at_ms}`;
        const wanted = sql`unnest(${shown}::text[]) as e(name)`;
        const [windows, forecasts] = await Promise.all([
          sql<Row>`select f.entity, f.partition, f."offset", f.append_time, f.value from ${wanted}
            cross join lateral (select * from latest_features l
              where l.entity = e.name and ${until} order by l.window_end desc limit 1) l
            join features f using (entity, window_end, plan_epoch, revision)`.execute(db),
          sql<Row>`select p.entity, p.partition, p."offset", p.append_time, p.value from ${wanted}
            cross join lateral (select * from latest_predictions l
              where l.entity = e.name and l.arm = ${arm} and ${until} order by l.window_end desc limit 1) l
            join predictions p using (entity, arm, window_end, plan_epoch, revision, model_version)`.execute(
            db,
          ),
        ]);
        const byEntity = async (kind: Kind, rows: readonly Row[]) =>
          new Map(await Promise.all(rows.map(async (row) => [row.entity, await stored(kind, row)] as const)));
        const features = await byEntity("features", windows.rows);
        const predictions = await byEntity("predictions", forecasts.rows);
        return {
          rows: shown.map((entity) => ({
            entity,
            features: features.get(entity) ?? null,
            prediction: predictions.get(entity) ?? null,
          })),
          next: names_.length > limit ? cursors.write([shown.at(-1)!]) : null,
        };
      }),

    span: () =>
      ask("read what the store holds", async () => {
        const { rows } = await sql<{ oldest: number | null; newest: number | null; verified: number | null }>`
          select (select max(newest) from entities) as newest,
            (select max(valid) from verifications) as verified,
            (select min(first.window_end) from entities e cross join lateral (
              select window_end from (
                (select window_end from latest_predictions l where l.entity = e.entity order by arm, window_end limit 1)
                union all
                (select window_end from latest_features l where l.entity = e.entity order by window_end limit 1)
              ) both_of order by window_end limit 1) first) as oldest`.execute(db);
        const { oldest = null, newest = null, verified = null } = rows[0] ?? {};
        return { oldest_ms: oldest, newest_ms: newest, verified_ms: verified };
      }),
  };
}

const NOTHING = { rows: [], next: null } as const;

/** `<opened in base36>-<24 hexadecimal digits>`. */
const ANOMALY_ID = /^(-?[0-9a-z]{1,11})-[0-9a-f]{24}$/;

function anomalyId({
  entity,
  arm,
  opened,
}: Pick<Selectable<Tables["anomalies"]>, "entity" | "arm" | "opened">) {
  const digest = createHash("sha256").update(JSON.stringify([entity, arm, opened]));
  return `${opened.toString(36)}-${digest.digest("hex").slice(0, 24)}`;
}

/** When the anomaly of an id opened; null for what is no id. */
function openedIn(id: string): number | null {
  const opened = Number.parseInt(ANOMALY_ID.exec(id)?.[1] ?? "", 36);
  return Number.isSafeInteger(opened) ? opened : null;
}

const anomalyOf = (row: Selectable<Tables["anomalies"]>): StoredAnomaly => ({
  id: anomalyId(row),
  entity: row.entity,
  type: row.type,
  opened_ms: row.opened,
  peak_ms: row.peak,
  last_ms: row.last,
  ended_ms: row.ended,
  severity: row.severity,
  windows: row.windows,
});

/** What a row of a scoreboard is of, beside its target and horizon. Days are whole ones since 1970, UTC. */
const GROUPS = { horizon: "null::int", day: "valid / 86400000", entity: "entity" } as const;

/** Rows of a scoreboard by entity: a thousand entities of a pipeline with ten targets and horizons. */
const SCORES_MAX = 10_000;

/** PostgreSQL has no text with a zero in it, so nothing of that name is stored. */
const unknowable = (...texts: readonly (string | null)[]) => texts.some((text) => text?.includes("\0"));

type Joining = JoinBuilder<Tables & { l: Tables["latest_predictions"]; p: Tables["predictions"] }, "l" | "p">;
const samePrediction = (join: Joining) =>
  join
    .onRef("p.entity", "=", "l.entity")
    .onRef("p.arm", "=", "l.arm")
    .onRef("p.window_end", "=", "l.window_end")
    .onRef("p.plan_epoch", "=", "l.plan_epoch")
    .onRef("p.revision", "=", "l.revision")
    .onRef("p.model_version", "=", "l.model_version");

type JoiningFeatures = JoinBuilder<
  Tables & { l: Tables["latest_features"]; f: Tables["features"] },
  "l" | "f"
>;
const sameFeatures = (join: JoiningFeatures) =>
  join
    .onRef("f.entity", "=", "l.entity")
    .onRef("f.window_end", "=", "l.window_end")
    .onRef("f.plan_epoch", "=", "l.plan_epoch")
    .onRef("f.revision", "=", "l.revision");

/** The rows behind a key in an order. */
const beyond = (columns: readonly string[], order: "asc" | "desc", key: Key) =>
  sql<boolean>`(${sql.join(columns.map((column) => sql.ref(column)))}) ${sql.raw(order === "asc" ? ">" : "<")} (${sql.join([...key])})`;

function within<DB, TB extends keyof DB, O>(
  query: SelectQueryBuilder<DB, TB, O>,
  column: string,
  { from_ms, to_ms }: Range,
): SelectQueryBuilder<DB, TB, O> {
  const time = sql<number>`${sql.ref(column)}`;
  return query
    .$if(from_ms !== null, (q) => q.where(sql<boolean>`${time} >= ${from_ms}`))
    .$if(to_ms !== null, (q) => q.where(sql<boolean>`${time} < ${to_ms}`)) as SelectQueryBuilder<DB, TB, O>;
}

/** All of a question but how much of it, and where it goes on. */
function questionOf(what: string, query: Paging): object {
  const { limit: _, cursor: __, ...rest } = query;
  return { what, ...rest };
}

function refused(what: string, wanted: string, seen: unknown): PipelineError {
  return new PipelineError(
    "config_invalid",
    `Cannot use the ${what}: expected ${wanted}, got ${String(seen)}`,
  );
}

function checkLimit(limit: number): void {
  if (!Number.isInteger(limit) || limit < 1 || limit > PAGE_MAX)
    throw refused("limit", `a whole number from 1 to ${PAGE_MAX}`, limit);
}

/** Errors: `config_invalid` for ends turned round, ends that are no times, and a longer range than any page is of. */
function checkSpan({ from_ms, to_ms }: Range): void {
  for (const end of [from_ms, to_ms])
    if (end !== null && !Number.isSafeInteger(end)) throw refused("range", "times in ms", end);
  if (from_ms === null || to_ms === null) return;
  if (from_ms >= to_ms) throw refused("range", "a beginning before its end", `${from_ms} and ${to_ms}`);
  if (to_ms - from_ms > SPAN_MS_MAX)
    throw refused(
      "range",
      `at most ${SPAN_MS_MAX / 86_400_000} days`,
      `${Math.ceil((to_ms - from_ms) / 86_400_000)}`,
    );
}

function checked<Q extends Range & Paging>(query: Q): Q {
  checkLimit(query.limit);
  checkSpan(query);
  return query;
}

function sumsOf(
  row: Readonly<Record<string, number>>,
  by: ScoreQuery["by"],
  bands: readonly number[],
): ScoreSums {
  const at = (name: string) => Number(row[name] ?? 0);
  const versus = (error: string) => ({
    pairs: at(`${error}_pairs`),
    model: at(`${error}_model`),
    baseline: at(`${error}_abs`),
  });
  return {
    target: String(row["target"]),
    horizon_h: at("horizon_h"),
    day_ms: by === "day" ? at("group") * 86_400_000 : null,
    entity: by === "entity" ? String(row["group"]) : null,
    pairs: at("pairs"),
    unverifiable: at("unverifiable"),
    in_sample: at("in_sample_count"),
    abs: at("abs"),
    bias: at("bias"),
    pinball: at("pinball"),
    width: at("width"),
    winkler: at("winkler"),
    covered: Object.fromEntries(bands.map((band) => [String(band), at(`covered_${band}`)])),
    persistence: versus("persistence_error"),
    dap: versus("dap_error"),
  };
}
