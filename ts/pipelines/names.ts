// Every derived name: topics, subjects, groups, jobs, models, checkpoints. Nobody else puts one together.
// The namespace keeps tests, demos and rehearsals apart; it is empty by default. Knows no address and opens nothing.

import { PipelineError } from "../contract/index.ts";
import { type Contract, inStream, type SchemaName, schemaOf, streamSchema } from "./contract.ts";
import type { Pipeline, Stream } from "./define.ts";
import { absent, type CommonTopic, type PartName, type PartTopic, partOf } from "./parts.ts";
import { NAMESPACE } from "./rules.ts";
import { leadingStream, noStream } from "./streams.ts";

/** What a topic is for, beside those of the streams, which are called as their stream. A pipeline has those of its parts. */
export const TOPICS = [
  "cursors",
  "features",
  "history",
  "predictions",
  "verifications",
  "anomalies",
  "rejects",
  "model_events",
  "progress",
] as const satisfies readonly (CommonTopic | PartTopic)[];
export type TopicName = (typeof TOPICS)[number];

/** Those that the pipelines of a namespace have together. */
const SHARED: readonly string[] = ["model_events", "progress"] satisfies readonly TopicName[];

/** Jobs that the pipelines of a namespace have together, called by their type alone. */
const SHARED_JOBS: readonly string[] = ["serve"];

/** A value for each topic that there is: those of every pipeline, of its parts, and of its streams by their names. */
export type ByTopic<T> = Readonly<Record<CommonTopic, T>> &
  Readonly<Partial<Record<PartTopic, T>>> &
  Readonly<Record<string, T | undefined>>;

export interface Topic {
  readonly topic: string;
  readonly partitions: number;
  /** Topic settings by their Kafka names, as text. */
  readonly config: Readonly<Record<string, string>>;
  /** Subject of its values (TopicNameStrategy) and the contract's schema that is registered under it. */
  readonly subject: string;
  readonly schema: SchemaName;
}

export interface Names {
  /** Start of every derived name: empty, or the namespace and a hyphen. */
  readonly prefix: string;
  readonly pipeline: string;
  readonly topics: ByTopic<Topic>;
  /** Topics of queries whose sink is one, by the query's name. */
  readonly results: Readonly<Record<string, Pick<Topic, "topic" | "partitions" | "config">>>;
  /** Full name of a job of a type, without the namespace; one that all pipelines share does not name any. */
  readonly job: (type: string) => string;
  readonly groups: {
    readonly spark: string;
    readonly ray: string;
    readonly dashboard: string;
    /** How far a target of alerts has been told, by its name. */
    readonly alerts: (target: string) => string;
  };
  /** Registered model. */
  readonly model: string;
  /** Folder of a namespace's state below the home folder. */
  readonly state: string;
  /** Id of a transactional writer; one a source and slot, so that a twin is fenced. */
  readonly transactionalId: (writer: string, slot: number) => string;
  /** Folder of a streaming job's checkpoint below `state`: another plan or epoch never meets an old one. */
  readonly checkpoint: (job: string, plan_hash: string, plan_epoch: number) => string;
}

const DAY_MS = 86_400_000;

// With create time, a replay of old data would be deleted by retention at once. Producers compress (snappy).
const ALWAYS = { "message.timestamp.type": "LogAppendTime", "compression.type": "producer" };
const retainDays = (days: number) => ({
  ...ALWAYS,
  "cleanup.policy": "delete",
  "retention.ms": String(days * DAY_MS),
});
const compacted = { ...ALWAYS, "cleanup.policy": "compact" };
// Small segments and a low dirty ratio, or compaction never reaches the ring's changelog, nor the cursors, of which a source
// writes dozens a second, nor the heartbeats.
const busy = {
  ...compacted,
  "segment.bytes": String(1024 * 1024),
  "segment.ms": "60000",
  "min.cleanable.dirty.ratio": "0.1",
};

/**
 * Start of every derived name: empty, or the namespace and a hyphen. Errors: `config_invalid` for a namespace that breaks its rule.
 */
export function namespacePrefix(namespace: string): string {
  if (!NAMESPACE.holds(namespace))
    throw new PipelineError(
      "config_invalid",
      `Cannot use namespace "${namespace}": expected ${NAMESPACE.words}`,
    );
  return namespace === "" ? "" : `${namespace}-`;
}

/**
 * All names of a pipeline in a namespace. Hyphens only: Kafka's metrics confuse dots and underscores.
 * Errors: `config_invalid` for a namespace that breaks its rule.
 */
