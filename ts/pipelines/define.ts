// What a pipeline is: a name and the parts it has, typed data and no behaviour. One file a domain beside this one; parts.ts says
// what each part needs and brings. The generator turns it, with its observation contract, into schemas, types and entrypoints.

import type { StreamFormat } from "../contract/index.ts";

/** What a window knows of one field. `rate` is the least-squares slope per hour; circular kinds are for directions only. */
export type FeatureKind = "mean" | "std" | "min" | "max" | "rate" | "sum" | "circular_mean" | "resultant";

export interface Station {
  readonly name: string;
  /** Degrees north, null where the network does not say. */
  readonly latitude: number | null;
  /** Degrees east, null where the network does not say. */
  readonly longitude: number | null;
  /** Metres above sea level, null where the network does not say. */
  readonly elevation_m: number | null;
}

/** `function` is `<module>.<name>` in jobs/ray/ray_jobs/model/derived. */
export interface Derived {
  readonly column: string;
  readonly function: string;
  readonly inputs: readonly string[];
}

/** A topic that observations are sent to: `<pipeline>-<name of the stream>`. */
export interface Stream {
  /** Name of the record in schemas/avro/records. */
  readonly observation: string;
  /** What its records are written in; Avro where nothing is said. A stream keeps its format. */
  readonly format?: StreamFormat;
  readonly partitions: number;
  /** Who keeps repeats out: the transactional source, or Spark (for topics that others write). */
  readonly duplicates: "source" | "engine";
  /** How far a record's event time may lie behind the newest one's. */
  readonly lateness_ms: number;
  /** How far a record's event time may lead its own clock. */
  readonly lead_ms: number;
}

/** Sliding windows over event time, start inclusive, end exclusive, and what each knows of its fields. */
export interface Windows<S extends string = string> {
  /** The stream they are of, and so all that comes of windows; the one called `raw`, or the only one, where nothing is said. */
  readonly reads?: S;
  /**
   * The attribute of that stream whose value a window is of: text, a word of a list or a whole number that no record is without.
   * The key where nothing is said. History, forecasts and the API are then of what the value names.
   */
  readonly by?: string;
  readonly size_ms: number;
  readonly slide_ms: number;
  readonly features: Readonly<Record<string, readonly FeatureKind[]>>;
  readonly resources: {
    readonly cores: number;
    readonly driver_memory: string;
    readonly executor_memory: string;
    readonly trigger_ms: number;
    readonly rejects_trigger_ms: number;
    /** Memory for thousands of stations at low latency, RocksDB for more. */
    readonly state_store: "memory" | "rocksdb";
    readonly shuffle_partitions: number;
  };
}

/** The ring of cells behind the lags. `values` are the feature columns a cell keeps; lags count in steps. */
export interface History {
  readonly cell_ms: number;
  readonly step_ms: number;
  readonly lags: readonly number[];
  readonly depth_ms: number;
  readonly values: readonly string[];
}

/**
 * `targets` are fields; the truth of one is its window mean. `quantiles` are what the model's heads learn, `bands` the
 * shares of outcomes that the central intervals around the median are meant to hold.
 */
export interface Forecast {
  readonly targets: readonly string[];
  /** Whole multiples of a quarter of an hour. */
  readonly horizons_ms: readonly number[];
  readonly quantiles: readonly number[];
  /**
   * What a forecast reads of other stations: in each of four sectors (north, east, south, west of the station) the
   * `per_sector` nearest with a place on the map, none further than `reach_km`; their targets as-of now and `lags`
   * steps ago. Null: a station is forecast from itself alone.
   */
  readonly neighbours: {
    readonly per_sector: number;
    readonly reach_km: number;
    readonly lags: readonly number[];
  } | null;
  readonly bands: readonly number[];
  /**
   * What else the heads see: named functions of the domain, each over columns of `history.values` and the words `latitude`,
   * `longitude`, `elevation_m` (of the station) and `t_ms`, in the order of its parameters. One of values is made for now and
   * for a few lags, as changes; one of time (and place) for now, half way to each horizon and at it.
   */
  readonly derived: readonly Derived[];
  readonly actors: number;
  /** Consumer group of the actors where its users have a name for it; else `ray-<pipeline>-inference`. */
  readonly group?: string;
}

/** Rules that explain themselves: `step` is the largest credible change of a window mean within `within_ms`. */
export interface Anomaly {
  /** What a verdict calls a true happening that neighbours confirm: no fault of a sensor. */
  readonly event: string;
  readonly steps: Readonly<Record<string, { readonly change: number; readonly within_ms: number }>>;
  /**
   * Where a target can come to stand when a sensor's datum changes, inclusive, in the field's unit. A sensor that goes
   * elsewhere is at fault for as long as it stays; one that always stood there is not. Without a range of its own a target
   * may come to stand anywhere.
   */
  readonly datums: Readonly<Record<string, readonly [number, number]>>;
}

