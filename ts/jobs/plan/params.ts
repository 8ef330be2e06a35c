// Parameters that every Spark and Ray job gets, and what a batch answers that cannot run without being told more.

import { PipelineError } from "../../contract/index.ts";
import { type Names, namesOf, topicOf } from "../../pipelines/names.ts";
import type { Settings } from "../../settings/settings.ts";
import type { Applied, Setting } from "./type.ts";

/** Parameters before a submission has a name. */
export type Before<P> = Omit<P, "submission">;

// A micro-batch in a catch-up may take tens of seconds on a small machine, and reports come between batches as well.
export const HEARTBEAT_MS = 90_000;
export const STOP_MS = 30_000;

function access({ kafka }: Settings) {
  return { bootstrap: kafka.bootstrap, properties: kafka.properties, secrets_path: kafka.secrets_path };
}

export function namesIn({ settings, pipeline }: Pick<Setting, "settings" | "pipeline">): Names {
  return namesOf(pipeline, settings.namespace);
}

/** The id that records of a topic, or a stream, are written with. */
export function idFor(applied: Applied, topic: string): number {
  const id = applied.writers[topic];
  // What is applied and the contract have one fingerprint, so whoever has the topic's name has its id.
  if (id === undefined) throw new Error(`no schema of "${topic}" is applied`);
  return id;
}

/** Every schema a record of a topic, or a stream, may carry: registry id to its text. */
export function tableFor(applied: Applied, topic: string): Readonly<Record<string, string>> {
  const table = applied.tables[topic];
  if (table === undefined) throw new Error(`no schema of "${topic}" is applied`);
  return table;
}

/** A stream as a job reads it: its topic, and every schema its records may carry. */
export function readingOf(setting: Setting, stream: string) {
  return {
    raw_topic: topicOf(namesIn(setting), stream).topic,
    raw_schemas: tableFor(setting.applied, stream),
  };
}

export function sharedParams(setting: Setting, job: string) {
  const { settings, contract, applied } = setting;
  const names = namesIn(setting);
  return {
    namespace: settings.namespace,
    job: names.job(job),
    fingerprint: contract.fingerprint,
    kafka: access(settings),
    progress_topic: names.topics.progress.topic,
    progress_schema_id: applied.writers.progress,
  };
}

/** For the plan of a batch whose command has more to say than its name. */
export function needsCommand({ pipeline }: Pick<Setting, "pipeline">, job: string): PipelineError {
  return new PipelineError(
    "config_invalid",
    `Cannot submit "${pipeline.name}-${job}": expected its choices, got its name alone; run "millrace ${job} --help"`,
  );
}
