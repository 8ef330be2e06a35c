// What a record of each topic becomes: the columns beside its bytes, and how a batch of them is merged into the tables. Of a record
// only the fields that have a column are decoded; everything else stays bytes. Pure: no database and no Kafka.

import { createHash } from "node:crypto";
import { isAhead } from "../contract/index.ts";
import type { KafkaRecord } from "../kafka/kafka.ts";
import { type Contract, entityKey, schemaOf } from "../pipelines/index.ts";
import type { ColumnType, Value } from "./copy.ts";

/** The topics that are stored. */
export const STORED = ["features", "predictions", "verifications", "rejects"] as const;
export type StoredKind = (typeof STORED)[number];

type Cells = Readonly<Record<string, unknown>>;

export interface RowKind {
  /** Columns of the staging table in order; those of `extra` are no columns of the table itself. */
  readonly columns: readonly (readonly [name: string, type: ColumnType])[];
  /** The reader's schema: of the contract's, the fields that have a column. */
  readonly schema: string;
  /** Values in the order of the columns; null for a record that nobody could ask for. */
  readonly row: (cells: Cells, record: KafkaRecord) => readonly Value[] | null;
  /** Takes what is staged into the tables, once however often it comes. */
  readonly merge: readonly string[];
}

const KEPT = [
  ["partition", "int4"],
  ["offset", "int8"],
  ["append_time", "int8"],
  ["value", "bytea"],
] as const;
const kept = ({ partition, offset, timestamp, value }: KafkaRecord): Value[] => [
  partition,
  offset,
  timestamp,
  value,
];

const FEATURES = [
  ["entity", "text"],
  ["window_end", "int8"],
  ["plan_epoch", "int4"],
  ["revision", "int8"],
  ...KEPT,
] as const;

const PREDICTIONS = [
  ["entity", "text"],
  ["arm", "text"],
  ["window_end", "int8"],
  ["plan_epoch", "int4"],
  ["revision", "int8"],
  ["model_version", "text"],
  ["id", "uuid"],
  ...KEPT,
] as const;

const VERIFICATIONS = [
  ["entity", "text"],
  ["arm", "text"],
  ["valid", "int8"],
  ["target", "text"],
  ["horizon_h", "int4"],
  ["id", "uuid"],
  ["issued", "int8"],
  ["judged", "int8"],
  ["verified", "bool"],
  ["in_sample", "bool"],
  ["error", "float8"],
  ["pinball", "float8"],
  ["width", "float8"],
  ["winkler", "float8"],
  ["covered", "int4[]"],
  ["persistence_error", "float8"],
  ["dap_error", "float8"],
  ...KEPT,
] as const;

const REJECTS = [
  ["topic", "text"],
  ["partition", "int4"],
  ["offset", "int8"],
  ["field", "text"],
  ["reason", "text"],
  ["entity", "text"],
  ["append_time", "int8"],
  ["rejected_time", "int8"],
  ["reject_partition", "int4"],
  ["reject_offset", "int8"],
  ["value", "bytea"],
] as const;

/** A window of the future: it is kept, and no newest of anything. */
const AHEAD = ["ahead", "bool"] as const;

const namesOf = (columns: RowKind["columns"]) => columns.map(([name]) => `"${name}"`).join(", ");

/** Every row that is not there yet. */
const insert = (table: string, columns: RowKind["columns"]) =>
  `insert into ${table} (${namesOf(columns)}) select ${namesOf(columns)} from stage_${table} on conflict do nothing`;

const newest = (table: string) => `insert into entities as e (entity, newest)
  select entity, max(window_end) from stage_${table} where not ahead group by entity
  on conflict (entity) do update set newest = excluded.newest where excluded.newest > e.newest`;

export const LATEST_FEATURES = (source: string) => `insert into latest_features as l
    (entity, window_end, plan_epoch, revision)
  select distinct on (entity, window_end) entity, window_end, plan_epoch, revision from ${source}
  order by entity, window_end, plan_epoch desc, revision desc
  on conflict (entity, window_end) do update set plan_epoch = excluded.plan_epoch, revision = excluded.revision
  where (excluded.plan_epoch, excluded.revision) > (l.plan_epoch, l.revision)`;

const LATEST_PREDICTIONS = `insert into latest_predictions as l
    (entity, arm, window_end, plan_epoch, revision, model_version, "offset", anomaly_type, anomaly_score)
  select distinct on (entity, arm, window_end)
    entity, arm, window_end, plan_epoch, revision, model_version, "offset", anomaly_type, anomaly_score
  from stage_predictions where not ahead
  order by entity, arm, window_end, plan_epoch desc, revision desc, "offset" desc
  on conflict (entity, arm, window_end) do update set
    plan_epoch = excluded.plan_epoch, revision = excluded.revision, model_version = excluded.model_version,
    "offset" = excluded."offset", anomaly_type = excluded.anomaly_type, anomaly_score = excluded.anomaly_score
  where (excluded.plan_epoch, excluded.revision, excluded."offset") > (l.plan_epoch, l.revision, l."offset")`;

