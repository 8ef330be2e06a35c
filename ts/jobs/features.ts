// weather-features: raw records → sliding windows, rejects beside them.

import { createHash } from "node:crypto";
import type { FeaturesParams } from "../contract/generated/params.ts";
import { topicOf } from "../pipelines/names.ts";
import { requirePart } from "../pipelines/parts.ts";
import { leadingStream } from "../pipelines/streams.ts";
import { type Before, idFor, namesIn, readingOf, sharedParams } from "./plan/params.ts";
import { checkpointPath, inApplication } from "./plan/spark.ts";
import type { Epoch, JobType, Planned, Setting } from "./plan/type.ts";

export function planFeatures(setting: Setting, epoch: Epoch): Planned {
  const { pipeline, contract, applied } = setting;
  const names = namesIn(setting);
  const { resources } = requirePart(pipeline, "windows");
  const params: Before<FeaturesParams> = {
    ...sharedParams(setting, "features"),
    ...readingOf(setting, contract.stream),
    features_topic: topicOf(names, "features").topic,
    rejects_topic: names.topics.rejects.topic,
    features_schema_id: idFor(applied, "features"),
    rejects_schema_id: applied.writers.rejects,
    checkpoint_path: checkpointPath(setting, "features", epoch),
    starting_offsets: epoch.starting_offsets,
    publish_from_ms: epoch.publish_from_ms ?? null,
    plan_epoch: epoch.plan_epoch,
    trigger_ms: resources.trigger_ms,
    rejects_trigger_ms: resources.rejects_trigger_ms,
    state_store: resources.state_store,
    shuffle_partitions: resources.shuffle_partitions,
    read_tasks: resources.cores,
  };
  return inApplication(setting, "features", params);
}

export const features: JobType = {
  name: "features",
  engine: "spark",
  kind: "stream",
  summary: "sliding windows of the raw records, and what was refused",
  module: "windows.features",
  needs: ["windows"],
  reads: ["raw"],
  writes: ["features", "rejects"],
  standard: true,
  share({ pipeline }) {
    const { cores, driver_memory, executor_memory } = requirePart(pipeline, "windows").resources;
    return { cores, driver_memory, executor_memory };
  },
  checkpoint: {
    // Beyond the contract's plan both settings are pinned by a checkpoint's first start.
    plan_hash({ contract, pipeline }) {
      const { state_store, shuffle_partitions } = requirePart(pipeline, "windows").resources;
      return createHash("sha256")
        .update(JSON.stringify([contract.plan_hash, state_store, shuffle_partitions]))
        .digest("hex");
    },
    stream: leadingStream,
    span_ms: (contract) => contract.window_ms + contract.lateness_ms,
  },
  plan(setting, { epoch }) {
    if (!epoch) throw new Error("a plan of features without its epoch");
    return planFeatures(setting, epoch);
  },
};
