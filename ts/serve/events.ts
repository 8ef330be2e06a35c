// What a record becomes on the stream: one event for most, two for a prediction from a flagged window; and what else is told there.
// Schemas and shapes alike; stream.ts carries them. Pure.

import { isAhead } from "../contract/index.ts";
import type { KafkaRecord } from "../kafka/kafka.ts";
import { entityKey } from "../pipelines/index.ts";
import type { Served } from "./effects.ts";
import type { FeedKind } from "./feed.ts";
import { iso, VERDICT, valueUnits } from "./forecast.ts";
import type { FeatureRecord, PredictionRecord, ProgressRecord, VerificationRecord } from "./records.ts";
import { Alerts } from "./routes/alerts.ts";
import { Health } from "./routes/health.ts";
import { componentOf } from "./routes/pipeline.ts";
import { forecastBody, forecastSchema } from "./routes/prediction.ts";
import { observedBody, observedSchema } from "./routes/stations.ts";
import { System } from "./routes/system.ts";
import { verificationRow, verificationSchema } from "./routes/verifications.ts";
import { map, nullable, said, text, time, z } from "./schema.ts";
import { isServable } from "./station_id.ts";

/** Kinds of events, and how each is called. */
export const EVENT_KINDS = [
  ...(["prediction", "verification", "anomaly", "job", "health", "alerts"] as const),
  ...(["observation", "system"] as const),
] as const;
export type EventKind = (typeof EVENT_KINDS)[number];
/** What comes only to whoever names it: observations are as many again as predictions, and the system is told every two seconds. */
const NAMED: readonly EventKind[] = ["observation", "system"];
/** What comes when nothing is asked. */
export const USUAL_KINDS: readonly EventKind[] = EVENT_KINDS.filter((kind) => !NAMED.includes(kind));

/** Topics whose records become events. */
export const STREAMED: readonly FeedKind[] = ["predictions", "verifications", "progress", "features"];

/** What becomes of a topic's records. */
export const KINDS_OF: Readonly<Partial<Record<FeedKind, readonly EventKind[]>>> = {
  predictions: ["prediction", "anomaly"],
  verifications: ["verification"],
  progress: ["job"],
  features: ["observation"],
};

const JobEvent = z
  .object({
    job: text("Name of the job."),
    submission: text("Its submission at the engine."),
    state: text("The job's own view of itself."),
    at: time("When it spoke, wall time."),
    error_code: nullable(text("A symbol of error_code.")),
    message: nullable(text("One sentence.")),
    counters: map(z.number(), "Counts and gauges; the unit is last in the name."),
  })
  .openapi("JobEvent");

const anomalyEvent = z
  .object({
    pipeline: text("Name of the pipeline."),
    station_id: text("The station."),
    prediction_id: text("Identity of the prediction that carries the verdict."),
    window_start: time("Start of the flagged window, event time."),
    timestamp: time("End of the flagged window, event time."),
    ...VERDICT,
    method: text("What judged."),
  })
  .openapi("AnomalyEvent");

/** What stands behind `data:` of the events of some pipelines, any of these. */
export function eventSchema(pipelines: readonly Served[], confidence: string) {
  const observing = pipelines
    .filter(({ contract }) => contract.parts.includes("windows"))
    .map(({ contract }) =>
      z
        .object({
          pipeline: text("Name of the pipeline."),
          station_id: text("The station."),
          observed: observedSchema(contract),
        })
        .openapi(componentOf(contract, "ObservationEvent")),
    );
  const forecasting = pipelines.filter(({ contract }) => contract.parts.includes("forecast"));
  const own = forecasting.flatMap(({ contract }) => {
    const common = { pipeline: text("Name of the pipeline."), station_id: text("The station.") };
    return [
      z
        .object({ ...common, prediction: forecastSchema(contract, confidence) })
        .openapi(componentOf(contract, "PredictionEvent")),
      z
        .object({ ...common, verification: verificationSchema(contract) })
        .openapi(componentOf(contract, "VerificationEvent")),
    ];
  });
  return said(
    z.union([JobEvent, anomalyEvent, Health, Alerts, System, ...own, ...observing]),
    "JSON behind `data:` of one event, by its name in `event:`.",
  );
}

/** One event before it is written. */
export interface StreamEvent {
  readonly kind: EventKind;
  readonly pipeline: string | null;
  readonly station: string | null;
  /** The lines of the event, without its id. */
  readonly lines: string;
}

function event(kind: EventKind, pipeline: string | null, station: string | null, data: object): StreamEvent {
  // JSON has no line breaks of its own, so one line of data holds it.
  return { kind, pipeline, station, lines: `event: ${kind}\ndata: ${JSON.stringify(data)}\n` };
}

/** What is told of the whole, that no record says. */
export const told = (kind: EventKind, body: object): StreamEvent => event(kind, null, null, body);

/** The events of one decoded record; none for one that is not served. */
export function eventsOf(
  kind: FeedKind,
  record: KafkaRecord,
  value: unknown,
  { contract, latest }: Pick<Served, "contract" | "latest">,
  { arm, now_ms }: { readonly arm: string; readonly now_ms: number },
): StreamEvent[] {
  if (value === null) return [];
  if (kind === "progress") {
    const { timestamp, job, submission, state, error_code, message, counters } = value as ProgressRecord;
    const at = iso(timestamp);
    return [event("job", null, null, { job, submission, state, at, error_code, message, counters })];
  }
  const station_id = (value as Record<string, unknown>)[entityKey(contract)];
  if (typeof station_id !== "string" || !isServable(station_id)) return [];
  const { pipeline } = contract;
  const arrival = {
    topic: record.topic,
    partition: record.partition,
    offset: record.offset,
    append_time_ms: record.timestamp,
  };
  if (kind === "verifications") {
    const verification = value as VerificationRecord;
    if (verification.arm !== arm || isAhead(verification.judged, arrival.append_time_ms, latest.ahead_ms))
      return [];
    const row = verificationRow(entityKey(contract), station_id, verification);
    return [event("verification", pipeline, station_id, { pipeline, station_id, verification: row })];
  }
  if (kind === "features") {
    const window = value as FeatureRecord;
    if (isAhead(window.window_end, arrival.append_time_ms, latest.ahead_ms)) return [];
    const observed = observedBody(Object.keys(valueUnits(contract)), window);
    return [event("observation", pipeline, station_id, { pipeline, station_id, observed })];
  }
  if (kind !== "predictions") return [];
  const prediction = value as PredictionRecord;
  if (prediction.arm !== arm || isAhead(prediction.timestamp, arrival.append_time_ms, latest.ahead_ms))
    return [];
  const state = { station_id, prediction: { record: prediction, arrival }, features: null };
  const body = forecastBody(contract, latest, state, now_ms);
  if (body === null) return [];
  const { anomaly } = prediction;
  const flagged = anomaly?.is_anomaly
    ? [
        event("anomaly", pipeline, station_id, {
          pipeline,
          station_id,
          prediction_id: prediction.id,
          window_start: body.window_start,
          timestamp: body.timestamp,
          is_anomaly: true,
          anomaly_score: anomaly.anomaly_score,
          anomaly_type: anomaly.anomaly_type,
          evidence: anomaly.evidence,
          method: anomaly.method,
        }),
      ]
    : [];
  return [...flagged, event("prediction", pipeline, station_id, { pipeline, station_id, prediction: body })];
}