/**
 * Runs of flagged windows are made again where the batch changed anything: from the run that its first window lies in or ends, to
 * the one that its last window lies in or comes right before. Runs of an entity do not overlap, so no other can have changed.
 */
const SPANS = `insert into stage_spans (entity, arm, first, last)
  select t.entity, t.arm, least(t.lo, min(r.opened)), greatest(t.hi, max(r.last))
  from (
    select entity, arm, min(window_end) as lo, max(window_end) as hi, bool_or(anomaly_type is not null) as flagged
    from stage_predictions where not ahead group by entity, arm
  ) t
  left join lateral (
    select opened, last from (
      select opened, last, ended from anomalies a
      where a.entity = t.entity and a.arm = t.arm and a.opened < t.lo order by a.opened desc limit 1
    ) before where ended is null or ended >= t.lo
    union all
    select opened, last from anomalies a
    where a.entity = t.entity and a.arm = t.arm and a.opened between t.lo and t.hi
    union all
    select opened, last from anomalies a
    where a.entity = t.entity and a.arm = t.arm and a.opened = (
      select min(window_end) from latest_predictions l
      where l.entity = t.entity and l.arm = t.arm and l.window_end > t.hi)
  ) r on true
  group by t.entity, t.arm, t.lo, t.hi, t.flagged
  having t.flagged or count(r.opened) > 0`;

const NO_RUNS = `delete from anomalies a using stage_spans s
  where a.entity = s.entity and a.arm = s.arm and a.opened between s.first and s.last`;

export const RUNS = `insert into anomalies (entity, arm, type, opened, last, ended, peak, severity, windows)
  select r.entity, r.arm, r.type, r.opened, r.last, (
      select min(window_end) from latest_predictions l
      where l.entity = r.entity and l.arm = r.arm and l.window_end > r.last),
    r.peak, r.severity, r.windows
  from (
    select entity, arm, type, min(window_end) as opened, max(window_end) as last,
      (array_agg(window_end order by score desc, window_end))[1] as peak, max(score) as severity, count(*) as windows
    from (
      select s.entity, s.arm, l.window_end, l.anomaly_type as type, l.anomaly_score as score,
        row_number() over (partition by s.entity, s.arm order by l.window_end)
          - row_number() over (partition by s.entity, s.arm, l.anomaly_type order by l.window_end) as run
      from stage_spans s
      join latest_predictions l
        on l.entity = s.entity and l.arm = s.arm and l.window_end between s.first and s.last
    ) w where type is not null
    group by entity, arm, type, run
  ) r`;

/** What a transaction needs beside the staged rows: where runs of anomalies are made again. */
export const SPANS_TABLE = "stage_spans (entity text, arm text, first bigint, last bigint)";

/** The fields of a record's schema that are wanted, records within it likewise. */
function narrowed(schema: string, wanted: (field: string, within: string | null) => boolean): string {
  const record = JSON.parse(schema) as Record<string, unknown> & {
    fields: { name: string; type: unknown }[];
  };
  // A type is defined where it stands first; one whose definition is left out must be defined where it is used next.
  const defined = new Map<string, unknown>();
  const collect = (type: unknown): void => {
    if (Array.isArray(type)) for (const one of type) collect(one);
    else if (typeof type === "object" && type !== null) {
      const { name, fields, type: inner, items, values } = type as Record<string, unknown>;
      if (typeof name === "string") defined.set(name, type);
      if (Array.isArray(fields)) for (const field of fields) collect((field as { type: unknown }).type);
      for (const part of [inner, items, values]) if (typeof part === "object") collect(part);
    }
  };
  for (const { type } of record.fields) collect(type);
  const written = new Set<string>();
  const whole = (type: unknown, within: string): unknown => {
    if (Array.isArray(type)) return type.map((one) => whole(one, within));
    if (typeof type === "string") {
      const known = defined.get(type);
      return known === undefined || written.has(type) ? type : whole(known, within);
    }
    if (typeof type !== "object" || type === null) return type;
    const { name, fields } = type as { name?: string; fields?: { name: string; type: unknown }[] };
    if (name !== undefined) {
      if (written.has(name)) return name;
      written.add(name);
    }
    if (fields === undefined) return type;
    return {
      ...type,
      fields: fields
        .filter((field) => wanted(field.name, within))
        .map((field) => ({ ...field, type: whole(field.type, field.name) })),
    };
  };
  return JSON.stringify({
    ...record,
    fields: record.fields
      .filter(({ name }) => wanted(name, null))
      .map((field) => ({ ...field, type: whole(field.type, field.name) })),
  });
}

const HEX = /^[0-9a-f]{32}$/;
/** An id is 32 hex digits; whatever else it may be is told apart by its digest. */
const uuid = (id: unknown): Buffer =>
  HEX.test(String(id))
    ? Buffer.from(String(id), "hex")
    : createHash("sha256").update(String(id)).digest().subarray(0, 16);

const number = (value: unknown): number | null => (typeof value === "number" ? value : null);