/**
 * One place where people hear of anomalies: a message when one opens, one when it is resolved. `slack`: a URL that takes Slack's body,
 * `{"text": …}`, as others do too; `json`: one that takes the whole record.
 */
export interface AlertTarget {
  /** Lower-case letters, digits and hyphens, each once: its place in the topic goes by it. */
  readonly name: string;
  readonly kind: "slack" | "json";
  /** `secret:NAME`, looked up in the file of MILLRACE_SECRETS: whoever has such a URL can write there. */
  readonly url: string;
  /** The least severity, 0 to 1, that is told of. */
  readonly severity: number;
  /** Types that are told of; all where nothing is said. */
  readonly types?: readonly string[];
}

/**
 * Where a query's results go. `place`: a folder of this machine or a URL (`hdfs:`), below which the results lie by namespace and
 * query; beside the namespace's other tables where nothing is said. A topic is called as its query is.
 */
export type Sink =
  | { readonly kind: "delta" | "json_lines" | "parquet"; readonly place?: string }
  | { readonly kind: "kafka"; readonly partitions: number }
  /**
   * Several tables of one run, which readers see together: the function returns a frame for each of these names. Beside the
   * pipeline's lines, below `<their place>/<folder>`.
   */
  | { readonly kind: "versions"; readonly folder: string; readonly tables: readonly string[] };

interface AnyQuery<S extends string> {
  /** Lower-case letters, digits and underscores: its job is `<pipeline>-<name>`. */
  readonly name: string;
  /** One sentence for people. */
  readonly summary: string;
  /** `<module>.<function>` in jobs/pyspark/spark_jobs/queries: a frame of observations to a frame of results. */
  readonly function: string;
  /** The stream whose accepted observations it sees. */
  readonly reads: S;
  readonly sink: Sink;
  /** Of its driver, its executor and its shuffles; a core and a modest memory where nothing is said. */
  readonly resources?: {
    readonly cores: number;
    readonly driver_memory: string;
    readonly executor_memory: string;
    readonly shuffle_partitions: number;
  };
}

/** A query that follows its stream. */
export interface StreamQuery<S extends string = string> extends AnyQuery<S> {
  readonly trigger_ms: number;
  /** Raised where a changed function cannot go on with the state of the old one: it then begins with none. */
  readonly version?: number;
}

/**
 * A query that runs when it is due: over `span_ms` of event time up to the last whole multiple of `step_ms` at or before the due
 * time. A run takes the place of an earlier one over the same range.
 */
export interface ScheduledQuery<S extends string = string> extends AnyQuery<S> {
  /** Five fields of cron, UTC. */
  readonly schedule: string;
  readonly span_ms: number;
  readonly step_ms: number;
  /** Whether the range begins with the first moment of its UTC day: of a span of a day, yesterday to now. */
  readonly from_midnight?: true;
  /** Where the observations are read: from the topic, or from the pipeline's lines, which reach further back. */
  readonly of?: "topic" | "lines";
}

export type Query<S extends string = string> = StreamQuery<S> | ScheduledQuery<S>;

/** Every committed record of one stream in Delta. */
export interface Archive<S extends string = string> {
  /** Which one; with windows theirs, else the one called `raw`, or the only one, where nothing is said. */
  readonly reads?: S;
  /** How often what has come is written. A batch takes a core for about a second. */
  readonly trigger_ms: number;
}

/** Live feeds that there is a reader of (ts/source/feeds). */
export const FEED_NAMES = ["open-meteo", "nws", "openweathermap", "gtfs-rt"] as const;
export type FeedName = (typeof FEED_NAMES)[number];

/** A live feed that is asked again and again, a supervised job of its own: `<pipeline>-<name of the source>`. */
export interface Source<S extends string = string> {
  readonly feed: FeedName;
  /** The stream it is sent to; the usual one where nothing is said. */
  readonly stream?: S;
  /**
   * What is asked for, by the key its observations get: `"52.52,13.41"`, a station's code (nws), a URL (gtfs-rt). All of `stations`
   * that have a place on the map where nothing is said.
   */
  readonly places?: Readonly<Record<string, string>>;
  /** How often; as the feed says where nothing is. Its quota may make it less often. */
  readonly every_ms?: number;
  /** Where it is, if not at its provider. */
  readonly url?: string;
  /** Its key, `secret:NAME`, looked up in the file of MILLRACE_SECRETS. */
  readonly key?: string;
  /** Whether a bare submit starts it. Not beside the replay of a past: a pipeline in a namespace has one time line. */
  readonly standard: boolean;
}

