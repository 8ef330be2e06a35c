// One whole line in a namespace of its own: jobs under a supervisor, and a file of observations on its way. Judges nothing.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { JobName } from "../../jobs/index.ts";
import { type Settings, stateDir } from "../../settings/settings.ts";
import { positionOf } from "../../source/replay/position.ts";
import { readCursor } from "../../source/send/cursor.ts";
import { targetOf } from "../../source/send/target.ts";
import { submitJobs, untilEnded, untilRunning, withdrawJobs } from "../../supervise/submit.ts";
import { type Namespace, openNamespace, removeNamespace, uniqueName } from "./namespace.ts";

export interface Line extends Namespace {
  /** Folder for what belongs to this rehearsal alone. */
  readonly folder: string;
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
}

export interface LineOptions {
  /** Beginning of the namespace's name. */
  readonly what: string;
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
}

const START_MS = 600_000;

/** Opens a namespace and applies the contract in it. Close it whatever happens. */
export async function openLine(engines: Settings, { what, signal, log }: LineOptions): Promise<Line> {
  const opened = await openNamespace(engines, uniqueName(what), { signal, log });
  const folder = join(stateDir(opened.settings), "proof");
  mkdirSync(folder, { recursive: true });
  return { ...opened, folder, signal, log };
}

/** Ends jobs and supervisor and removes topics, subjects, model and state. What cannot be removed is said, not thrown. */
export async function closeLine(line: Line, { keep = false } = {}): Promise<void> {
  await removeNamespace(line, { keep, log: line.log });
}

/** Submits jobs and resolves once they run. */
export async function startJobs(
  line: Line,
  jobs: readonly JobName[],
  replay: readonly string[] = [],
): Promise<void> {
  const { settings, kafka, signal, log } = line;
  const desired = await submitJobs(settings, kafka, jobs, { words: replay });
  await untilRunning(settings, desired, {
    deadline_ms: START_MS,
    signal,
    onState: (job, state) => log(`${job}: ${state}`),
  });
}

/** Ends the source after its transaction and resolves to the number of observations it has sent, by its own cursor. */
export async function stopReplay(line: Line, source: string): Promise<number> {
  const { settings, kafka, registry, names, contract, signal } = line;
  await withdrawJobs(settings, [names.job("replay")]);
  await untilEnded(settings, [names.job("replay")], { deadline_ms: START_MS, signal });
  const target = await targetOf({ kafka, registry, names, contract, source });
  const cursor = await readCursor(target, target.source);
  return cursor === null ? 0 : positionOf(cursor.token).position;
}
