// weather-evaluate: what a version of the model is worth on a split of its training, against every baseline.

import type { EvaluateParams } from "../contract/generated/params.ts";
import { requirePart } from "../pipelines/parts.ts";
import { type Before, namesIn, needsCommand, sharedParams } from "./plan/params.ts";
import { onRay } from "./plan/ray.ts";
import { tables } from "./plan/tables.ts";
import type { JobType, Planned, Setting } from "./plan/type.ts";

export type EvaluateChoice = Pick<
  EvaluateParams,
  "version" | "split" | "from_ms" | "to_ms" | "masks" | "masked_by" | "workers" | "rounds" | "seed"
>;

/** What `evaluate` takes when nothing is said. */
export const EVALUATE: Omit<EvaluateChoice, "version" | "split"> = {
  from_ms: null,
  to_ms: null,
  masks: [],
  masked_by: null,
  workers: 2,
  rounds: 1000,
  seed: 1,
};

export function planEvaluate(setting: Setting, choice: EvaluateChoice): Planned {
  const { settings, pipeline } = setting;
  requirePart(pipeline, "forecast");
  const params: Before<EvaluateParams> = {
    ...sharedParams(setting, "evaluate"),
    table_path: tables(settings).features,
    mlflow_uri: settings.mlflowUrl,
    model_name: namesIn(setting).model,
    ...choice,
  };
  return onRay(setting, "evaluate", "batch", params);
}

export const evaluate: JobType = {
  name: "evaluate",
  engine: "ray",
  kind: "batch",
  summary: "what a version is worth on a split of its training, against every baseline",
  module: "judge.evaluate",
  needs: ["forecast"],
  reads: ["feature_table", "models"],
  writes: ["evaluations"],
  standard: false,
  plan(setting) {
    throw needsCommand(setting, "evaluate");
  },
};
