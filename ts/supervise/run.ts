// The supervisor of one namespace with its real effects: engines, Kafka, files, clock. One at a time, guarded by a lock that
// survives kill -9. When it ends, the jobs go on; the next one adopts them.

import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { PipelineError } from "../contract/index.ts";
import { runnersOf } from "../engines/runners.ts";
import type { Identity } from "../ground/identity.ts";
import { readJson, writeJson } from "../ground/json.ts";
import { holderOf, tryLock } from "../ground/lock.ts";
import { pause } from "../ground/pause.ts";
import { launchProcess } from "../ground/process.ts";
import { connectKafka } from "../kafka/client.ts";
import { connectRegistry } from "../kafka/registry.ts";
import { namesOf, pipelineNames, pipelineOf } from "../pipelines/index.ts";
import { type NamespaceSettings, settingsPath, stateDir } from "../settings/settings.ts";
import { LIMITS, type RestartLimits } from "./decide.ts";
import { hasEnded, readDesired, requestedRun } from "./desired.ts";
import { announceMoved, finishJob } from "./finish.ts";
import { paramsFiles } from "./launch.ts";
import { logTo } from "./log.ts";
import { writeSettings } from "./namespace.ts";
import { followProgress } from "./progress.ts";
import { uniqueSuffix } from "./submission.ts";
import { type Records, Supervisor } from "./supervisor.ts";

/** What the supervisor leaves for others to read. */
export interface StatusFile {
  /** Process id of the supervisor that wrote it: what another one saw may be long past. */
  readonly by: number;
  readonly records: Records;
}

const lockPath = (settings: NamespaceSettings) => join(stateDir(settings), "locks", "supervisor");
const statusPath = (settings: NamespaceSettings) => join(stateDir(settings), "supervisor.json");
export const supervisorLog = (settings: NamespaceSettings) => join(stateDir(settings), "supervisor.log");

export function readRecords(settings: NamespaceSettings): Records {
  return readJson<StatusFile>(statusPath(settings))?.records ?? {};
}

export function writeRecords(settings: NamespaceSettings, records: Records): void {
  writeJson(statusPath(settings), { by: process.pid, records } satisfies StatusFile);
}

/** What the supervisor that runs now has written down; null when none runs or it has not looked yet. */
export function currentRecords(settings: NamespaceSettings): Records | null {
  const file = readJson<StatusFile>(statusPath(settings));
  return file && file.by === supervisorOf(settings)?.pid ? file.records : null;
}

/** The process that supervises a namespace now; null for none. */
export function supervisorOf(settings: NamespaceSettings): Identity | null {
  return existsSync(stateDir(settings)) ? holderOf(lockPath(settings)) : null;
}

const LOOK_BACK_MS = 600_000;
/** Between two looks while something starts, ends or waits. */
const POLL_MS = 500;
/** And while all is well: each look costs the engines' servers some milliseconds on the jobs' own cores. */
const STEADY_MS = 1_500;
/** An alias whose move nobody announced is found this long after it at the latest: a look is two requests and a small topic. */
const ANNOUNCE_MS = 60_000;
/** A supervisor that was started for one batch stays a little for the next one. */
const IDLE_MS = 10_000;
/** Logs of ended processes that stay. */
const PROCESS_LOGS = 20;

export interface RunOptions {
  readonly signal: AbortSignal;
  readonly limits?: RestartLimits;
  /** Ends by itself once nothing runs and nothing that is desired will by itself. */
  readonly until_idle?: boolean;
  /** Each line of the log as it is written. */
  readonly onLine?: (line: string) => void;
}

