// weather-infer: windows → forecasts with bands, the fold's history, and each forecast against its truth.

import { join } from "node:path";
import type { InferParams } from "../contract/generated/params.ts";
import { topicOf } from "../pipelines/names.ts";
import { requirePart } from "../pipelines/parts.ts";
import { stateDir } from "../settings/settings.ts";
import { type Before, idFor, namesIn, sharedParams, tableFor } from "./plan/params.ts";
import { onRay } from "./plan/ray.ts";
import type { JobType, Planned, Setting } from "./plan/type.ts";

export function planInfer(setting: Setting): Planned {
  const { settings, pipeline, applied } = setting;
  const names = namesIn(setting);
  const params: Before<InferParams> = {
    ...sharedParams(setting, "infer"),
    features_topic: topicOf(names, "features").topic,
    history_topic: topicOf(names, "history").topic,
    predictions_topic: topicOf(names, "predictions").topic,
    verifications_topic: topicOf(names, "verifications").topic,
    anomalies_topic: names.topics.anomalies?.topic ?? null,
    rejects_topic: names.topics.rejects.topic,
    model_events_topic: topicOf(names, "model_events").topic,
    features_schemas: tableFor(applied, "features"),
    history_schemas: tableFor(applied, "history"),
    model_events_schemas: tableFor(applied, "model_events"),
    history_schema_id: idFor(applied, "history"),
    predictions_schema_id: idFor(applied, "predictions"),
    verifications_schema_id: idFor(applied, "verifications"),
    anomalies_schema_id: names.topics.anomalies ? idFor(applied, "anomalies") : null,
    rejects_schema_id: applied.writers.rejects,
    group_id: names.groups.ray,
    transactional_id: `${names.prefix}${names.job("infer")}`,
    mlflow_uri: settings.mlflowUrl,
    model_name: names.model,
    model_cache: join(stateDir(settings), "models"),
    actors: requirePart(pipeline, "forecast").actors,
    // Shorter than a micro-batch: an actor is back at its poll before the next rows come.
    poll_ms: 200,
    // A transaction of this many rows stays well below its ten seconds.
    batch_rows: 2_000,
    arm: "champion",
  };
  return onRay(setting, "infer", "stream", params);
}

export const infer: JobType = {
  name: "infer",
  engine: "ray",
  kind: "stream",
  summary: "forecasts with bands for each window, and each hourly forecast against its truth",
  module: "stream.infer",
  needs: ["forecast"],
  reads: ["features", "history", "models", "model_events"],
  writes: ["predictions", "history", "verifications", "anomalies", "rejects"],
  standard: true,
  plan: planInfer,
};