export function namesOf(
  pipeline: Pick<Pipeline, "name" | PartName> & {
    readonly streams: Readonly<Record<string, Pick<Stream, "partitions">>>;
  },
  namespace: string,
): Names {
  const prefix = namespacePrefix(namespace);
  const { partitions } = pipeline.streams[leadingStream(pipeline)]!;
  const topic = (
    name: string,
    count: number,
    config: Readonly<Record<string, string>>,
    schema: SchemaName,
  ): Topic => ({
    topic: `${prefix}${name}`,
    partitions: count,
    config,
    subject: `${prefix}${name}-value`,
    schema,
  });
  const own = (what: string) => `${pipeline.name}-${what}`;
  const streams = Object.entries(pipeline.streams).map(([name, stream]) => [
    name,
    topic(own(hyphened(name)), stream.partitions, retainDays(7), "observation"),
  ]);
  const all: Readonly<Record<TopicName, Topic>> = {
    cursors: topic(own("cursors"), 1, busy, "cursors"),
    features: topic(own("features"), partitions, retainDays(1), "features"),
    history: topic(own("history"), partitions, busy, "history"),
    predictions: topic(own("predictions"), partitions, retainDays(30), "predictions"),
    verifications: topic(own("verifications"), partitions, retainDays(30), "verifications"),
    anomalies: topic(own("anomalies"), partitions, retainDays(30), "anomalies"),
    rejects: topic(own("rejects"), partitions, retainDays(30), "rejects"),
    model_events: topic("model-events", 1, compacted, "model_events"),
    progress: topic("job-progress", 1, busy, "progress"),
  };
  const has = (what: TopicName): boolean => {
    const part = partOf(what);
    return part === null || pipeline[part] !== undefined;
  };
  return {
    prefix,
    pipeline: pipeline.name,
    topics: Object.fromEntries([
      ...streams,
      ...TOPICS.filter(has).map((what) => [what, all[what]]),
    ]) as ByTopic<Topic>,
    results: Object.fromEntries(
      (pipeline.queries ?? []).flatMap(({ name, sink }) =>
        sink.kind === "kafka"
          ? [
              [
                name,
                {
                  topic: `${prefix}${own(hyphened(name))}`,
                  partitions: sink.partitions,
                  config: retainDays(30),
                },
              ],
            ]
          : [],
      ),
    ),
    job: (type) => (SHARED_JOBS.includes(type) ? type : own(type)),
    groups: {
      spark: `${prefix}spark-${pipeline.name}-processors`,
      ray: `${prefix}${pipeline.forecast?.group ?? `ray-${pipeline.name}-inference`}`,
      dashboard: `${prefix}dashboard-consumers`,
      alerts: (target) => `${prefix}${pipeline.name}-alerts-${target}`,
    },
    model: `${prefix}${pipeline.name}`,
    state: namespace === "" ? "default" : namespace,
    transactionalId: (writer, slot) => `${prefix}${pipeline.name}-${writer}-${slot}`,
    checkpoint: (job, plan_hash, plan_epoch) => `checkpoints/${job}-${plan_hash.slice(0, 12)}-e${plan_epoch}`,
  };
}

function hyphened(name: string): string {
  return name.replaceAll("_", "-");
}

/** Whether all pipelines of a namespace share the job, by the name of its type. */
export function isShared(type: string): boolean {
  return SHARED_JOBS.includes(type);
}

/**
 * A topic by what it is for, that of a stream by the stream's name. Errors: `config_invalid` for one that none of the pipeline's
 * streams and parts brings.
 */
export function topicOf({ pipeline, topics }: Pick<Names, "pipeline" | "topics">, what: string): Topic {
  const topic = topics[what];
  if (topic !== undefined) return topic;
  const name = TOPICS.find((known) => known === what);
  if (name !== undefined) throw absent(pipeline, `topic "${what}"`, partOf(name));
  throw noStream(pipeline, what, streamTopics({ topics }));
}

/** Names of the streams, by their topics. */
export function streamTopics({ topics }: Pick<Names, "topics">): readonly string[] {
  return Object.keys(topics).filter((what) => !(TOPICS as readonly string[]).includes(what));
}

/** The topics a pipeline has: its streams', then in the order of TOPICS. */
export function topicsOf({ topics }: Pick<Names, "topics">): readonly (Topic & { readonly what: string })[] {
  return Object.entries(topics).map(([what, topic]) => ({ what, ...topic! }));
}

/** The topics that are the pipeline's alone. */
export function ownTopicsOf(names: Pick<Names, "topics">) {
  return topicsOf(names).filter(({ what }) => !SHARED.includes(what));
}

/** The schema of each subject, to be registered: one entry a topic, observations in their stream's format. */
export function subjectsOf(names: Pick<Names, "topics">, contract: Contract) {
  return topicsOf(names).map(({ what, subject, schema }) => ({
    what,
    subject,
    schema: schema === "observation" ? streamSchema(inStream(contract, what)) : schemaOf(contract, schema),
  }));
}
