// weather-features: raw records → sliding windows, rejects beside them.

import { createHash } from "node:crypto";
import type { FeaturesParams } from "../contract/generated/params.ts";
import { type Before, namesIn, sharedParams } from "./plan/params.ts";
import { checkpointPath, onSpark } from "./plan/spark.ts";
import type { Epoch, JobType, Planned, Setting } from "./plan/type.ts";

export function planFeatures(setting: Setting, epoch: Epoch): Planned {
  const { pipeline, applied } = setting;
  const { topics } = namesIn(setting);
  const { features } = pipeline.resources;
  const params: Before<FeaturesParams> = {
    ...sharedParams(setting, "features"),
    raw_topic: topics.raw.topic,
    features_topic: topics.features.topic,
    rejects_topic: topics.rejects.topic,
    raw_schemas: applied.tables.raw,
    features_schema_id: applied.writers.features,
    rejects_schema_id: applied.writers.rejects,
    checkpoint_path: checkpointPath(setting, "features", epoch),
    starting_offsets: epoch.starting_offsets,
    publish_from_ms: epoch.publish_from_ms ?? null,
    plan_epoch: epoch.plan_epoch,
    trigger_ms: features.trigger_ms,
    rejects_trigger_ms: features.rejects_trigger_ms,
    state_store: features.state_store,
    shuffle_partitions: features.shuffle_partitions,
  };
  return onSpark(setting, "features", { kind: "stream", ...features }, params);
}

export const features: JobType = {
  name: "features",
  engine: "spark",
  kind: "stream",
  summary: "sliding windows of the raw records, and what was refused",
  module: "windows.features",
  reads: ["raw"],
  writes: ["features", "rejects"],
  standard: true,
  checkpoint: {
    // Beyond the contract's plan both settings are pinned by a checkpoint's first start.
    plan_hash({ contract, pipeline }) {
      const { state_store, shuffle_partitions } = pipeline.resources.features;
      return createHash("sha256")
        .update(JSON.stringify([contract.plan_hash, state_store, shuffle_partitions]))
        .digest("hex");
    },
    topic: "raw",
    span_ms: (contract) => contract.window_ms + contract.lateness_ms,
  },
  plan(setting, { epoch }) {
    if (!epoch) throw new Error("a plan of features without its epoch");
    return planFeatures(setting, epoch);
  },
};
