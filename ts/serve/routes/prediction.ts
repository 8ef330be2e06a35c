// GET /predictions/{station_id}: the newest forecast of one station, from memory, with what is known of how it came about.

import { ENTITY_ID_LENGTH_MAX } from "../../contract/index.ts";
import { entityKey, horizonHours, horizonName } from "../../pipelines/index.ts";
import type { AppEffects, Served } from "../effects.ts";
import {
  AGE,
  bandsIn,
  forecastNames,
  forecastUnits,
  formOf,
  hoursOf,
  iso,
  numberSchemas,
  numbers,
  usualIn,
  usualSchema,
  VERDICT,
} from "../forecast.ts";
import type { Latest, StationState } from "../latest.ts";
import { problem, respond } from "../problem.ts";
import type { ServedContract } from "../records.ts";
import { defineRoute, entityParam, weakTag } from "../route.ts";
import {
  each,
  flag,
  integer,
  keyed,
  list,
  map,
  nullable,
  number,
  said,
  share,
  text,
  time,
  when,
  z,
} from "../schema.ts";
import { catchingUp, componentOf } from "./pipeline.ts";

export function forecastSchema(contract: ServedContract, confidence: string) {
  const names = forecastNames(contract);
  const units = forecastUnits(contract);
  const { predictions, intervals, interval } = numberSchemas(contract);
  const schema = z.object({
    timestamp: time("End of the window the forecast was made from, event time; horizons count from it."),
    window_start: time("Start of that window, inclusive."),
    predictions,
    intervals,
    bands: each(
      names,
      (name) => list(interval(name), `In ${units[name]}, narrowest first; empty when there is no forecast.`),
      `Central intervals meant to hold ${contract.bands.map((b) => `${Math.round(b * 100)} %`).join(", ")} of outcomes. They nest, and each station's are scaled by how often its own truths fell outside (docs/intervals.md).`,
    ),
    climatology: usualSchema(contract),
    units: each(
      names,
      (name) => z.literal(units[name]!) as z.ZodType<string>,
      "Unit of each forecast and its intervals.",
    ),
    valid_at: each(
      hoursOf(contract).map(horizonName),
      (h) => time(`Moment the ${h} forecasts are for.`),
      "Valid time by horizon.",
    ),
    ...when(contract.parts.includes("anomaly"), {
      anomaly: said(
        z.object({ ...VERDICT, method: text("What judged: `rules` means range and step rules only.") }),
        "Verdict on the window's observations, not on the forecast.",
      ),
    }),
    confidence: said(
      keyed(
        z.object({ overall_confidence: share("Of the forecast as a whole.") }),
        Object.fromEntries(
          contract.targets.map((target) => [`${target}_confidence`, share(`Of the ${target} forecasts.`)]),
        ),
      ).catchall(z.number()) as unknown as z.ZodType<Record<string, number>>,
      confidence,
    ),
    model_version: text("Version in the model registry."),
    in_sample: flag("Whether the window lies in the model's training range: such a forecast proves nothing."),
    ...AGE,
    id: text("Identity of the prediction."),
    arm: text("Arm of the A/B test that made it."),
    version: z.object({
      plan_epoch: integer("Of the stateful plan."),
      revision: integer(
        contract.by === undefined
          ? "Largest raw offset in the window."
          : "How many observations the window holds.",
      ),
    }),
    provenance: map(z.unknown(), "The records it was made from, and where it is itself kept."),
    stages: map(
      z.iso.datetime(),
      "When each stage was passed; event_time in event time, the rest in wall time.",
    ),
    latency_ms: nullable(
      number("From the append of the newest raw record to the commit of this prediction.", { unit: "ms" }),
    ),
  });
  return keyed(schema, { [entityKey(contract)]: text("The station.") }).openapi(
    componentOf(contract, "Forecast"),
  );
}
export type Forecast = z.infer<ReturnType<typeof forecastSchema>>;

/**
 * The served forecast of one station; null when it has none.
 * Units: as in `units`; times RFC 3339 UTC; `timestamp` is the window's end and the moment the horizons count from.
 */
export function forecastBody(
  contract: ServedContract,
  latest: Latest,
  state: StationState,
  now_ms: number,
): Forecast | null {
  const age = latest.age(state, now_ms);
  if (!state.prediction || !age) return null;
  const { record, arrival } = state.prediction;
  const raw_ms = record.stages["raw_append_time"];
  return {
    [entityKey(contract)]: state.station_id,
    timestamp: iso(record.timestamp),
    window_start: iso(record.window_start),
    ...numbers(contract, record),
    bands: Object.fromEntries(formOf(contract).names.map((name) => [name, bandsIn(contract, record, name)])),
    climatology: usualIn(contract, record),
    units: formOf(contract).units,
    valid_at: Object.fromEntries(
      contract.horizons_ms.map((ms) => [horizonName(horizonHours(ms)), iso(record.timestamp + ms)]),
    ),
    ...(record.anomaly && {
      anomaly: {
        is_anomaly: record.anomaly.is_anomaly,
        anomaly_score: record.anomaly.anomaly_score,
        anomaly_type: record.anomaly.anomaly_type,
        evidence: record.anomaly.evidence,
        method: record.anomaly.method,
      },
    }),
    confidence: record.confidence,
    model_version: record.model_version,
    in_sample: record.in_sample,
    ...age,
    id: record.id,
    arm: record.arm,
    version: { plan_epoch: record.plan_epoch, revision: record.revision },
    provenance: {
      ...record.provenance,
      prediction_topic: arrival.topic,
      prediction_partition: arrival.partition,
      prediction_offset: arrival.offset,
    },
    stages: {
      ...Object.fromEntries(Object.entries(record.stages).map(([stage, ms]) => [stage, iso(ms)])),
      commit_time: iso(arrival.append_time_ms),
    },
    latency_ms: raw_ms === undefined ? null : arrival.append_time_ms - raw_ms,
  };
}

export function predictionRoute(served: Served, { clock, confidence }: AppEffects) {
  const { contract, latest } = served;
  const key = entityKey(contract);
  return defineRoute({
    name: "prediction",
    needs: ["forecast"],
    path: `/predictions/{${key}}`,
    tag: "forecasts",
    summary: "Latest forecast of one station",
    description:
      "From memory. The newest version wins: window end, then plan epoch, then revision, whatever the order of arrival. `timestamp` is the window's end, in event time; horizons count from it. The ETag names the version: ages go on beside it.",
    params: entityParam(key),
    schema: forecastSchema(contract, confidence),
    refusals: ["unknown_station", "no_prediction", "catching_up"],
    answer: ({ params, path }) => {
      const id = String(params[key]);
      const early = catchingUp(served, path);
      if (early) return early;
      const state = latest.get(id);
      const body = state && forecastBody(contract, latest, state, clock.nowMs());
      if (body) {
        const { partition, offset, append_time_ms } = state.prediction!.arrival;
        return { body, etag: weakTag(partition, offset, append_time_ms, body.stale) };
      }
      const shown = id.slice(0, ENTITY_ID_LENGTH_MAX);
      if (state || Object.hasOwn(contract.stations, id))
        return respond(problem("no_prediction", `Station "${shown}" has no prediction yet`, path));
      return respond(problem("unknown_station", `No station "${shown}" is known to this pipeline`, path));
    },
  });
}
