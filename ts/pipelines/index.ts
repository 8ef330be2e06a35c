// The pipelines by name, each with its derived contract: those of the checkout, by the generated table, and those of a folder
// outside it, where the settings name one. What the rest of Millrace imports; the generator alone does not, because this needs its
// output to exist.

import { PipelineError } from "../contract/index.ts";
import type { Contract } from "./contract.ts";
import type { Pipeline } from "./define.ts";
import { contractIn, definitionIn } from "./folder.ts";
import { type Further, furtherPipelines } from "./further.ts";
import { PIPELINES } from "./generated/table.ts";

export { assertUnclaimed, type Claims } from "./claims.ts";
export {
  type BySchema,
  type Contract,
  entityKey,
  inStream,
  SCHEMA_NAMES,
  type SchemaName,
  schemaOf,
  streamSchema,
  streamsOf,
} from "./contract.ts";
export {
  FEED_NAMES,
  type FeatureKind,
  type FeedName,
  type Lines,
  type Pipeline,
  type Query,
  type Source,
  type Station,
} from "./define.ts";
export { GENERATED } from "./folder.ts";
export { addPipelines } from "./further.ts";
export { forecastName, horizonHours, horizonName, inWholeHours } from "./horizon.ts";
export {
  type ByTopic,
  isShared,
  type Names,
  namesOf,
  namespacePrefix,
  ownTopicsOf,
  subjectsOf,
  TOPICS,
  type Topic,
  type TopicName,
  topicOf,
  topicsOf,
} from "./names.ts";
export { PARTS, type PartName, partsOf, requirePart } from "./parts.ts";
export { leadingStream, requireStream, streamNames, streamsBesideWindows, usualStream } from "./streams.ts";

export interface Registered {
  readonly pipeline: Pipeline;
  readonly contract: Contract;
  /** Folder outside the checkout that it was found in; null for one of the checkout. */
  readonly folder: string | null;
}

const BUILT_IN: Readonly<Record<string, Omit<Registered, "folder">>> = PIPELINES;

/** Errors: `contract_rejected` for a name that the checkout has. */
function further(): Further | null {
  const found = furtherPipelines();
  const twice = found?.names.find((name) => Object.hasOwn(BUILT_IN, name));
  if (twice !== undefined)
    throw new PipelineError(
      "contract_rejected",
      `Cannot use pipelines in "${found?.folder}": expected names that the checkout does not have, got "${twice}"`,
    );
  return found;
}

/** Names of all pipelines: the checkout's, sorted, then those of the other folder, which may not be generated yet. */
export function pipelineNames(): readonly string[] {
  return [...Object.keys(BUILT_IN).sort(), ...(further()?.names ?? [])];
}

/** Errors: `config_invalid` for a name there is no pipeline of, and for one outside the checkout that was not generated. */
export function pipelineOf(name: string): Registered {
  const own = Object.hasOwn(BUILT_IN, name) ? BUILT_IN[name] : undefined;
  if (own) return { ...own, folder: null };
  const beside = further();
  if (beside?.names.includes(name)) {
    const { folder } = beside;
    return { pipeline: definitionIn(folder, name), contract: contractIn(folder, name), folder };
  }
  throw new PipelineError(
    "config_invalid",
    `Cannot use pipeline "${name}": expected one of ${pipelineNames().join(", ")}`,
  );
}
