// One whole line in a namespace of its own, for a proof: contract applied, a small real model as champion, jobs under a
// supervisor, and a file of observations on its way. Taken down without a trace. Judges nothing.

import { randomUUID } from "node:crypto";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { explain, PipelineError } from "../../contract/index.ts";
import { type Settings, stateDir } from "../../settings/settings.ts";
import { httpOf } from "../../ground/http.ts";
import type { JobName } from "../../jobs/index.ts";
import { connectKafka } from "../../kafka/client.ts";
import type { Kafka } from "../../kafka/kafka.ts";
import { connectRegistry, type Registry } from "../../kafka/registry.ts";
import { type Contract, type Names, namesOf, pipelineOf, topicsOf } from "../../pipelines/index.ts";
import { positionOf } from "../../source/replay/position.ts";
import { readCursor } from "../../source/send/cursor.ts";
import { targetOf } from "../../source/send/target.ts";
import { apply } from "../../supervise/apply.ts";
import { stopNamespace } from "../../supervise/stop.ts";
import { submitJobs, untilEnded, untilRunning, withdrawJobs } from "../../supervise/submit.ts";

export interface Line {
  /** Of the engines, with the namespace of this line. */
  readonly settings: Settings;
  readonly kafka: Kafka;
  readonly registry: Registry;
  readonly names: Names;
  readonly contract: Contract;
  /** Folder for what belongs to this proof alone. */
  readonly folder: string;
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
}

export interface LineOptions {
  readonly what: string;
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
}

const START_MS = 600_000;

/** Opens a namespace and applies the contract in it. `close` it whatever happens. */
export async function openLine(engines: Settings, { what, signal, log }: LineOptions): Promise<Line> {
  const settings: Settings = { ...engines, namespace: `${what}-${randomUUID().slice(0, 8)}` };
  const { pipeline, contract } = pipelineOf(settings.pipeline);
  const folder = join(stateDir(settings), "proof");
  mkdirSync(folder, { recursive: true });
  const line: Line = {
    settings,
    kafka: connectKafka(settings.kafka, { client_id: `${settings.namespace}-proof` }),
    registry: connectRegistry(settings.registryUrl),
    names: namesOf(pipeline, settings.namespace),
    contract,
    folder,
    signal,
    log,
  };
  try {
    await apply({ settings, kafka: line.kafka, registry: line.registry, signal });
  } catch (error) {
    await closeLine(line);
    throw error;
  }
  return line;
}

export interface Said<T> {
  /** Whether it left with 0: nothing was wrong. */
  readonly ok: boolean;
  /** Its last line of output. */
  readonly said: T;
  /** What it wrote to its error output. */
  readonly errors: readonly string[];
}

/** Runs a Python module of the tests of one engine's jobs with a JSON file of arguments; its last line of output is JSON. */
export async function python<T>(
  { settings, folder, signal }: Line,
  module: string,
  args: object,
  engine: "ray" | "pyspark" = "ray",
): Promise<Said<T>> {
  const path = join(folder, `${module}.json`);
  writeFileSync(path, JSON.stringify(args));
  const done = await execa(settings.pythonPath, ["-m", `tests.${module}`, path], {
    cwd: join(settings.root, "jobs", engine),
    reject: false,
    cancelSignal: signal,
  });
  signal.throwIfAborted();
  const last = done.stdout.trimEnd().split("\n").at(-1) ?? "";
  if (!last.startsWith("{"))
    throw new PipelineError(
      "job_failed",
      `Cannot run tests.${module}: expected a line of JSON, got "${last}"`,
      {
        cause: new Error(done.stderr.slice(-3000)),
      },
    );
  return {
    ok: done.exitCode === 0,
    said: JSON.parse(last) as T,
    errors: done.stderr.split("\n").filter((text) => text !== ""),
  };
}

/** Publishes the small champion for this namespace; `kept` is the folder where its one training is kept. */
export async function publishChampion(line: Line, kept: string): Promise<void> {
  const { settings, names } = line;
  await python(line, "small_champion", { mlflow: settings.mlflowUrl, model: names.model, folder: kept });
}

/** Submits jobs and resolves once they run. */
export async function start(
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

/** Ends jobs and supervisor and removes topics, subjects, model and state. What cannot be removed is said, not thrown. */
export async function closeLine(line: Line, { keep = false } = {}): Promise<void> {
  const { settings, kafka, registry, names, log } = line;
  const attempt = async (work: () => Promise<unknown>) => {
    try {
      await work();
    } catch (error) {
      log(explain(error));
    }
  };
  await attempt(async () => {
    const { problems } = await stopNamespace(settings);
    for (const problem of problems) log(problem);
  });
  const topics = topicsOf(names);
  await attempt(() => kafka.admin.remove(topics.map(({ topic }) => topic)));
  for (const { subject } of topics) await attempt(() => registry.remove(subject));
  await attempt(() => {
    const http = httpOf("store_unreachable");
    const url = `${settings.mlflowUrl}/api/2.0/mlflow/registered-models/delete`;
    return http({ action: "remove a proof's model", method: "DELETE", url, body: { name: names.model } });
  });
  await kafka.close();
  if (!keep) rmSync(stateDir(settings), { recursive: true, force: true });
}
