// The pipelines by name, each with its derived contract. What the rest of Millrace imports; the generator alone does not,
// because this needs its output to exist.

import { PipelineError } from "../contract/index.ts";
import type { Contract } from "./contract.ts";
import type { Pipeline } from "./define.ts";
import { CONTRACT as metersContract } from "./generated/meters.ts";
import { CONTRACT as weatherContract } from "./generated/weather.ts";
import { meters } from "./meters.ts";
import { weather } from "./weather.ts";

export { type BySchema, type Contract, SCHEMA_NAMES, type SchemaName, schemaOf } from "./contract.ts";
export type { FeatureKind, Pipeline, Station } from "./define.ts";
export {
  type ByTopic,
  type Names,
  namesOf,
  prefixOf,
  subjectsOf,
  TOPICS,
  type Topic,
  type TopicName,
  topicOf,
  topicsOf,
} from "./names.ts";
export { PARTS, type PartName, partsOf, requirePart } from "./parts.ts";

export interface Registered {
  readonly pipeline: Pipeline;
  readonly contract: Contract;
}

const PIPELINES: Readonly<Record<string, Registered>> = {
  meters: { pipeline: meters, contract: metersContract },
  weather: { pipeline: weather, contract: weatherContract },
};

/** Names of all pipelines, sorted. */
export const pipelineNames: readonly string[] = Object.keys(PIPELINES).sort();

/** Errors: `config_invalid` for a name there is no pipeline of. */
export function pipelineOf(name: string): Registered {
  const found = Object.hasOwn(PIPELINES, name) ? PIPELINES[name] : undefined;
  if (found) return found;
  throw new PipelineError(
    "config_invalid",
    `Cannot use pipeline "${name}": expected one of ${pipelineNames.join(", ")}`,
  );
}