/** How records of a pipeline become rows. `ahead_ms`: how far a window may end after the append of its record (ts/serve/latest.ts). */
export function rowKinds(
  contract: Contract,
  { ahead_ms, isEntity }: { readonly ahead_ms: number; readonly isEntity: (name: string) => boolean },
): Readonly<Partial<Record<StoredKind, RowKind>>> {
  const key = entityKey(contract);
  const entityOf = (cells: Cells): string | null => {
    const entity = cells[key];
    return typeof entity === "string" && isEntity(entity) ? entity : null;
  };
  const ahead = (end_ms: unknown, { timestamp }: KafkaRecord) => isAhead(Number(end_ms), timestamp, ahead_ms);
  const has = (what: StoredKind) => contract.schemas[what] !== undefined;
  const only = (what: StoredKind, names: readonly string[], within: Readonly<Record<string, RegExp>> = {}) =>
    narrowed(schemaOf(contract, what), (field, inside) =>
      inside === null ? names.includes(field) || field in within : (within[inside]?.test(field) ?? true),
    );
  return {
    ...(has("features")
      ? {
          features: {
            columns: [...FEATURES, AHEAD],
            schema: only("features", [key, "window_end", "plan_epoch", "revision"]),
            row(cells, record) {
              const entity = entityOf(cells);
              if (entity === null) return null;
              const { window_end, plan_epoch, revision } = cells as Record<string, number>;
              return [
                entity,
                window_end!,
                plan_epoch!,
                revision!,
                ...kept(record),
                ahead(window_end, record),
              ];
            },
            merge: [
              insert("features", FEATURES),
              LATEST_FEATURES("stage_features where not ahead"),
              newest("features"),
            ],
          } satisfies RowKind,
        }
      : {}),
    ...(has("predictions")
      ? {
          predictions: {
            columns: [...PREDICTIONS, ["anomaly_type", "text"], ["anomaly_score", "float8"], AHEAD],
            schema: only(
              "predictions",
              [key, "id", "timestamp", "plan_epoch", "revision", "model_version", "arm"],
              contract.parts.includes("anomaly")
                ? { anomaly: /^(?:is_anomaly|anomaly_(?:score|type))$/ }
                : {},
            ),
            row(cells, record) {
              const entity = entityOf(cells);
              if (entity === null) return null;
              const { id, arm, timestamp, plan_epoch, revision, model_version } = cells as Record<
                string,
                string & number
              >;
              const verdict = cells["anomaly"] as
                | { is_anomaly: boolean; anomaly_score: number; anomaly_type: string | null }
                | undefined;
              const flagged = verdict?.is_anomaly === true;
              return [
                ...[entity, arm!, timestamp!, plan_epoch!, revision!, model_version!, uuid(id)],
                ...kept(record),
                flagged ? (verdict.anomaly_type ?? "unknown") : null,
                flagged ? verdict.anomaly_score : null,
                ahead(timestamp, record),
              ];
            },
            merge: [
              insert("predictions", PREDICTIONS),
              LATEST_PREDICTIONS,
              newest("predictions"),
              SPANS,
              NO_RUNS,
              RUNS,
            ],
          } satisfies RowKind,
        }
      : {}),
    ...(has("verifications")
      ? {
          verifications: {
            columns: VERIFICATIONS,
            schema: only(
              "verifications",
              [
                ...[key, "id", "arm", "target", "horizon_h", "issued", "valid", "judged", "status"],
                ...["model", "persistence", "dap", "in_sample"],
              ],
              {
                model: /^(?:error|pinball|width|winkler|covered_\d+)$/,
                persistence: /^error$/,
                dap: /^error$/,
              },
            ),
            row(cells, record) {
              const entity = entityOf(cells);
              if (entity === null) return null;
              const { arm, valid, target, horizon_h, id, issued, judged } = cells as Record<
                string,
                string & number
              >;
              const model = cells["model"] as Record<string, number | boolean | null>;
              const [persistence, dap] = [cells["persistence"], cells["dap"]] as { error: number | null }[];
              const covered = Object.entries(model).flatMap(([name, held]) =>
                held === true && name.startsWith("covered_") ? [Number(name.slice("covered_".length))] : [],
              );
              return [
                ...[entity, arm!, valid!, target!, horizon_h!, uuid(id), issued!, judged!],
                cells["status"] === "verified",
                cells["in_sample"] === true,
                ...[model["error"], model["pinball"], model["width"], model["winkler"]].map(number),
                covered,
                number(persistence?.error),
                number(dap?.error),
                ...kept(record),
              ];
            },
            merge: [insert("verifications", VERIFICATIONS)],
          } satisfies RowKind,
        }
      : {}),
    rejects: {
      columns: REJECTS,
      schema: only("rejects", [
        ...[key, contract.key, "topic", "partition", "offset", "field", "reason"],
        ...["append_time", "rejected_time"],
      ]),
      row(cells, record) {
        const { topic, partition, offset, field, reason, append_time, rejected_time } = cells as Record<
          string,
          string & number
        >;
        const name = cells[key] ?? cells[contract.key];
        return [
          ...[topic!, partition!, offset!, field ?? "", reason!, typeof name === "string" ? name : null],
          ...[append_time!, rejected_time!, record.partition, record.offset, record.value],
        ];
      },
      merge: [insert("rejects", REJECTS)],
    },
  };
}
