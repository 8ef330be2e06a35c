// The shape of a generated contract in TypeScript, word for word the one of ts/codegen/static/contract.py.
// Filled in by ts/pipelines/generated/<pipeline>.ts; read by everyone who must know what a pipeline's records mean.

import { type Attribute, type Role, type StreamFormat, type Support, schemaIn } from "../contract/index.ts";
import type { Derived, FeatureKind, Station } from "./define.ts";
import { absent, type PartName, type PartTopic, partOf } from "./parts.ts";
import { noStream } from "./streams.ts";

/** Every schema there is, by what it is for. A pipeline has those of its parts. */
export const SCHEMA_NAMES = [
  "observation",
  "features",
  "history",
  "predictions",
  "verifications",
  "anomalies",
  "rejects",
  "cursors",
  "progress",
  "model_events",
] as const;
export type SchemaName = (typeof SCHEMA_NAMES)[number];

/** A value for each schema that there is. */
export type BySchema<T> = Readonly<Record<Exclude<SchemaName, PartTopic>, T>> &
  Readonly<Partial<Record<PartTopic, T>>>;

/** One neighbour of a station; `rank` counts from 1 within its sector. */
export interface Neighbour {
  readonly station: string;
  readonly sector: string;
  readonly rank: number;
  readonly distance_km: number;
}

/** What is said of the observations of one stream. */
export interface StreamContract
  extends Pick<
    Contract,
    "key" | "event_time" | "fields" | "duplicates" | "lateness_ms" | "lead_ms" | "format"
  > {
  /** Schema of an observation: Avro as JSON text, without docs. */
  readonly observation: string;
}

/**
 * Times, spans and horizons in ms, `lags` in steps of `step_ms`. What belongs to a part that is not among `parts` is empty: 0, no
 * entry, no schema. What is said of observations is of one stream, `stream`; `inStream` turns to another.
 */
export interface Contract {
  readonly pipeline: string;
  readonly parts: readonly PartName[];
  /** What one key, or with `by` one of its values, names, in the domain's word. */
  readonly entity: string;
  /** SHA-256 over all that changes a meaning: both sides of a run must hold the same. */
  readonly fingerprint: string;
  /** SHA-256 over what the streaming state depends on: another one means a new checkpoint. */
  readonly plan_hash: string;
  /** The stream whose observations this describes; as generated the one that the windows read. */
  readonly stream: string;
  readonly other_streams: Readonly<Record<string, StreamContract>>;
  readonly key: string;
  /** The attribute that windows are grouped by instead of the key; absent where it is the key. */
  readonly by?: string;
  /** With `by`: partitions of the windows' stream, in any of which records of one group may lie. */
  readonly raw_partitions?: number;
  readonly event_time: string;
  readonly fields: readonly {
    readonly name: string;
    readonly role: Role;
    readonly quantity: string | null;
    readonly unit: string | null;
    /** What a sensor may say, inclusive. */
    readonly range: readonly [number, number] | null;
    /** What the quantity can be, inclusive, null at an open end: forecasts stay inside. */
    readonly support: Support | null;
    /** What is accepted in an attribute; only such a field has it. */
    readonly attribute?: Attribute;
    /** Of a direction: the measurement that has it, where the contract says so. */
    readonly magnitude?: string;
  }[];
  readonly duplicates: "source" | "engine";
  readonly window_ms: number;
  readonly slide_ms: number;
  readonly lateness_ms: number;
  readonly lead_ms: number;
  readonly features: readonly {
    readonly column: string;
    readonly field: string;
    readonly kind: FeatureKind;
    readonly unit: string;
  }[];
  readonly cell_ms: number;
  readonly step_ms: number;
  readonly lags: readonly number[];
  readonly depth_ms: number;
  readonly ring_cells: number;
  readonly history_values: readonly string[];
  readonly targets: readonly string[];
  readonly horizons_ms: readonly number[];
  /** What the model's heads learn. */
  readonly quantiles: readonly number[];
  /** Sectors in order, and what is read of the stations in them: lags in steps; empty without neighbours. */
  readonly sectors: readonly string[];
  readonly per_sector: number;
  readonly neighbour_lags: readonly number[];
  /** Columns of the heads that are named functions of the domain; those with `t_ms` among their inputs know the future. */
  readonly derived: readonly Derived[];
  /** Shares of outcomes the central intervals are meant to hold, narrowest first. */
  readonly bands: readonly number[];
  /** The ends of all bands and the median, ascending: the quantiles a prediction carries. */
  readonly levels: readonly number[];
  readonly steps: readonly { readonly field: string; readonly change: number; readonly within_ms: number }[];
  /** Where a target can come to stand when a sensor's datum changes, inclusive. */
  readonly datums: Readonly<Record<string, readonly [number, number]>>;
  readonly stations: Readonly<Record<string, Station>>;
  /** Of each station that has any: sector by sector, nearest first. */
  readonly neighbours: Readonly<Record<string, readonly Neighbour[]>>;
  /** Of the observations on their stream; Avro where nothing is said. */
  readonly format?: StreamFormat;
  /** Avro as JSON text, without docs: a better sentence is no new version in the registry. */
  readonly schemas: BySchema<string>;
}

/** A schema by what it is for. Errors: `config_invalid` for one that none of the pipeline's parts brings. */
export function schemaOf(
  { pipeline, schemas }: Pick<Contract, "pipeline" | "schemas">,
  what: SchemaName,
): string {
  const schema = schemas[what];
  if (schema === undefined) throw absent(pipeline, `schema "${what}"`, partOf(what as PartTopic));
  return schema;
}

/** What is registered for observations: their schema in the stream's format. */
export function streamSchema({ format = "avro", schemas }: Pick<Contract, "format" | "schemas">): string {
  return schemaIn(format, schemas.observation);
}

/** The field whose value names what a window, and all that comes of windows, is of: a column of features, history and forecasts. */
export function entityKey({ key, by }: Pick<Contract, "key" | "by">): string {
  return by ?? key;
}

/** Names of all streams, the contract's own first. */
export function streamsOf({
  stream,
  other_streams,
}: Pick<Contract, "stream" | "other_streams">): readonly string[] {
  return [stream, ...Object.keys(other_streams)];
}

/** The same contract turned to another stream: what it says of observations is of that one. Errors: `config_invalid`. */
export function inStream(contract: Contract, stream: string): Contract {
  if (stream === contract.stream) return contract;
  const { [stream]: wanted, ...others } = contract.other_streams;
  if (wanted === undefined) throw noStream(contract.pipeline, stream, streamsOf(contract));
  const { observation, ...said } = wanted;
  const { format, key, event_time, fields, duplicates, lateness_ms, lead_ms, schemas, ...rest } = contract;
  const own = { key, event_time, fields, duplicates, lateness_ms, lead_ms, observation: schemas.observation };
  return {
    ...rest,
    ...said,
    stream,
    other_streams: { [contract.stream]: { ...own, ...(format ? { format } : {}) }, ...others },
    schemas: { ...schemas, observation },
  };
}
