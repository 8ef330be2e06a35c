// What the API needs of real engines: topics by name, how each engine does, links to their pages.
// Built from settings; opens nothing until it is asked. Sits between the CLI and start.ts.

import { Decoder, PipelineError } from "../contract/index.ts";
import { jobTypeOf, standardOf } from "../jobs/index.ts";
import type { Kafka } from "../kafka/kafka.ts";
import type { Registry } from "../kafka/registry.ts";
import {
  type Contract,
  namesOf,
  type Registered,
  requirePart,
  schemaOf,
  topicOf,
} from "../pipelines/index.ts";
import { OPTIONAL, type Settings } from "../settings/settings.ts";
import type { Service } from "../topology/entry.ts";
import { status } from "../topology/local/index.ts";
import { SERVICES } from "../topology/services.ts";
import { FEED_KINDS, type FeedKind } from "./feed.ts";
import type { EngineProbe } from "./health.ts";
import type { StaleRule } from "./latest.ts";
import type { ServeOptions } from "./start.ts";

/**
 * When stations are stale unless told otherwise: two steps behind the network in event time, or no prediction for the wall time
 * that the pipeline says.
 */
export function staleRule({ pipeline, contract }: Registered): StaleRule {
  return { trail_ms: 2 * contract.step_ms, silent_ms: requirePart(pipeline, "serve").silent_ms };
}

type LiveOptions = Pick<
  ServeOptions,
  | "contract"
  | "topics"
  | "groups"
  | "needed_jobs"
  | "engines"
  | "links"
  | "arm"
  | "kafka"
  | "setting"
  | "decode"
>;

const NEEDED: ReadonlySet<string> = new Set(
  SERVICES.filter((service: Service) => !service.expendable).map(({ name }) => name),
);

/** Every engine as the local set or the given addresses answer. */
export async function enginesOf(settings: Settings): Promise<EngineProbe[]> {
  return (await status(settings)).map(({ name, cluster, address, state, seen, wanted }) => ({
    name,
    address,
    needed: NEEDED.has(name),
    up: state === "up",
    off: !wanted,
    detail: wanted ? (seen === null ? state : `${state}: ${seen}`) : "optional, nobody has started it",
    next:
      state === "unreachable"
        ? `Look at why nothing answers at ${address}`
        : `Run: millrace up${(OPTIONAL as readonly string[]).includes(cluster) ? ` --with ${cluster}` : ""}`,
  }));
}

/**
 * Decodes with the schema each record was written with, into the record this software knows.
 * Errors: `registry_unreachable`, tried again with the record; an id nobody knows is an outcome.
 */
export function decoderOf(
  contract: Contract,
  registry: Pick<Registry, "schemaById">,
): ServeOptions["decode"] {
  const schemaById = async (id: number): Promise<string | null> => {
    try {
      return await registry.schemaById(id);
    } catch (error) {
      if (error instanceof PipelineError && error.code === "contract_rejected") return null;
      throw error;
    }
  };
  const decoders = new Map<FeedKind, Decoder<unknown>>();
  return (kind, value) => {
    let decoder = decoders.get(kind);
    if (decoder === undefined) {
      decoder = new Decoder<unknown>(schemaOf(contract, kind), schemaById);
      decoders.set(kind, decoder);
    }
    return decoder.decode(value);
  };
}

/** The part of the options that follows from settings and pipeline. */
export function liveOptions(
  settings: Settings,
  { pipeline, contract }: Registered,
  kafka: Kafka,
  registry: Pick<Registry, "schemaById">,
): LiveOptions {
  const names = namesOf(pipeline, settings.namespace);
  const { topics, groups, job } = names;
  const followed = FEED_KINDS.flatMap((kind) => {
    const topic = topics[kind]?.topic;
    return topic === undefined ? [] : [[topic, kind] as const];
  });
  return {
    contract,
    kafka,
    topics: Object.fromEntries(followed),
    groups: pipeline.forecast ? [{ group: groups.ray, topic: topicOf(names, "features").topic }] : [],
    needed_jobs: standardOf(pipeline)
      .filter((name) => jobTypeOf(pipeline, name).kind === "stream")
      .map(job),
    engines: () => enginesOf(settings),
    decode: decoderOf(contract, registry),
    links: [
      { name: "Spark", href: settings.sparkUiUrl },
      { name: "Ray", href: settings.rayUrl },
      { name: "MLflow", href: settings.mlflowUrl },
      { name: "Jobs", href: "/jobs" },
      { name: "Metrics", href: "/metrics" },
      { name: "API", href: "/openapi.json" },
    ],
    arm: "champion",
    setting: "MILLRACE_API_PORT",
  };
}
