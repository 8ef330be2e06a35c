// weather-seed: the stations' history from the feature table, before the stream begins.

import type { SeedParams } from "../contract/generated/params.ts";
import { topicOf } from "../pipelines/names.ts";
import { type Before, idFor, namesIn, needsCommand, sharedParams, tableFor } from "./plan/params.ts";
import { onRay } from "./plan/ray.ts";
import { tables } from "./plan/tables.ts";
import type { JobType, Planned, Setting } from "./plan/type.ts";

/** `cutover_ms`: the last window_end that is seeded; the stream begins after it. */
export function planSeed(setting: Setting, { cutover_ms }: { readonly cutover_ms: number }): Planned {
  const { settings, applied } = setting;
  const params: Before<SeedParams> = {
    ...sharedParams(setting, "seed"),
    table_path: tables(settings).features,
    history_topic: topicOf(namesIn(setting), "history").topic,
    history_schemas: tableFor(applied, "history"),
    history_schema_id: idFor(applied, "history"),
    partitions: topicOf(namesIn(setting), "features").partitions,
    cutover_ms,
  };
  return onRay(setting, "seed", "batch", params);
}

export const seed: JobType = {
  name: "seed",
  engine: "ray",
  kind: "batch",
  summary: "the stations' history from the feature table, before the stream begins",
  module: "train.seed",
  needs: ["forecast"],
  reads: ["feature_table"],
  writes: ["history"],
  standard: false,
  plan(setting) {
    throw needsCommand(setting, "seed");
  },
};
