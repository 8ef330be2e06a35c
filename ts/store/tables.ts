// The tables of one pipeline in one namespace, as types: what migrations/ make and queries.ts reads. They lie in a schema of their
// own, so that no query can meet another's rows and `millrace remove` drops them at once. Times are UTC epoch ms.
//
// A record is kept as the bytes Kafka had, frame and all, and decoded when it is read; beside them stand the columns that rows are
// found, ordered and summed by. Every version of a record has its row; a `latest_` table says which one counts.

import { createHash } from "node:crypto";

/** Where a record was read, and its bytes. */
interface Kept {
  readonly partition: number;
  readonly offset: number;
  readonly append_time: number;
  /** The framed Avro value. */
  readonly value: Buffer;
}

/** Which version of a window counts: the larger epoch, then the larger revision, then what was written last. */
interface Version {
  readonly plan_epoch: number;
  readonly revision: number;
}

/** One window of one entity, each version a row. */
export interface FeaturesTable extends Kept, Version {
  readonly entity: string;
  readonly window_end: number;
}

export interface LatestFeaturesTable extends Version {
  readonly entity: string;
  readonly window_end: number;
}

export interface PredictionsTable extends Kept, Version {
  /** 128 bits, as a UUID. */
  readonly id: string;
  readonly entity: string;
  readonly arm: string;
  readonly window_end: number;
  readonly model_version: string;
}

export interface LatestPredictionsTable extends Version {
  readonly entity: string;
  readonly arm: string;
  readonly window_end: number;
  readonly model_version: string;
  readonly offset: number;
  /** Both null for a window that is as usual. */
  readonly anomaly_type: string | null;
  readonly anomaly_score: number | null;
}

/** A run of flagged windows of one entity and type, derived from the latest predictions. */
export interface AnomaliesTable {
  readonly entity: string;
  readonly arm: string;
  readonly type: string;
  /** End of its first window, and of its last one so far. */
  readonly opened: number;
  readonly last: number;
  /** End of the first window behind it that is not of it; null while there is none. */
  readonly ended: number | null;
  /** End of the window with the highest score, the first of several, and that score. */
  readonly peak: number;
  readonly severity: number;
  readonly windows: number;
}

export interface VerificationsTable extends Kept {
  readonly id: string;
  readonly entity: string;
  readonly arm: string;
  readonly target: string;
  readonly horizon_h: number;
  readonly issued: number;
  readonly valid: number;
  readonly judged: number;
  readonly verified: boolean;
  readonly in_sample: boolean;
  readonly error: number | null;
  readonly pinball: number | null;
  readonly width: number | null;
  readonly winkler: number | null;
  /** Percent of the bands that held the truth. */
  readonly covered: readonly number[];
  readonly persistence_error: number | null;
  readonly dap_error: number | null;
}

export interface RejectsTable extends Omit<Kept, "offset" | "partition"> {
  /** Where the refused record lies. */
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Empty for a whole record. */
  readonly field: string;
  readonly reason: string;
  readonly entity: string | null;
  readonly rejected_time: number;
  readonly reject_partition: number;
  readonly reject_offset: number;
}

/** Every entity that has had a window or a forecast, and the end of its newest window. */
export interface EntitiesTable {
  readonly entity: string;
  readonly newest: number;
}

/** Next offset to read. The rows of everything before it are in the tables. */
export interface OffsetsTable {
  readonly topic: string;
  readonly partition: number;
  readonly next: number;
}

/** The schemas that stored values name, so that the store can be read without the registry. */
export interface SchemasTable {
  readonly schema_id: number;
  readonly schema: string;
}

export interface Tables {
  features: FeaturesTable;
  latest_features: LatestFeaturesTable;
  predictions: PredictionsTable;
  latest_predictions: LatestPredictionsTable;
  anomalies: AnomaliesTable;
  verifications: VerificationsTable;
  rejects: RejectsTable;
  entities: EntitiesTable;
  offsets: OffsetsTable;
  schemas: SchemasTable;
}

/** PostgreSQL cuts longer names silently. */
const NAME_BYTES_MAX = 63;

/** The schema of a pipeline in a namespace. `prefix` is that of its derived names (names.ts). */
export function schemaName({
  prefix,
  pipeline,
}: {
  readonly prefix: string;
  readonly pipeline: string;
}): string {
  const name = `millrace-${prefix}${pipeline}`;
  if (name.length <= NAME_BYTES_MAX) return name;
  const digest = createHash("sha256").update(name).digest("hex").slice(0, 12);
  return `${name.slice(0, NAME_BYTES_MAX - 13)}-${digest}`;
}
