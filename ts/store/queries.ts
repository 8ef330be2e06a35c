// What the API asks of the store. Each question is short, goes by an index, and has a bound: a page of at most PAGE_MAX rows, a
// span of at most SPAN_MS_MAX, STATEMENT_MS of the server's time. Pages go by key, not by number, so that rows which come meanwhile
// neither repeat nor hide any. Says what is stored and computes nothing but sums over columns that Python wrote.

import { Decoder, PipelineError } from "../contract/index.ts";
import { type Contract, entityKey, type SchemaName, schemaOf } from "../pipelines/index.ts";
import { type Database, type Db, openDatabase, type StorePlace, storeError } from "./database.ts";
import { type Cursors, cursorsOf, type Key } from "./cursor.ts";

/** Most rows of a page. */
export const PAGE_MAX = 1_000;
/** Longest range of event time that is listed or summed: a year and a day. */
export const SPAN_MS_MAX = 367 * 86_400_000;

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
  /** Of entity, arm and `opened`: stays while those do. */
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
  /** Every entity as of a moment, by name. */
  entitiesAt(query: AtQuery): Promise<Page<EntityAt>>;
  span(): Promise<StoreSpan>;
}

export interface Store extends Queries {
  close(): Promise<void>;
}
