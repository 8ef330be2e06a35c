// A model that serves in a namespace of its own: a small one trained in seconds, or the demo's.

import { PipelineError } from "../../contract/index.ts";
import { mlflowOf } from "../../engines/mlflow.ts";
import { namesOf, pipelineOf } from "../../pipelines/index.ts";
import type { Line } from "./line.ts";
import type { Namespace } from "./namespace.ts";
import { runPython } from "./python.ts";

/** Publishes the small champion; `folder` is where its one training is kept. */
export async function publishChampion(line: Line, folder: string): Promise<void> {
  const { settings, names } = line;
  await runPython(line, "small_champion", { mlflow: settings.mlflowUrl, model: names.model, folder });
}

/** Copies the champion of the namespace without a name. Errors: `model_refused` when it has none. */
export async function copyChampion({ settings, names }: Namespace): Promise<void> {
  const mlflow = mlflowOf(settings);
  const { model } = namesOf(pipelineOf(settings.pipeline).pipeline, "");
  const champion = await mlflow.byAlias(model, "champion");
  if (champion === null)
    throw new PipelineError(
      "model_refused",
      `Cannot bench: expected a champion of model "${model}", got none`,
    );
  await mlflow.setAlias(names.model, "champion", await mlflow.copy(champion, names.model));
}
