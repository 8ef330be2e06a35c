// Puts a pipeline's contract in force: schemas in the registry, topics in Kafka, and the ids that readers and writers use.
// A compatible change goes in three steps, so that no record is ever unreadable: register it, restart the readers with the
// longer table of ids, and only when they run let the writers use it. Idempotent; with `dry_run` it only says.

import { sep } from "node:path";
import { assertCompatible, definitionOf, PipelineError } from "../contract/index.ts";
import { type JobName, jobsOf, jobTypeOf, sharesOf } from "../jobs/index.ts";
import { tables } from "../jobs/plan/tables.ts";
import type { Applied, Owned, Setting } from "../jobs/plan/type.ts";
import type { Kafka, TopicChange } from "../kafka/kafka.ts";
import { type Compatibility, type Registry, sameSchema } from "../kafka/registry.ts";
import {
  assertUnclaimed,
  type ByTopic,
  type Claims,
  type Contract,
  inStream,
  namesOf,
  ownTopicsOf,
  pipelineNames,
  pipelineOf,
  requireStream,
  streamNames,
  subjectsOf,
  type TopicName,
  topicsOf,
} from "../pipelines/index.ts";
import { type Settings, stateDir } from "../settings/settings.ts";
import { appliedPipelines, readApplied, turnToApply, writeApplied } from "./applied.ts";
import { always, changeDesired, readDesired, runHash } from "./desired.ts";
import { readEpoch } from "./epoch.ts";
import { writeSettings } from "./namespace.ts";
import { supervisorOf } from "./run.ts";
import { codeOf, untilRunning } from "./submit.ts";

export interface SubjectChange {
  readonly subject: string;
  readonly change: "new" | "evolved" | "same";
  /** Null when it was not registered (dry run). */
  readonly id: number | null;
}

export interface ApplyReport {
  readonly subjects: readonly SubjectChange[];
  readonly topics: readonly TopicChange[];
  /** Jobs that were restarted to know the new ids, in that order; only then sources were given theirs. */
  readonly restarted: readonly string[];
  readonly dry_run: boolean;
}

export interface ApplyOptions {
  readonly settings: Settings;
  readonly kafka: Kafka;
  readonly registry: Registry;
  /** Observation contract to apply instead of the generated one, as Avro JSON. */
  readonly observation?: string;
  /** The stream it is of; without it the usual one. */
  readonly stream?: string;
  readonly dry_run?: boolean;
  /** Wall time for the readers to run again. */
  readonly deadline_ms?: number;
  readonly signal?: AbortSignal;
  readonly onStep?: (line: string) => void;
}

const DEADLINE_MS = 300_000;

/**
 * The topic that nobody reads but those who write it. Its fields are no measurements that others have stored: what the
 * registry asks of Avro is enough, and a field may go whose meaning its writer still knows (source/send/cursor.ts).
 */
const OWN_READER = "cursors" satisfies TopicName;

/**
 * Errors: `config_invalid` for a path of the API that another pipeline claims; `contract_rejected` for a change that breaks readers or changes a meaning, naming the field and, for a unit, both;
 * nothing has been changed then. `kafka_unreachable`, `registry_unreachable`; `job_timed_out` when readers do not come back,
 * which leaves the writers on the old ids and can be repeated.
 */
export async function apply(options: ApplyOptions): Promise<ApplyReport> {
  const { settings, kafka, registry, dry_run = false, onStep = () => {} } = options;
  const { pipeline, contract } = pipelineOf(settings.pipeline);
  const names = namesOf(pipeline, settings.namespace);
  const { observation, stream } = options;
  const wanted = subjectsOf(
    names,
    observation ? withObservation(contract, requireStream(pipeline, stream), observation) : contract,
  );

  // All checks before the first change: a refusal leaves everything as it was.
  const others = appliedPipelines(settings).filter((name) => name !== pipeline.name);
  assertUnclaimed(claimsOf(pipeline.name), others.map(claimsOf));
  const plans: { what: string; subject: string; schema: string; change: SubjectChange["change"] }[] = [];
  for (const { what, subject, schema } of wanted) {
    const versions = await registry.versions(subject);
    const newest = versions.at(-1);
    if (newest && what !== OWN_READER) assertCompatible(subject, newest.schema, schema);
    const held = versions.some((version) => sameSchema(version.schema, schema));
    if (!held) {
      const { compatible, messages } = await registry.check(subject, schema);
      if (!compatible)
        throw new PipelineError(
          "contract_rejected",
          `Cannot change "${subject}": expected a change its readers can follow, the registry at "${registry.url}" says ${messages.join("; ") || "it is none"}`,
        );
    }
    plans.push({ what, subject, schema, change: held ? "same" : newest ? "evolved" : "new" });
  }
  const specs = [...topicsOf(names), ...Object.values(names.results)];
  if (dry_run)
    return {
      subjects: plans.map(({ subject, change }) => ({ subject, change, id: null })),
      topics: await kafka.admin.plan(specs),
      restarted: [],
      dry_run,
    };

  const turn = await turnToApply(settings, "apply", options.deadline_ms ?? DEADLINE_MS);
  try {
    writeSettings(settings);
    const topics = await kafka.admin.ensure(specs);
    for (const change of topics) onStep(describeTopic(change));

    const subjects: SubjectChange[] = [];
    const newest: Record<string, number> = {};
    const tables: Record<string, Record<string, string>> = {};
    for (const { what, subject, schema, change } of plans) {
      const id = await registry.register(subject, schema, ruleOf(schema));
      if (change !== "same") onStep(`${subject}: ${change}, id ${id}`);
      subjects.push({ subject, change, id });
      newest[what] = id;
      const versions = await registry.versions(subject);
      tables[what] = Object.fromEntries(versions.map((version) => [String(version.id), version.schema]));
    }

    // A job always writes by the contract it was generated from, so its ids are the newest ones from its restart on, and who
    // reads it restarts first. Sources alone may lag behind: theirs move when all readers know them.
    const before = readApplied(settings);
    const writers = newest as unknown as ByTopic<number>;
    const sources = [...streamNames(pipeline), "cursors"];
    const ids = streamNames(pipeline).flatMap((stream) => Object.keys(tables[stream] ?? {}).map(Number));
    const lagging = Object.fromEntries(sources.map((what) => [what, before?.writers[what] ?? writers[what]]));
    const known: Applied = {
      pipeline: pipeline.name,
      fingerprint: contract.fingerprint,
      tables: tables as unknown as Applied["tables"],
      writers: { ...writers, ...lagging },
      readable: before?.readable ?? ids,
      owns: ownedBy(settings),
    };
    writeApplied(settings, known);
    const restarted: string[] = [];
    for (const job of jobsOf(pipeline).toReversed()) restarted.push(...(await enforce(options, known, job)));
    writeApplied(settings, { ...known, writers, readable: ids });
    return { subjects, topics, restarted, dry_run };
  } finally {
    turn.release();
  }
}

