// Takes a pipeline out of a namespace: the topics and subjects that `apply` made for it, and what lies of it in the namespace's
// folder. By what apply wrote down, so that one whose folder is gone can be removed as well. What others share stays: the
// topics of a namespace, models, and what was put elsewhere by a setting.

import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { explain, PipelineError } from "../contract/index.ts";
import type { Owned } from "../jobs/plan/type.ts";
import type { Kafka } from "../kafka/kafka.ts";
import type { Registry } from "../kafka/registry.ts";
import { type Names, namespacePrefix, pipelineNames, topicsOf } from "../pipelines/index.ts";
import { passwordPath } from "../settings/database.ts";
import { type Settings, stateDir } from "../settings/settings.ts";
import { dropStore } from "../store/database.ts";
import { appliedPipelines, clearApplied, readApplied, turnToApply } from "./applied.ts";
import { ownedBy } from "./apply.ts";
import { clearEpochs } from "./epoch.ts";
import { stopNamespace } from "./stop.ts";
import { supervisedJobs } from "./views.ts";

export interface Removal {
  readonly pipeline: string;
  readonly topics: readonly string[];
  readonly subjects: readonly string[];
  /** Files and folders below the namespace's own. */
  readonly paths: readonly string[];
  /** What stays, for whoever wants to remove it by hand: places that a setting names. */
  readonly stays: readonly string[];
}

/** Folders of a namespace in which what belongs to a pipeline begins with its name. */
const BY_NAME = ["checkpoints", "models", "staged", "tables"];
/** Those in which it begins as its submissions do, with the namespace before it. */
const BY_SUBMISSION = ["applications", "drivers", "jobs", "processes"];
/** Another `apply` waits for its readers for minutes; a removal can be asked for again. */
const TURN_MS = 10_000;

/** No pipeline has a hyphen in its name, so that none is the beginning of another's. */
const belongs = (to: string) => (name: string) =>
  name === to || name.startsWith(`${to}-`) || name.startsWith(`${to}.`);

/**
 * What `remove` would remove of the settings' pipeline; asks nobody. Errors: `config_invalid` for a pipeline of which nothing is
 * there, or whose jobs should run or do.
 */
export function planRemoval(settings: Settings): Removal {
  const { pipeline } = settings;
  const refused = (wanted: string, seen: string, next: string) =>
    new PipelineError(
      "config_invalid",
      `Cannot remove pipeline "${pipeline}" from namespace "${settings.namespace}": expected ${wanted}, got ${seen}`,
      { context: { next } },
    );
  const applied = readApplied(settings);
  if (applied === null)
    throw refused(
      "one that was applied there",
      appliedPipelines(settings).join(", ") || "none at all",
      "name one of these, or another namespace with --namespace",
    );
  const jobs = supervisedJobs(settings).flatMap(({ name, pipeline: its, desired, submission }) =>
    its === pipeline && (desired || submission !== null) ? [name] : [],
  );
  if (jobs.length > 0)
    throw refused("no job of it to run", jobs.join(", "), `millrace stop --pipeline ${pipeline}`);
  const { topics, subjects, places } = applied.owns ?? namedBy(settings, refused);
  const within = (folder: string, ours: (name: string) => boolean) => {
    const at = join(stateDir(settings), folder);
    const names = existsSync(at) ? readdirSync(at) : [];
    return names
      .filter(ours)
      .sort()
      .map((name) => join(at, name));
  };
  const paths = [
    ...BY_NAME.flatMap((folder) => within(folder, belongs(pipeline))),
    ...BY_SUBMISSION.flatMap((folder) =>
      within(folder, belongs(`${namespacePrefix(settings.namespace)}${pipeline}`)),
    ),
  ];
  return { pipeline, topics, subjects, paths, stays: places };
}

/** What its definition says, for a pipeline that was applied before apply wrote it down. */
function namedBy(settings: Settings, refused: (...words: [string, string, string]) => Error): Owned {
  if (pipelineNames().includes(settings.pipeline)) return ownedBy(settings);
  throw refused(
    "its folder, or a record of what is its own",
    "neither",
    "bring its folder back, run millrace apply once, and remove it then",
  );
}

/**
 * Removes it. What is gone already is no error, so that a removal that was cut short can be asked for again: what apply wrote down
 * goes last. Errors: those of the plan, `kafka_unreachable`, `registry_unreachable`, `store_unreachable`, `job_timed_out` while somebody applies.
 */
export async function remove(
  settings: Settings,
  { kafka, registry }: { readonly kafka: Kafka; readonly registry: Registry },
  onStep: (line: string) => void = () => {},
): Promise<Removal> {
  const turn = await turnToApply(settings, `remove pipeline "${settings.pipeline}"`, TURN_MS);
  try {
    const removal = planRemoval(settings);
    await kafka.admin.remove(removal.topics);
    onStep(`topics: ${removal.topics.length} removed`);
    for (const subject of removal.subjects) await registry.remove(subject);
    onStep(`subjects: ${removal.subjects.length} removed`);
    onStep(`store: ${await dropRows(settings, removal.pipeline)}`);
    for (const path of removal.paths) rmSync(path, { recursive: true, force: true });
    onStep(`files and folders: ${removal.paths.length} removed`);
    await clearEpochs(settings, belongs(settings.pipeline));
    clearApplied(settings);
    return removal;
  } finally {
    turn.release();
  }
}

/** Drops what the store has of a pipeline. One of our own that was never started has nothing. Errors: `store_unreachable`. */
async function dropRows(settings: Settings, pipeline: string): Promise<string> {
  if (!settings.external.includes("postgres") && !existsSync(passwordPath(settings))) return "never started";
  await dropStore({ settings, names: { prefix: namespacePrefix(settings.namespace), pipeline } });
  return "its tables removed";
}

/**
 * Ends jobs and supervisor of a namespace and removes the topics and subjects of a pipeline by its names, those that others could share
 * too, and, unless it is to be kept, the state. What cannot be is said, not thrown: for whoever made the namespace and is done with it.
 */
export async function clearNamespace(
  settings: Settings,
  { kafka, registry, names }: { readonly kafka: Kafka; readonly registry: Registry; readonly names: Names },
  log: (line: string) => void,
  { keep = false }: { readonly keep?: boolean } = {},
): Promise<void> {
  const attempt = async (work: () => Promise<unknown>) => {
    try {
      await work();
    } catch (error) {
      log(explain(error));
    }
  };
  const topics = topicsOf(names);
  if (existsSync(stateDir(settings)))
    await attempt(async () => {
      for (const problem of (await stopNamespace(settings)).problems) log(problem);
    });
  await attempt(() => kafka.admin.remove(topics.map(({ topic }) => topic)));
  await attempt(() => dropRows(settings, names.pipeline));
  for (const { subject } of topics) await attempt(() => registry.remove(subject));
  if (!keep) rmSync(stateDir(settings), { recursive: true, force: true });
}