/**
 * Every accepted record of one stream as JSON Lines by hour of event time, `<place>/raw/year=…/month=…/day=…/<prefix>_HH00.jsonl`: what
 * people and programs without Kafka read. An hour is closed, and its file does not change any more, once every partition is past it
 * by the stream's lateness.
 */
export interface Lines<S extends string = string> {
  /** Which one; with windows theirs, else the one called `raw`, or the only one, where nothing is said. */
  readonly reads?: S;
  /** A folder of an HDFS, `hdfs:/folder`. A namespace with a name has one of its own beside it, `<folder>-<namespace>`. */
  readonly place: string;
  /** How the files of an hour begin. */
  readonly prefix: string;
  /** So many records are written at once; fewer after a second. */
  readonly batch_records: number;
}

/**
 * Made-up answers in the form of a live feed, of every station that has a place on the map: for where nobody has access to the feed. A
 * contract with a field `simulated` has every record say so.
 */
export interface Simulated<S extends string = string> {
  readonly form: "openweathermap";
  /** The stream it is sent to; the usual one where nothing is said. */
  readonly stream?: S;
  readonly every_ms: number;
  /** Another one makes other values. */
  readonly seed: number;
}

/** The HTTP API and the page. */
export interface Serve {
  /** Wall time without any forecast before all stations are called stale. */
  readonly silent_ms: number;
  /**
   * Paths of the domain's own routes, in OpenAPI's form: `/api/buses/{bus_id}`. Each is answered there and below the pipeline's
   * name; `ts/serve/domain.ts` says by which module.
   */
  readonly routes?: readonly string[];
}

/** What `millrace demo` shows of a pipeline: observations that pass faster than they did, from a file or made up. */
export interface Demo {
  /**
   * A file, from the root of the checkout; of a pipeline elsewhere, from its own folder. Null for the values of the part `simulated`,
   * which begin at yesterday's midnight, UTC, and go on at their own pace once they have come to now.
   */
  readonly sample: string | null;
  /**
   * Event time at which the stream begins, epoch ms; with a forecast, what lies before it is backfilled and trained on, so that
   * nothing the stream forecasts was seen in training. Null streams the whole file, and trains on nothing.
   */
  readonly from_ms: number | null;
  /** Event time that passes in one second. */
  readonly speed: number;
  /** The key whose forecast is waited for and shown. */
  readonly show?: string;
  /** Without a forecast: the path of the API whose first answer is waited for and shown. */
  readonly path?: string;
  /** A batch with a schedule that is run once the values have come to now, so that nobody waits for the next full hour. */
  readonly batch?: string;
  /** A smaller model than `millrace train` makes of itself: what a person waits for. */
  readonly training?: {
    readonly trees: number;
    readonly leaves: number;
    readonly learning_rate: number;
    readonly sample_every: number;
  };
  /** Commands that show what there is now, for the end. */
  readonly closing: readonly string[];
}

/** `S`: names of its streams, which its parts read by. */
export interface Pipeline<S extends string = string> {
  readonly name: string;
  /** What one key, or one value that windows are by, names, in the domain's word: "station". Without one, the field's own name. */
  readonly entity?: string;
  /** By name: lower-case letters, digits and underscores. */
  readonly streams: Readonly<Record<S, Stream>>;
  readonly windows?: Windows<S>;
  readonly history?: History;
  readonly forecast?: Forecast;
  readonly anomaly?: Anomaly;
  /** Who is told of anomalies. */
  readonly alerts?: readonly AlertTarget[];
  /** Names and places, by key. */
  readonly stations?: Readonly<Record<string, Station>>;
  readonly archive?: Archive<S>;
  /** Live feeds by name: lower-case letters, digits and underscores. No part: what is computed does not depend on them. */
  readonly sources?: Readonly<Record<string, Source<S>>>;
  readonly lines?: Lines<S>;
  readonly simulated?: Simulated<S>;
  /** The domain's own Spark work, one job each. */
  readonly queries?: readonly Query<S>[];
  readonly serve?: Serve;
  /** No part of the line: it brings nothing but the command. */
  readonly demo?: Demo;
}

/** Fixes the literal types of a definition without widening them. A part may read only a stream that is there. */
export function definePipeline<const P extends Pipeline>(
  pipeline: P & Pipeline<keyof P["streams"] & string>,
): P {
  return pipeline;
}
