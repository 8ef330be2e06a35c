// The newest prediction and the newest feature row of every station, in memory. Sits between the feed and the routes.
// Keeps one record of each kind a station and nothing older: history belongs to a store, not here.

import { isAhead } from "../contract/index.ts";
import type { Arrival, FeatureRecord, PredictionRecord } from "./records.ts";
import type { Forecast } from "./routes/prediction.ts";
import { isServable } from "./station_id.ts";

/**
 * When a station counts as stale. Two clocks, never mixed:
 * - event time: its newest window ends more than `trail_ms` before the newest window of the network.
 *   A replay of 2017 is fresh as long as its stations keep up with each other.
 * - wall time: no station at all got a prediction for more than `silent_ms`. Then every station is stale.
 * Both limits are exclusive: exactly at the limit is still fresh.
 */
export interface StaleRule {
  readonly trail_ms: number;
  readonly silent_ms: number;
}

type Age = Pick<Forecast, "age_s" | "behind_s" | "stale" | "stale_reason">;

export interface LatestEntry<T> {
  readonly record: T;
  readonly arrival: Arrival;
}

export interface StationState {
  readonly station_id: string;
  prediction: LatestEntry<PredictionRecord> | null;
  features: LatestEntry<FeatureRecord> | null;
}

/**
 * `newest` replaced what was held, `older` did not, `refused` met the bound on stations or on the length of an id, `ahead`
 * speaks of the future.
 */
export type Outcome = "newest" | "older" | "refused" | "ahead";

/** Of a contract with windows of some minutes, whose observations may lead by an hour. */
const AHEAD_MS = 3 * 3_600_000;

/**
 * Order of two versions of one station: window end, then plan epoch, then revision, then offset.
 * The offset decides between equals (one model after another over the same row) and makes the order total:
 * a station's records share a partition.
 */
export function isNewer(a: readonly number[], b: readonly number[]): boolean {
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i] ?? 0, b[i] ?? 0];
    if (x !== y) return x > y;
  }
  return false;
}

const predictionVersion = ({ record, arrival }: LatestEntry<PredictionRecord>) => [
  record.timestamp,
  record.plan_epoch,
  record.revision,
  arrival.offset,
];
const featureVersion = ({ record, arrival }: LatestEntry<FeatureRecord>) => [
  record.window_end,
  record.plan_epoch,
  record.revision,
  arrival.offset,
];

export class Latest {
  readonly rule: StaleRule;
  /** More stations than this are refused and counted: memory is bounded by it. */
  readonly stations_max: number;
  /** How far a window may end after the append of its record. */
  readonly ahead_ms: number;
  readonly #stations = new Map<string, StationState>();
  /** Two of one process never meet another's. */
  readonly #from = Math.floor(performance.timeOrigin + performance.now()).toString(36);
  #changes = 0;
  #frontier_ms: number | null = null;
  #committed_ms: number | null = null;
  /** By the source that says so: how long it may bring nothing new. */
  readonly #patience = new Map<string, number>();

  constructor(rule: StaleRule, stations_max = 100_000, ahead_ms = AHEAD_MS) {
    this.rule = rule;
    this.stations_max = stations_max;
    this.ahead_ms = ahead_ms;
  }

  /** Newest window end of any station, event time; null before the first prediction. */
  get frontier_ms(): number | null {
    return this.#frontier_ms;
  }

  predicted(station_id: string, record: PredictionRecord, arrival: Arrival): Outcome {
    if (isAhead(record.timestamp, arrival.append_time_ms, this.ahead_ms)) return "ahead";
    const state = this.#state(station_id);
    if (!state) return "refused";
    this.#frontier_ms = Math.max(this.#frontier_ms ?? record.timestamp, record.timestamp);
    this.#committed_ms = Math.max(this.#committed_ms ?? arrival.append_time_ms, arrival.append_time_ms);
    const held = { record, arrival };
    if (state.prediction && !isNewer(predictionVersion(held), predictionVersion(state.prediction)))
      return "older";
    state.prediction = held;
    this.#changes++;
    return "newest";
  }

  observed(station_id: string, record: FeatureRecord, arrival: Arrival): Outcome {
    if (isAhead(record.window_end, arrival.append_time_ms, this.ahead_ms)) return "ahead";
    const state = this.#state(station_id);
    if (!state) return "refused";
    const held = { record, arrival };
    if (state.features && !isNewer(featureVersion(held), featureVersion(state.features))) return "older";
    state.features = held;
    this.#changes++;
    return "newest";
  }

  /** Another text whenever something else is known of any station, ages apart. */
  stateAt(now_ms: number): string {
    return `${this.#from}.${this.#changes}.${this.#silent(now_ms) ? 1 : 0}`;
  }

  get(station_id: string): StationState | undefined {
    return this.#stations.get(station_id);
  }

  /** Ids of all stations heard of, in no order. */
  ids(): IterableIterator<string> {
    return this.#stations.keys();
  }

  /** A live source says how long it may bring nothing new; null takes its word back. The longest one counts. */
  expectWithin(source: string, within_ms: number | null): void {
    if (within_ms === null) this.#patience.delete(source);
    else this.#patience.set(source, within_ms);
  }

  /** Null for a station without a prediction. A broker whose clock leads ours reads as age 0, not as a negative age. */
  age(state: StationState, now_ms: number): Age | null {
    if (!state.prediction || this.#frontier_ms === null || this.#committed_ms === null) return null;
    const { record, arrival } = state.prediction;
    const behind_ms = this.#frontier_ms - record.timestamp;
    const silent = this.#silent(now_ms);
    const trails = behind_ms > this.rule.trail_ms;
    return {
      age_s: Math.max(0, now_ms - arrival.append_time_ms) / 1000,
      behind_s: behind_ms / 1000,
      stale: silent || trails,
      stale_reason: silent ? "network_silent" : trails ? "trails_network" : null,
    };
  }

  /** Since when no station at all got a prediction, wall time; null while that is not too long ago. */
  silentSince(now_ms: number): number | null {
    return this.#silent(now_ms) ? this.#committed_ms : null;
  }

  #silent(now_ms: number): boolean {
    const silent_ms = Math.max(this.rule.silent_ms, ...this.#patience.values());
    return this.#committed_ms !== null && now_ms - this.#committed_ms > silent_ms;
  }

  #state(station_id: string): StationState | null {
    let state = this.#stations.get(station_id);
    if (!state) {
      if (this.#stations.size >= this.stations_max || !isServable(station_id)) return null;
      state = { station_id, prediction: null, features: null };
      this.#stations.set(station_id, state);
    }
    return state;
  }
}
