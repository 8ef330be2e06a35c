// Everything the API knows, as Prometheus text: jobs' own counters, engines, stations, the feed, consumer lag, HTTP.
// Gauges are filled when they are asked for; only counts and latencies are kept between two scrapes. Decides nothing.

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { EngineProbe, FeedState } from "./health.ts";
import type { Latest, Outcome } from "./latest.ts";
import type { EventTime } from "./routes/health.ts";
import type { JobRow } from "./routes/jobs.ts";
import type { Verified } from "./verified.ts";

/** One partition of one consumer group: records between the committed offset and the end. */
export interface GroupLag {
  readonly group: string;
  readonly topic: string;
  readonly partition: number;
  readonly lag: number;
}

/** What is known of one pipeline. */
interface PipelineState {
  readonly name: string;
  readonly latest: Latest;
  readonly verified: Verified;
  readonly feed: FeedState;
  readonly event_time: EventTime;
}

/** Series per station stop here: a label per station is for networks, not for fleets. */
const STATION_SERIES_MAX = 2_000;
/** Counters a job may name; beyond it new names are left out, so that a job cannot fill the registry. */
const JOB_METRICS_MAX = 200;

const STATES = ["waiting", "running", "succeeded", "failed", "stopped", "unknown"] as const;

export class Metrics {
  readonly registry = new Registry();
  readonly #jobGauges = new Map<string, Gauge<"job">>();
  readonly #http: Histogram<"method" | "route" | "status">;
  readonly #latency: Histogram;
  readonly #records: Counter<"topic" | "outcome">;
  readonly #rejects: Counter<"reason">;
  readonly #judged: Counter<"pipeline">;
  readonly #flagged: Counter<"pipeline" | "station" | "type">;
  /** Stations that have a series of flagged windows. */
  readonly #flaggedStations = new Set<string>();
  readonly #gauge = (name: string, help: string, labelNames: string[] = []) =>
    new Gauge({ name, help, labelNames, registers: [this.registry] });
  readonly #jobState: Gauge;
  readonly #jobHeartbeat: Gauge;
  readonly #engineUp: Gauge;
  readonly #stationAge: Gauge;
  readonly #stationBehind: Gauge;
  readonly #stationStale: Gauge;
  readonly #stations: Gauge;
  readonly #frontier: Gauge;
  readonly #ahead: Gauge;
  readonly #feedLag: Gauge;
  readonly #caughtUp: Gauge;
  readonly #groupLag: Gauge;
  readonly #pairs: Gauge;
  readonly #mae: Gauge;
  readonly #coverage: Gauge;
  readonly #skill: Gauge;
  readonly #width: Gauge;

