// weather-compact: keeps the feature table quick to read. Every backfill leaves files behind that the next one replaces, and small
// ones; once a day they come together, and what no version of the last days needs is deleted.

import type { CompactParams } from "../contract/generated/params.ts";
import { requirePart } from "../pipelines/parts.ts";
import { type Before, sharedParams } from "./plan/params.ts";
import { onRay } from "./plan/ray.ts";
import { tables } from "./plan/tables.ts";
import type { JobType, Planned, Setting } from "./plan/type.ts";

/** A training reads the version it began with; the longest takes six hours, a person who looks back a day takes longer. */
const RETENTION_MS = 7 * 86_400_000;

export function planCompact(setting: Setting): Planned {
  requirePart(setting.pipeline, "windows");
  const params: Before<CompactParams> = {
    ...sharedParams(setting, "compact"),
    table_path: tables(setting.settings).features,
    retention_ms: RETENTION_MS,
    due_ms: null,
  };
  return onRay(setting, "compact", "batch", params);
}

export const compact: JobType = {
  name: "compact",
  engine: "ray",
  kind: "batch",
  summary: "brings the small files of the feature table together and deletes what no reader needs",
  module: "train.compact",
  needs: ["windows"],
  reads: ["feature_table"],
  writes: ["feature_table"],
  standard: false,
  schedule: "30 3 * * *",
  plan: planCompact,
};
