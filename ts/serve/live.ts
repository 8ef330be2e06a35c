// What the API needs of real engines: topics by name, how each engine does, links to their pages.
// Built from settings; opens nothing until it is asked. Sits between the CLI and start.ts.

import { Decoder, PipelineError } from "../contract/index.ts";
import { mlflowOf } from "../engines/mlflow.ts";
import { ONCE } from "../ground/repeat.ts";
import { jobTypeOf, standardOf } from "../jobs/index.ts";
import { tables } from "../jobs/plan/tables.ts";
import type { Registry } from "../kafka/registry.ts";
import { LinesReader } from "../lines/reader.ts";
import { webHdfs } from "../lines/webhdfs.ts";
import {
  type Contract,
  type Lines,
  namesOf,
  pipelineNames,
  pipelineOf,
  type Registered,
  requirePart,
  schemaOf,
  topicOf,
} from "../pipelines/index.ts";
import { OPTIONAL, type Settings } from "../settings/settings.ts";
import { openStore } from "../store/queries.ts";
import { STORED } from "../store/rows.ts";
import { appliedPipelines } from "../supervise/applied.ts";
import { supervisorOf } from "../supervise/run.ts";
import { supervisedJobs } from "../supervise/views.ts";
import type { Service } from "../topology/entry.ts";
import { status } from "../topology/local/index.ts";
import { readRecord } from "../topology/local/record.ts";
import { SERVICES } from "../topology/services.ts";
import { domainOf } from "./domain.ts";
import type { KnownModel } from "./effects.ts";
import { FEED_KINDS, type FeedKind } from "./feed.ts";
import type { EngineProbe } from "./health.ts";
import type { StaleRule } from "./latest.ts";
import { type Known, Processes } from "./processes.ts";
import type { PipelineOptions, ServeOptions } from "./start.ts";
import { storeWhenAsked } from "./store.ts";

/**
 * When stations are stale unless told otherwise: two steps behind the network in event time, or no prediction for the wall time
 * that the pipeline says.
 */
export function staleRule({ pipeline, contract }: Omit<Registered, "folder">): StaleRule {
  return { trail_ms: 2 * contract.step_ms, silent_ms: requirePart(pipeline, "serve").silent_ms };
}

type LiveOptions = Pick<ServeOptions, "engines" | "models" | "processes" | "links" | "arm" | "setting">;

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
): PipelineOptions["decode"] {
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

/** Over the HDFS that a pipeline's lines lie on; opens nothing until it is asked. Whoever waits for an answer asks again himself. */
function linesReader(settings: Settings, pipeline: string, { place, prefix }: Lines): LinesReader {
  const at = tables({ ...settings, pipeline }).lines({ place });
  return new LinesReader(webHdfs(settings, at, { pace: ONCE }), prefix, { nowMs: () => Date.now() });
}

/** What is served of a pipeline, as its definition says. */
export function pipelineOptions(
  settings: Settings,
  { pipeline, contract, folder }: Registered,
  registry: Pick<Registry, "schemaById">,
  rule: StaleRule,
): PipelineOptions {
  const names = namesOf(pipeline, settings.namespace);
  const { topics, groups, job } = names;
  const followed = FEED_KINDS.flatMap((kind) => {
    const topic = topics[kind]?.topic;
    return topic === undefined ? [] : [[topic, kind] as const];
  });
  return {
    contract,
    topics: Object.fromEntries(followed),
    groups: [
      ...(pipeline.forecast ? [{ group: groups.ray, topic: topicOf(names, "features").topic }] : []),
      ...STORED.flatMap((kind) => {
        const topic = topics[kind]?.topic;
        return topic === undefined ? [] : [{ group: groups.dashboard, topic }];
      }),
      ...(pipeline.alerts ?? []).map(({ name }) => ({
        group: groups.alerts(name),
        topic: topicOf(names, "anomalies").topic,
      })),
    ],
    needed_jobs: standardOf(pipeline)
      .filter((name) => jobTypeOf(pipeline, name).kind === "stream")
      .map(job),
    decode: decoderOf(contract, registry),
    store: () => storeWhenAsked(() => openStore(settings, { pipeline, contract })),
    rule,
    domain: domainOf({ pipeline, folder }),
    lines: pipeline.lines ? linesReader(settings, pipeline.name, pipeline.lines) : null,
  };
}

/**
 * The pipelines that a namespace's server serves: those that are applied there and have the part for it, and the one that was asked
 * for. The default one is first: it answers the paths that name none.
 */
export function servedPipelines(settings: Settings): string[] {
  const applied = appliedPipelines(settings).filter(
    (name) => pipelineNames().includes(name) && pipelineOf(name).pipeline.serve !== undefined,
  );
  const { pipeline } = settings;
  const usual = applied.includes(pipeline) || applied.length === 0 ? pipeline : applied[0]!;
  return [usual, ...applied.filter((name) => name !== usual)];
}

/** Every version of each pipeline's model. Errors: those of the registry of models. */
async function modelsOf(settings: Settings): Promise<KnownModel[]> {
  const mlflow = mlflowOf(settings);
  const found = await Promise.all(
    servedPipelines(settings).map(async (name) => {
      const { pipeline } = pipelineOf(name);
      if (!pipeline.forecast) return [];
      const versions = await mlflow.versions(namesOf(pipeline, settings.namespace).model);
      return versions.map(
        ({ model, version, aliases, created_ms, parent, digest, contract_fingerprint }) => ({
          pipeline: name,
          ...{ model, version, aliases, created_ms, parent, digest, contract_fingerprint },
          url: `${mlflow.url}/#/models/${model}/versions/${version}`,
        }),
      );
    }),
  );
  return found.flat();
}

/** Whose processes are ours: what the engines' records, the supervisor and the jobs' submissions name, and this very one. */
function knownProcesses(settings: Settings): Known {
  const started = SERVICES.flatMap(({ name }) => {
    const record = readRecord(settings, name);
    return record ? [{ name, mark: record.mark }] : [];
  });
  const supervisor = supervisorOf(settings);
  return {
    engines: started,
    external: SERVICES.filter(({ cluster }) => settings.external.includes(cluster)).map(({ name }) => name),
    jobs: supervisedJobs(settings).flatMap(({ name, submission }) =>
      submission === null ? [] : [{ name, submission }],
    ),
    pids: new Map([...(supervisor ? [[supervisor.pid, "supervisor"] as const] : []), [process.pid, "serve"]]),
  };
}

/** The part of the options that follows from settings. */
export function liveOptions(settings: Settings): LiveOptions {
  const processes = new Processes();
  return {
    engines: () => enginesOf(settings),
    models: () => modelsOf(settings),
    processes: () => processes.recent(knownProcesses(settings)),
    links: [
      { name: "Spark", href: settings.sparkUiUrl },
      { name: "Ray", href: settings.rayUrl },
      { name: "MLflow", href: settings.mlflowUrl },
      { name: "Jobs", href: "/jobs" },
      { name: "Metrics", href: "/metrics" },
      { name: "API", href: "/docs" },
    ],
    arm: "champion",
    setting: "MILLRACE_API_PORT",
  };
}