  constructor() {
    const registers = [this.registry];
    collectDefaultMetrics({ register: this.registry });
    this.#http = new Histogram({
      name: "millrace_http_request_duration_seconds",
      help: "Time to answer a request, by route pattern.",
      labelNames: ["method", "route", "status"],
      buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5],
      registers,
    });
    this.#latency = new Histogram({
      name: "millrace_prediction_latency_seconds",
      help: "From the append of the newest raw record of a window to the commit of its prediction; live records only.",
      buckets: [0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60, 300],
      registers,
    });
    this.#records = new Counter({
      name: "millrace_feed_records_total",
      help: "Records this process read since it started, by what became of them.",
      labelNames: ["topic", "outcome"],
      registers,
    });
    this.#rejects = new Counter({
      name: "millrace_rejects_total",
      help: "Rejected records this process has seen, by reason: those retained at its start and all since.",
      labelNames: ["reason"],
      registers,
    });
    this.#judged = new Counter({
      name: "millrace_windows_judged_total",
      help: "Windows with a verdict that this process has seen, each version of one.",
      labelNames: ["pipeline"],
      registers,
    });
    this.#flagged = new Counter({
      name: "millrace_windows_flagged_total",
      help: "Those of them that were flagged, by station and type of anomaly.",
      labelNames: ["pipeline", "station", "type"],
      registers,
    });
    this.#jobState = this.#gauge("millrace_job_state", "1 for the state a job is in.", ["job", "state"]);
    this.#jobHeartbeat = this.#gauge("millrace_job_heartbeat_age_seconds", "Since a job last reported.", [
      "job",
    ]);
    this.#engineUp = this.#gauge("millrace_engine_up", "1 when the engine answers.", ["engine"]);
    this.#stationAge = this.#gauge(
      "millrace_station_age_seconds",
      "Wall time since the commit of a station's newest prediction.",
      ["pipeline", "station"],
    );
    this.#stationBehind = this.#gauge(
      "millrace_station_behind_seconds",
      "Event time between a station's newest window and the network's.",
      ["pipeline", "station"],
    );
    this.#stationStale = this.#gauge("millrace_station_stale", "1 when a station is stale.", [
      "pipeline",
      "station",
    ]);
    this.#stations = this.#gauge("millrace_stations", "Stations with a prediction in memory.", ["pipeline"]);
    this.#frontier = this.#gauge(
      "millrace_event_time_frontier_seconds",
      "Newest window end of the network, event time, seconds since 1970.",
      ["pipeline"],
    );
    this.#ahead = this.#gauge(
      "millrace_event_time_ahead_seconds",
      "How far the newest window or the watermark lies after the wall clock; 0 for a replay of the past.",
      ["pipeline"],
    );
    this.#feedLag = this.#gauge("millrace_feed_lag", "Records this process has yet to read.", ["topic"]);
    this.#caughtUp = this.#gauge("millrace_feed_caught_up", "1 once this process read up to the end it met.");
    this.#groupLag = this.#gauge(
      "millrace_consumer_lag",
      "Records between a consumer group's committed offset and the end; commit markers may leave it above 0.",
      ["group", "topic", "partition"],
    );
    const of = ["pipeline", "target", "horizon_h", "window"];
    this.#pairs = this.#gauge(
      "millrace_verification_forecasts",
      "Forecasts of the last hours of event time, by what their verification said.",
      [...of, "status"],
    );
    this.#mae = this.#gauge(
      "millrace_verification_mae",
      "Mean absolute error in the target's unit, of the model and its baselines.",
      [...of, "unit", "source"],
    );
    this.#coverage = this.#gauge(
      "millrace_verification_coverage_ratio",
      "Share of truths inside a band, by the share it is meant to hold in percent.",
      [...of, "band"],
    );
    this.#skill = this.#gauge(
      "millrace_verification_skill_ratio",
      "1 - MAE / MAE of the baseline on the same pairs.",
      [...of, "against"],
    );
    this.#width = this.#gauge(
      "millrace_verification_width",
      "Mean width of the widest band in the target's unit.",
      [...of, "unit"],
    );
  }

  answered(method: string, route: string, status: number, seconds: number): void {
    this.#http.observe({ method, route, status: String(status) }, seconds);
  }

  /** `outcome` is the store's word, or `undecodable`. */
  read(topic: string, outcome: Outcome | "undecodable" | "counted"): void {
    this.#records.inc({ topic, outcome });
  }

  rejected(reason: string): void {
    this.#rejects.inc({ reason });
  }

  /** `type` is that of an anomaly, null for a window as usual. */
  judged(pipeline: string, station: string, type: string | null): void {
    this.#judged.inc({ pipeline });
    if (type === null) return;
    const series = `${pipeline} ${station}`;
    if (!this.#flaggedStations.has(series) && this.#flaggedStations.size >= STATION_SERIES_MAX) return;
    this.#flaggedStations.add(series);
    this.#flagged.inc({ pipeline, station, type });
  }

  predicted(latency_ms: number): void {
    this.#latency.observe(Math.max(0, latency_ms) / 1000);
  }

  /** The text of one scrape. */
  async text(
    at: {
      readonly pipelines: readonly PipelineState[];
      readonly jobs: readonly JobRow[];
      readonly engines: readonly EngineProbe[];
      readonly lags: readonly GroupLag[];
    },
    now_ms: number,
  ): Promise<string> {
    for (const gauge of [
      this.#jobState,
      this.#jobHeartbeat,
      this.#engineUp,
      this.#stationAge,
      this.#stationBehind,
      this.#stationStale,
      this.#feedLag,
      this.#groupLag,
      this.#pairs,
      this.#mae,
      this.#coverage,
      this.#skill,
      this.#width,
      ...this.#jobGauges.values(),
    ])
      gauge.reset();
    for (const row of at.jobs) {
      for (const state of STATES) this.#jobState.set({ job: row.name, state }, row.state === state ? 1 : 0);
      if (!row.heartbeat) continue;
      this.#jobHeartbeat.set({ job: row.name }, row.heartbeat.age_s);
      for (const [counter, value] of Object.entries(row.heartbeat.counters))
        this.#jobGauge(counter)?.set({ job: row.name }, value);
    }
    // An optional engine that nobody started has no line: 0 would be an alarm.
    for (const engine of at.engines)
      if (!engine.off) this.#engineUp.set({ engine: engine.name }, engine.up ? 1 : 0);
    let series = 0;
    for (const { name: pipeline, latest, event_time, feed, verified } of at.pipelines) {
      let stations = 0;
      for (const id of latest.ids()) {
        const state = latest.get(id);
        const age = state && latest.age(state, now_ms);
        if (!age) continue;
        stations++;
        if (++series > STATION_SERIES_MAX) continue;
        this.#stationAge.set({ pipeline, station: id }, age.age_s);
        this.#stationBehind.set({ pipeline, station: id }, age.behind_s);
        this.#stationStale.set({ pipeline, station: id }, age.stale ? 1 : 0);
      }
      this.#stations.set({ pipeline }, stations);
      if (latest.frontier_ms !== null) this.#frontier.set({ pipeline }, latest.frontier_ms / 1000);
      this.#ahead.set({ pipeline }, event_time.ahead_s);
      for (const topic of feed.topics) this.#feedLag.set({ topic: topic.topic }, topic.lag);
      this.#verified(pipeline, verified);
    }
    this.#caughtUp.set(at.pipelines.every(({ feed }) => feed.caught_up) ? 1 : 0);
    for (const { group, topic, partition, lag } of at.lags)
      this.#groupLag.set({ group, topic, partition: String(partition) }, lag);
    return this.registry.metrics();
  }

  /** What is not known is left out: a gauge has no null. */
  #verified(pipeline: string, verified: Verified): void {
    for (const score of verified.scores({ station: null, target: null, horizon_h: null })) {
      const { target, horizon_h, window, unit } = score;
      const of = { pipeline, target, horizon_h: String(horizon_h), window };
      const set = (gauge: Gauge, labels: Record<string, string>, value: number | null) => {
        if (value !== null) gauge.set({ ...of, ...labels }, value);
      };
      for (const status of ["unverifiable", "in_sample"] as const)
        this.#pairs.set({ ...of, status }, score[status]);
      this.#pairs.set({ ...of, status: "verified" }, score.pairs);
      set(this.#mae, { unit, source: "model" }, score.mae);
      set(this.#mae, { unit, source: "persistence" }, score.persistence_mae);
      set(this.#mae, { unit, source: "dap" }, score.dap_mae);
      set(this.#skill, { against: "persistence" }, score.skill_persistence);
      set(this.#skill, { against: "dap" }, score.skill_dap);
      set(this.#width, { unit }, score.width);
      for (const [band, share] of Object.entries(score.coverage)) set(this.#coverage, { band }, share);
    }
  }

  /** A job's counter under a name of its own: `batch_ms` of any job is `millrace_job_batch_ms`. */
  #jobGauge(counter: string): Gauge<"job"> | null {
    const name = `millrace_job_${counter.replaceAll(/[^a-zA-Z0-9_]/g, "_")}`;
    const held = this.#jobGauges.get(name);
    if (held) return held;
    if (this.#jobGauges.size >= JOB_METRICS_MAX || this.registry.getSingleMetric(name)) return null;
    const gauge = new Gauge({
      name,
      help: `"${counter.replaceAll(/[^\x20-\x7e]/g, "?")}" as the job last reported it.`,
      labelNames: ["job"] as const,
      registers: [this.registry],
    });
    this.#jobGauges.set(name, gauge);
    return gauge;
  }
}