/** Supervises until the signal fires. Errors: `config_invalid` when somebody else does. */
export async function supervise(
  settings: NamespaceSettings,
  { signal, limits = LIMITS, until_idle = false, onLine }: RunOptions,
): Promise<void> {
  const taken = tryLock(lockPath(settings));
  if ("holder" in taken)
    throw new PipelineError(
      "config_invalid",
      `Cannot supervise namespace "${settings.namespace}": expected no other supervisor, process ${taken.holder.pid} is one`,
    );
  writeSettings(settings);
  // Where all pipelines of a namespace report, in one form; the first is one of the checkout.
  const { pipeline, contract } = pipelineOf(pipelineNames()[0]!);
  const names = namesOf(pipeline, settings.namespace);
  const kafka = connectKafka(settings.kafka, { client_id: `${names.prefix}supervisor` });
  const registry = connectRegistry(settings.registryUrl);
  const progress = followProgress({
    kafka,
    registry,
    topic: names.topics.progress.topic,
    schema: contract.schemas.progress,
    // What was said before is no sign of life; the topic may hold days of it.
    from: { timestamp_ms: Date.now() - LOOK_BACK_MS },
  });
  const clock = { nowMs: () => Date.now() };
  const write = logTo(supervisorLog(settings), clock.nowMs);
  const log = (line: string) => {
    write(line);
    onLine?.(line);
  };
  const finishing = { settings, kafka, registry, clock, log };
  const announcer = everyNow(ANNOUNCE_MS, () => announceMoved(finishing, readDesired(settings)), log);
  try {
    log(`supervisor ${process.pid} starts`);
    const supervisor = new Supervisor(
      {
        runners: runnersOf(settings),
        heartbeats: progress,
        clock,
        desired: () => readDesired(settings),
        store: {
          load: () => readJson<StatusFile>(statusPath(settings))?.records ?? null,
          save: (r) => writeRecords(settings, r),
        },
        params: paramsFiles(settings),
        finish: (job, submission) => finishJob(finishing, job, submission),
        log,
        prefix: names.prefix,
        unique: uniqueSuffix,
      },
      limits,
    );
    clearProcessLogs(join(stateDir(settings), "processes"));
    let busy_ms = performance.now();
    // Whoever removes the state of a namespace wants no supervisor of it.
    while (
      !signal.aborted &&
      existsSync(stateDir(settings)) &&
      !(until_idle && performance.now() - busy_ms >= IDLE_MS)
    ) {
      const { steady, idle } = await supervisor.tick();
      if (!idle) busy_ms = performance.now();
      announcer.tick();
      await pause(steady ? STEADY_MS : POLL_MS, signal);
    }
    await supervisor.settled();
    log(`supervisor ${process.pid} ends; ${signal.aborted ? "the jobs go on" : "nothing is left to do"}`);
  } finally {
    await announcer.settled();
    await progress.close();
    await kafka.close();
    taken.lock.release();
    // Who asked for a job while this one still held the lock has started nobody.
    if (until_idle && !signal.aborted && unfinished(settings)) startSupervisor(settings, { until_idle });
  }
}

/** Work beside the loop, at most one at a time, begun again that long after its last end. A reason is logged when it is a new one. */
function everyNow(interval_ms: number, work: () => Promise<void>, log: (line: string) => void) {
  let running: Promise<void> = Promise.resolve();
  let next_ms = performance.now() + interval_ms;
  let busy = false;
  let reason = "";
  return {
    tick(): void {
      if (busy || performance.now() < next_ms) return;
      busy = true;
      running = work()
        .then(() => {
          reason = "";
        })
        .catch((error: unknown) => {
          const now = error instanceof Error ? error.message : String(error);
          if (now !== reason) log(`cannot look after announcements: ${now}`);
          reason = now;
        })
        .finally(() => {
          busy = false;
          next_ms = performance.now() + interval_ms;
        });
    },
    settled: () => running,
  };
}

/** Whether the desired state holds what has not come to its end. */
function unfinished(settings: NamespaceSettings): boolean {
  const records = readRecords(settings);
  return Object.values(readDesired(settings)).some((job) => !hasEnded(requestedRun(job), records[job.name]));
}

function clearProcessLogs(folder: string): void {
  if (!existsSync(folder)) return;
  // Names end in their time, so the oldest of each job sort first; which job does not matter for a bound.
  const age = (file: string) => file.split("-").at(-1)!;
  const logs = readdirSync(folder).sort((a, b) => (age(a) < age(b) ? 1 : -1));
  for (const file of logs.slice(PROCESS_LOGS * 2)) rmSync(join(folder, file), { force: true });
}

/**
 * Starts `millrace run` as a process of its own, unless the namespace has a supervisor. Its output goes beside its log.
 * `until_idle`: it ends by itself when nothing is left to do.
 */
export function startSupervisor(
  settings: NamespaceSettings,
  { until_idle = false }: Pick<RunOptions, "until_idle"> = {},
): void {
  if (supervisorOf(settings)) return;
  writeSettings(settings);
  launchProcess({
    command: join(settings.root, "bin", "millrace"),
    args: ["run", ...(until_idle ? ["--until-idle"] : []), "--settings", settingsPath(settings)],
    env: {},
    cwd: settings.root,
    log: join(stateDir(settings), "supervisor.out"),
    mark: `supervisor=${stateDir(settings)};`,
  });
}