/** Brings one desired job in line with what is applied, and waits until it runs that way. */
async function enforce(options: ApplyOptions, applied: Applied, job: JobName): Promise<string[]> {
  const { settings, onStep = () => {}, deadline_ms = DEADLINE_MS, signal } = options;
  const { pipeline, contract } = pipelineOf(settings.pipeline);
  const name = namesOf(pipeline, settings.namespace).job(job);
  const setting: Setting = {
    settings,
    pipeline,
    contract,
    applied,
    ...codeOf(settings),
    shares: sharesOf({ settings, pipeline }),
  };
  const { kind, checkpoint, plan } = jobTypeOf(pipeline, job);
  const before = readDesired(settings)[name];
  if (!before) return [];
  // A process knows its ids from what is applied; a batch keeps those it began with.
  if (kind !== "stream") return [];
  const epoch = checkpoint ? readEpoch(settings, name) : null;
  // Another stateful plan is not a matter of ids: the next submit opens its checkpoint.
  if (checkpoint && epoch?.plan_hash !== checkpoint.plan_hash(setting)) return [];
  const now = always(plan(setting, epoch ? { epoch } : {}), before.attempt);
  if (runHash(now) === runHash(before)) return [];
  await changeDesired(settings, (desired) => (desired[name] ? { ...desired, [name]: now } : desired));
  onStep(`${name} restarts with the new schemas`);
  if (supervisorOf(settings))
    await untilRunning(
      settings,
      { [name]: now },
      {
        deadline_ms,
        ...(signal ? { signal } : {}),
        onState: (_, state) => onStep(`${name}: ${state}`),
      },
    );
  return [name];
}

/** What a pipeline claims of the API; nothing where its folder is gone. */
function claimsOf(name: string): Claims {
  const paths = pipelineNames().includes(name) ? pipelineOf(name).pipeline.serve?.routes : undefined;
  return { pipeline: name, paths: paths ?? [] };
}

/** What of a pipeline lies outside its namespace's folder and is no other's. Errors: `config_invalid` for a pipeline there is not. */
export function ownedBy(settings: Settings): Owned {
  const { pipeline } = pipelineOf(settings.pipeline);
  const names = namesOf(pipeline, settings.namespace);
  const own = ownTopicsOf(names);
  const { archive, results } = tables(settings);
  const places = [
    ...(pipeline.archive ? [archive] : []),
    ...(pipeline.queries ?? []).flatMap((query) => (query.sink.kind === "kafka" ? [] : [results(query)])),
  ];
  return {
    topics: [...own, ...Object.values(names.results)].map(({ topic }) => topic).sort(),
    subjects: own.map(({ subject }) => subject).sort(),
    places: places.filter((place) => !place.startsWith(`${stateDir(settings)}${sep}`)),
  };
}

/** A contract in which one stream has another observation. */
function withObservation(contract: Contract, stream: string, avro: string): Contract {
  const turned = inStream(contract, stream);
  return { ...turned, schemas: { ...turned.schemas, observation: bare(avro) } };
}

/** The schema without its docs: a better sentence is no new version. */
function bare(text: string): string {
  return JSON.stringify(
    JSON.parse(text, function (this: unknown, key, value: unknown) {
      return key === "doc" && typeof value === "string" ? undefined : value;
    }),
  );
}

/**
 * The registry's own rule beside ours, which is the stricter one. For JSON none: a registry calls a new property a break where others
 * are let through, as ours are.
 */
function ruleOf(schema: string): Compatibility {
  return definitionOf(schema).format === "json" ? "NONE" : "BACKWARD_TRANSITIVE";
}

export function describeTopic(change: TopicChange): string {
  switch (change.kind) {
    case "create":
      return `${change.topic}: new, ${change.partitions} partitions`;
    case "partitions":
      return `${change.topic}: ${change.from} → ${change.to} partitions`;
    case "config":
      return `${change.topic}: ${change.name} ${change.from ?? "unset"} → ${change.to}`;
  }
}
