// weather-infer: windows → forecasts with bands, the fold's history, and each forecast against its truth.

import { join } from "node:path";
import type { InferParams } from "../contract/generated/params.ts";
import { stateDir } from "../engines/settings.ts";
import { type Before, namesIn, sharedParams } from "./plan/params.ts";
import { onRay } from "./plan/ray.ts";
import type { JobType, Planned, Setting } from "./plan/type.ts";

export function planInfer(setting: Setting): Planned {
  const { settings, pipeline, applied } = setting;
  const names = namesIn(setting);
  const { topics } = names;
  const params: Before<InferParams> = {
    ...sharedParams(setting, "infer"),
    features_topic: topics.features.topic,
    history_topic: topics.history.topic,
    predictions_topic: topics.predictions.topic,
    verifications_topic: topics.verifications.topic,
    rejects_topic: topics.rejects.topic,
    model_events_topic: topics.model_events.topic,
    features_schemas: applied.tables.features,
    history_schemas: applied.tables.history,
    model_events_schemas: applied.tables.model_events,
    history_schema_id: applied.writers.history,
    predictions_schema_id: applied.writers.predictions,
    verifications_schema_id: applied.writers.verifications,
    rejects_schema_id: applied.writers.rejects,
    group_id: names.groups.ray,
    transactional_id: `${names.prefix}${names.job("infer")}`,
    mlflow_uri: settings.mlflowUrl,
    model_name: names.model,
    model_cache: join(stateDir(settings), "models"),
    actors: pipeline.resources.infer.actors,
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
  reads: ["features", "history", "models", "model_events"],
  writes: ["predictions", "history", "verifications", "rejects"],
  standard: true,
  plan: planInfer,
};
