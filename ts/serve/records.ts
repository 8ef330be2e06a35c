// What the API reads, as types: the parts of the contract it needs and the records of the topics it follows.
// Structural on purpose: the generated contract and the decoded Avro records of any pipeline fit. Holds no logic.

import type { PartName } from "../pipelines/index.ts";

/** The part of a generated contract that the API speaks about. */
export interface ServedContract {
  readonly pipeline: string;
  readonly parts: readonly PartName[];
  /** What a forecast is of, in the domain's word. */
  readonly entity: string;
  /** Field that names the station: `station_id`. */
  readonly key: string;
  /** The attribute that names it instead, where windows are by one. */
  readonly by?: string;
  readonly fields: readonly {
    readonly name: string;
    readonly role: string;
    readonly quantity?: string | null;
    readonly unit: string | null;
    /** Of a direction: the field of what has it. */
    readonly magnitude?: string;
    /** What the quantity can be, null at an open end: no forecast lies beyond it. */
    readonly support: readonly [number | null, number | null] | null;
  }[];
  /** Columns of a feature record with the field each is of and its unit, a field's most telling one first. */
  readonly features: readonly { readonly column: string; readonly field: string; readonly unit: string }[];
  /** Feature columns that the history holds; they come first among a station's latest values (forecast.ts, valueColumns). */
  readonly history_values: readonly string[];
  readonly step_ms: number;
  readonly window_ms: number;
  /** How far an observation may lead its clock. */
  readonly lead_ms: number;
  readonly targets: readonly string[];
  readonly horizons_ms: readonly number[];
  /** Shares of outcomes the intervals are meant to hold, narrowest first. */
  readonly bands: readonly number[];
  readonly stations: Readonly<
    Record<
      string,
      {
        readonly name: string;
        readonly latitude: number | null;
        readonly longitude: number | null;
        readonly elevation_m: number | null;
      }
    >
  >;
}

/** Where a record was read. `append_time_ms` is the broker's LogAppendTime: wall time, UTC. */
export interface Arrival {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly append_time_ms: number;
}

/** A record of `<pipeline>-predictions`, apart from its key field, whose name the contract knows. */
export interface PredictionRecord {
  readonly id: string;
  /** The window's end, epoch ms. */
  readonly timestamp: number;
  readonly window_start: number;
  readonly plan_epoch: number;
  readonly revision: number;
  readonly model_version: string;
  readonly arm: string;
  readonly predictions: Readonly<Record<string, number | null>>;
  /** An inner level is null in records from before it was there. */
  readonly quantiles: Readonly<Record<string, Readonly<Record<string, number | null>> | null>>;
  /** Only of a pipeline with rules. */
  readonly anomaly?: {
    readonly is_anomaly: boolean;
    readonly anomaly_score: number;
    readonly anomaly_type: string | null;
    readonly evidence: readonly string[];
    readonly method: string;
  };
  readonly confidence: Readonly<Record<string, number>>;
  readonly in_sample: boolean;
  readonly provenance: Readonly<Record<string, unknown>>;
  /** Epoch ms by stage. */
  readonly stages: Readonly<Record<string, number>>;
  /** What is usual at the valid times; absent in records from before it was there. */
  readonly climatology?: Readonly<
    Record<string, { readonly mean: number; readonly lower: number; readonly upper: number } | null>
  > | null;
}

/** A record of `<pipeline>-verifications`, apart from its key field. Times are event time, epoch ms. */
export interface VerificationRecord {
  readonly id: string;
  readonly forecast_id: string;
  readonly target: string;
  readonly unit: string;
  readonly horizon_h: number;
  readonly issued: number;
  readonly valid: number;
  readonly judged: number;
  readonly status: string;
  readonly truth: number | null;
  readonly truth_window_end: number | null;
  /** With `covered_<percent>` for each band. */
  readonly model: {
    readonly value: number;
    readonly error: number | null;
    readonly pinball: number | null;
    readonly width: number;
    readonly winkler: number | null;
    readonly [covered: string]: number | boolean | null;
  };
  readonly persistence: { readonly value: number | null; readonly error: number | null };
  readonly dap: { readonly value: number | null; readonly error: number | null };
  readonly model_version: string;
  readonly arm: string;
  readonly in_sample: boolean;
}

/** A record of `<pipeline>-features`; its columns are named by the contract. */
export interface FeatureRecord {
  readonly window_start: number;
  readonly window_end: number;
  readonly plan_epoch: number;
  readonly revision: number;
  readonly measurement_count: number;
  readonly [column: string]: unknown;
}

/** A record of `job-progress`. */
export interface ProgressRecord {
  readonly job: string;
  readonly submission: string;
  readonly state: string;
  /** Wall time, epoch ms. */
  readonly timestamp: number;
  readonly error_code: string | null;
  readonly message: string | null;
  readonly counters: Readonly<Record<string, number>>;
}

/** The part of a `<pipeline>-rejects` record that is counted. */
export interface RejectRecord {
  readonly reason: string;
}
