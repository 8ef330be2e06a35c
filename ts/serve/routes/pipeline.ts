// What the routes of a pipeline share: the refusal before the catch-up ends, and names of components in the one document.

import type { Served } from "../effects.ts";
import { problem, respond } from "../problem.ts";
import type { ServedContract } from "../records.ts";

/** Before the catch-up ends a 404 could be wrong and an answer old. */
export function catchingUp({ feed }: Pick<Served, "feed">, path: string): Response | null {
  return feed().caught_up
    ? null
    : respond(problem("catching_up", "The latest predictions have not been read up to the end yet", path), {
        "retry-after": "1",
      });
}

/** `weather`, `Forecast` → `WeatherForecast`: pipelines share a document, and their forecasts differ. */
export function componentOf({ pipeline }: Pick<ServedContract, "pipeline">, name: string): string {
  return `${pipeline.charAt(0).toUpperCase()}${pipeline.slice(1)}${name}`;
}
