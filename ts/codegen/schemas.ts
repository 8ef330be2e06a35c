// The derived Avro schemas of a pipeline, each written by its part. Knows no pipeline by name.

import type { PartTopic } from "../pipelines/parts.ts";
import type { RecordSchema } from "./avro.ts";
import type { Outline } from "./derive.ts";
import { anomaliesSchema } from "./parts/anomaly.ts";
import { predictionsSchema, verificationsSchema } from "./parts/forecast.ts";
import { historySchema } from "./parts/history.ts";
import { rejectsSchema } from "./parts/stream.ts";
import { featuresSchema } from "./parts/windows.ts";

/** By topic, in the order they are written. Model events are the same in every pipeline, and written by hand. */
export function derivedSchemas(
  outline: Outline,
): { readonly rejects: RecordSchema } & Readonly<
  Partial<Record<Exclude<PartTopic, "model_events">, RecordSchema>>
> {
  const has = (part: Outline["parts"][number]) => outline.parts.includes(part);
  return {
    ...(has("windows") ? { features: featuresSchema(outline) } : {}),
    ...(has("history") ? { history: historySchema(outline) } : {}),
    ...(has("forecast")
      ? { predictions: predictionsSchema(outline), verifications: verificationsSchema(outline) }
      : {}),
    ...(has("anomaly") ? { anomalies: anomaliesSchema(outline) } : {}),
    rejects: rejectsSchema(outline),
  };
}
