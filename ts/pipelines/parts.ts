// The parts a pipeline may have: what each needs beside it, and the topics it brings. A part that is absent brings nothing.
// Names, schemas, jobs (by what their type needs), entrypoints and routes derive from this table. Data only.

import { PipelineError } from "../contract/index.ts";
import type { Pipeline } from "./define.ts";

/** Topics of every pipeline beside those of its streams: how far its sources are, what was refused, how jobs fare. */
export type CommonTopic = "cursors" | "rejects" | "progress";
/** Topics that a part brings, each with the schema of its own name. */
export type PartTopic =
  | "features"
  | "history"
  | "predictions"
  | "verifications"
  | "anomalies"
  | "model_events";

interface Part {
  /** Parts it cannot be without. */
  readonly needs: readonly PartName[];
  readonly topics: readonly PartTopic[];
  /** What it is there for, for people. */
  readonly summary: string;
}

export type PartName =
  | "windows"
  | "history"
  | "forecast"
  | "anomaly"
  | "alerts"
  | "stations"
  | "archive"
  | "lines"
  | "simulated"
  | "queries"
  | "serve";

export const PARTS: Readonly<Record<PartName, Part>> = {
  windows: { needs: [], topics: ["features"], summary: "sliding windows and their features" },
  // Only the forecast's job keeps cells, so one without the other would be a topic that nobody writes.
  history: { needs: ["windows", "forecast"], topics: ["history"], summary: "the cells behind the lags" },
  forecast: {
    needs: ["windows", "history"],
    topics: ["predictions", "verifications", "model_events"],
    summary: "a model, its forecasts, and each against its truth",
  },
  // A verdict has no record of its own: the forecast made from the window carries it. What has a life over windows has.
  anomaly: {
    needs: ["forecast"],
    topics: ["anomalies"],
    summary: "rules that judge a window, and the life of what they find",
  },
  alerts: { needs: ["anomaly"], topics: [], summary: "messages to people about anomalies" },
  stations: { needs: [], topics: [], summary: "names and places of what the keys name" },
  archive: { needs: [], topics: [], summary: "every record of a stream kept in Delta" },
  lines: { needs: [], topics: [], summary: "the records of a stream as JSON Lines by hour" },
  simulated: { needs: [], topics: [], summary: "made-up values in a live feed's form" },
  queries: { needs: [], topics: [], summary: "the domain's own Spark work" },
  serve: { needs: [], topics: [], summary: "the HTTP API and the page" },
};

export const PART_NAMES = Object.keys(PARTS) as readonly PartName[];

/** Which parts a pipeline has, in the order of the table. */
export function partsOf(pipeline: Pick<Pipeline, PartName>): readonly PartName[] {
  return PART_NAMES.filter((part) => pipeline[part] !== undefined);
}

/** The part that brings a topic; null for a topic of every pipeline. */
export function partOf(topic: CommonTopic | PartTopic): PartName | null {
  return PART_NAMES.find((part) => (PARTS[part].topics as readonly string[]).includes(topic)) ?? null;
}

/** For whoever was asked for something that a pipeline's parts do not bring. */
export function absent(pipeline: string, what: string, part: PartName | null): PipelineError {
  return new PipelineError(
    "config_invalid",
    `Cannot use ${what} of pipeline "${pipeline}": expected a pipeline with the part "${part}", it has none`,
  );
}

/** A part's record. Errors: `config_invalid` for a pipeline without it. */
export function requirePart<P extends PartName>(
  pipeline: Pick<Pipeline, "name" | PartName>,
  part: P,
): NonNullable<Pipeline[P]> {
  const record = pipeline[part];
  if (record === undefined) throw absent(pipeline.name, PARTS[part].summary, part);
  return record as NonNullable<Pipeline[P]>;
}
