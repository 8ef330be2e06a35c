// The first tables. Rows come in the order of event time, nearly: their keys begin with the entity, so that the history of one is
// together, and a small index of ranges (BRIN) finds what retention removes.

import { type Kysely, sql } from "kysely";

/** Bytes of measured numbers do not compress; a row of a few kilobytes stays whole in its page. */
const INLINE = "toast_tuple_target = 8160";
/** Room for the newer versions of a row in its own page: nothing that an index holds changes. */
const UPDATED = "fillfactor = 80";

const TABLES = [
  `create table schemas (schema_id int primary key, schema text not null)`,
  `create table offsets (topic text, partition int, next bigint not null, primary key (topic, partition))`,
  `create table entities (entity text primary key, newest bigint not null) with (${UPDATED})`,
  `create table features (
    entity text, window_end bigint, plan_epoch int, revision bigint,
    partition int not null, "offset" bigint not null, append_time bigint not null, value bytea not null,
    primary key (entity, window_end, plan_epoch, revision)
  ) with (${INLINE})`,
  `alter table features alter value set storage external`,
  `create index features_window_end on features using brin (window_end) with (pages_per_range = 32)`,
  `create table latest_features (
    entity text, window_end bigint, plan_epoch int not null, revision bigint not null,
    primary key (entity, window_end)
  ) with (${UPDATED})`,
  `create table predictions (
    entity text, arm text, window_end bigint, plan_epoch int, revision bigint, model_version text, id uuid not null,
    partition int not null, "offset" bigint not null, append_time bigint not null, value bytea not null,
    primary key (entity, arm, window_end, plan_epoch, revision, model_version)
  ) with (${INLINE})`,
  `alter table predictions alter value set storage external`,
  `create index predictions_window_end on predictions using brin (window_end) with (pages_per_range = 32)`,
  `create table latest_predictions (
    entity text, arm text, window_end bigint, plan_epoch int not null, revision bigint not null,
    model_version text not null, "offset" bigint not null, anomaly_type text, anomaly_score double precision,
    primary key (entity, arm, window_end)
  ) with (${UPDATED})`,
  `create table anomalies (
    entity text, arm text, opened bigint, type text not null, last bigint not null, ended bigint,
    peak bigint not null, severity double precision not null, windows int not null,
    primary key (entity, arm, opened)
  ) with (${UPDATED})`,
  `create index anomalies_opened on anomalies (opened, entity)`,
  `create table verifications (
    entity text, arm text, valid bigint, target text, horizon_h int, id uuid,
    issued bigint not null, judged bigint not null, verified boolean not null, in_sample boolean not null,
    error double precision, pinball double precision, width double precision, winkler double precision,
    covered int[] not null, persistence_error double precision, dap_error double precision,
    partition int not null, "offset" bigint not null, append_time bigint not null, value bytea not null,
    primary key (entity, arm, valid, target, horizon_h, id)
  )`,
  `alter table verifications alter value set storage external`,
  `create index verifications_valid on verifications (valid, entity, target, horizon_h, id)`,
  `create table rejects (
    topic text, partition int, "offset" bigint, field text, reason text not null, entity text,
    append_time bigint not null, rejected_time bigint not null,
    reject_partition int not null, reject_offset bigint not null, value bytea not null,
    primary key (topic, partition, "offset", field)
  )`,
  `create index rejects_append_time on rejects (append_time)`,
] as const;

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of TABLES) await sql.raw(statement).execute(db);
}
