// weather-train: quantile heads over the feature table, registered as a version of the pipeline's model.

import type { TrainParams } from "../contract/generated/params.ts";
import { requirePart } from "../pipelines/parts.ts";
import { type Before, namesIn, needsCommand, sharedParams } from "./plan/params.ts";
import { onRay } from "./plan/ray.ts";
import { tables } from "./plan/tables.ts";
import type { JobType, Planned, Setting } from "./plan/type.ts";

export type TrainChoice = Pick<
  TrainParams,
  | "from_ms"
  | "cut_ms"
  | "trees"
  | "leaves"
  | "learning_rate"
  | "sample_every"
  | "workers"
  | "seed"
  | "allow_uncertified"
> &
  // The splits by date; null or left out, they follow from the cut. Nobody is left out, and nothing is tuned, unless it is said.
  Partial<Pick<TrainParams, "calibrate_from_ms" | "test_from_ms" | "leave_out" | "tune">>;

/** What `train` takes when nothing is said: the full model. */
export const TRAIN: Omit<TrainChoice, "cut_ms"> = {
  from_ms: null,
  // 27 heads of at most 300 trees with 63 leaves answer 100 rows in 34 to 59 ms; humidity's medians gain from more trees and
  // from more rows (docs/training.md), of which those next to each other say nearly the same.
  trees: 300,
  leaves: 63,
  learning_rate: 0.07,
  sample_every: 2,
  workers: 2,
  seed: 1,
  allow_uncertified: false,
};

export function planTrain(setting: Setting, choice: TrainChoice): Planned {
  const { settings, pipeline } = setting;
  requirePart(pipeline, "forecast");
  const params: Before<TrainParams> = {
    ...sharedParams(setting, "train"),
    table_path: tables(settings).features,
    certificates_path: tables(settings).certificates,
    mlflow_uri: settings.mlflowUrl,
    model_name: namesIn(setting).model,
    calibrate_from_ms: null,
    test_from_ms: null,
    leave_out: [],
    tune: 0,
    ...choice,
  };
  return onRay(setting, "train", "batch", params);
}

export const train: JobType = {
  name: "train",
  engine: "ray",
  kind: "batch",
  summary: "a new version of the model from the feature table",
  module: "train.train",
  needs: ["forecast"],
  reads: ["feature_table", "certificates"],
  writes: ["models"],
  standard: false,
  trains: true,
  plan(setting) {
    throw needsCommand(setting, "train");
  },
};
