// One whole line in a namespace of its own, for a proof: contract applied, a small real model as champion, jobs under a
// supervisor, and a file of observations on its way. Taken down without a trace. Judges nothing.

import { randomUUID } from "node:crypto";
import { createReadStream, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { createGunzip } from "node:zlib";
import { execa } from "execa";
import { explain, PipelineError } from "../contract/index.ts";
import { httpOf } from "../engines/http.ts";
import { until } from "../engines/local/until.ts";
import { type Settings, stateDir } from "../engines/settings.ts";
import { connectKafka } from "../kafka/client.ts";
import type { Kafka } from "../kafka/kafka.ts";
import { connectRegistry, type Registry } from "../kafka/registry.ts";
import { type Contract, type JobName, type Names, namesOf, pipelineOf, TOPICS } from "../pipelines/index.ts";
import { apply } from "../supervise/apply.ts";
import { hashOf } from "../supervise/desired.ts";
import { currentRecords } from "../supervise/run.ts";
import { stopNamespace } from "../supervise/stop.ts";
import { submitJobs, untilRunning } from "../supervise/submit.ts";

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

const START_MS = 400_000;

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

/** Runs a Python module of the Ray jobs' tests with a JSON file of arguments; its last line of output is JSON. */
export async function python<T>(
  { settings, folder, signal }: Line,
  module: string,
  args: object,
): Promise<{ readonly ok: boolean; readonly said: T }> {
  const path = join(folder, `${module}.json`);
  writeFileSync(path, JSON.stringify(args));
  const done = await execa(settings.pythonPath, ["-m", `tests.${module}`, path], {
    cwd: join(settings.root, "jobs", "ray"),
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
  return { ok: done.exitCode === 0, said: JSON.parse(last) as T };
}

/** Publishes the small champion for this namespace; `kept` is the folder where its one training is kept. */
export async function publishChampion(line: Line, kept: string): Promise<void> {
  const { settings, names } = line;
  await python(line, "small_champion", { mlflow: settings.mlflowUrl, model: names.model, folder: kept });
}

/** The rows of a bundled sample before a time, as a CSV file of their own. Resolves to the number of rows. */
export async function cutSample(sample: string, to: string, path: string): Promise<number> {
  const lines: string[] = [];
  const from = createReadStream(sample).pipe(createGunzip());
  for await (const text of createInterface({ input: from })) {
    // Rows are in time order and RFC 3339 in UTC sorts as text.
    if (lines.length > 0 && (text.split(",")[1] ?? "") >= to) break;
    lines.push(text);
  }
  from.destroy();
  writeFileSync(path, `${lines.join("\n")}\n`);
  return lines.length - 1;
}

/** Submits jobs and resolves once they run. */
export async function start(
  line: Line,
  jobs: readonly JobName[],
  replay: readonly string[] = [],
): Promise<void> {
  const { settings, kafka, signal, log } = line;
  const desired = await submitJobs(settings, kafka, jobs, { replay });
  await untilRunning(settings, desired, {
    deadline_ms: START_MS,
    signal,
    onState: (job, state) => log(`${job}: ${state}`),
  });
}

/** Sends what the replay has left at full speed and resolves once all of it is sent. */
export async function finishReplay(
  line: Line,
  replay: readonly string[],
  deadline_ms: number,
): Promise<void> {
  const { settings, kafka, names, signal } = line;
  const job = names.jobs.replay;
  const desired = await submitJobs(settings, kafka, ["replay"], { replay });
  const hash = hashOf(desired[job]!);
  const look = await until(
    () => {
      const seen = currentRecords(settings)?.[job];
      return { done: seen?.done === hash, seen };
    },
    { deadline_ms, interval_ms: 200, signal },
  );
  if (!look.done)
    throw new PipelineError(
      "job_timed_out",
      `Cannot finish "${job}": expected it to be done within ${deadline_ms / 1000} s, its state is ${look.seen?.status?.state ?? "unknown"}`,
      { cause: new Error(look.seen?.last?.reason ?? "no reason known") },
    );
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
  const topics = TOPICS.map((what) => names.topics[what]);
  await attempt(() => kafka.admin.remove(topics.map(({ topic }) => topic)));
  for (const { subject } of topics) await attempt(() => registry.remove(subject));
  await attempt(() => {
    const http = httpOf("store_unreachable", "start the engines");
    const url = `${settings.mlflowUrl}/api/2.0/mlflow/registered-models/delete`;
    return http({ action: "remove a proof's model", method: "DELETE", url, body: { name: names.model } });
  });
  await kafka.close();
  if (!keep) rmSync(stateDir(settings), { recursive: true, force: true });
}
