// Finds the process behind each part of a running line and ends it the hard way, by its id. Local engines on Linux only:
// Ray says which process is a driver or an actor, a submission's name in a command line says the rest.

import { PipelineError } from "../../contract/index.ts";
import { driverOf } from "../../engines/application.ts";
import { httpOf, parseReply } from "../../ground/http.ts";
import { alive, type Identity, identify } from "../../ground/identity.ts";
import { until } from "../../ground/until.ts";
import type { Names } from "../../pipelines/index.ts";
import type { Settings } from "../../settings/settings.ts";
import { readRecords, supervisorOf } from "../../supervise/run.ts";
import { readRecord } from "../../topology/local/record.ts";
import { running, shellAndProgram } from "../line/processes.ts";
import type { Kind } from "./schedule.ts";

/** Processes to be killed together, and what they are. */
export interface Victim {
  readonly what: string;
  readonly processes: readonly Identity[];
}

const identities = (pids: readonly number[]) => pids.flatMap((pid) => identify(pid) ?? []);

/** What is read of Ray's job and actor tables. */
interface RayJob {
  readonly driver_info: { readonly id: string; readonly pid: string } | null;
}
interface RayActors {
  readonly data: {
    readonly result: {
      readonly result: readonly { readonly job_id: string; readonly state: string; readonly pid: number }[];
    };
  };
}

async function rayProcesses(
  settings: Settings,
  submission: string,
): Promise<{ driver: number[]; actors: number[] }> {
  const http = httpOf("ray_unreachable");
  const get = async <T>(path: string): Promise<T> => {
    const url = `${settings.rayUrl}/api/${path}`;
    const action = "find the processes of a job";
    return parseReply<T>(await http({ action, url }), "ray_rejected", action, url);
  };
  const { driver_info } = await get<RayJob>(`jobs/${submission}`);
  if (!driver_info) return { driver: [], actors: [] };
  const { data } = await get<RayActors>(
    `v0/actors?detail=1&filter_keys=job_id&filter_predicates=%3D&filter_values=${driver_info.id}`,
  );
  return {
    driver: [Number(driver_info.pid)],
    actors: data.result.result
      .filter(({ job_id, state, pid }) => job_id === driver_info.id && state === "ALIVE" && pid > 0)
      .map(({ pid }) => pid),
  };
}

/** The driver that a Spark job of ours runs in, which others may share: its JVM or the Python below it, by `aim`; null while it has not both. */
export function sparkDriver(settings: Settings, job: string, aim: number): Victim | null {
  const handle = readRecords(settings)[job]?.submission?.handle;
  if (!handle) return null;
  const all = running(driverOf(handle).submission);
  const jvm = all.filter(({ command }) => command.includes("org.apache.spark.deploy.SparkSubmit"));
  const python = all.filter(({ parent }) => jvm.some(({ pid }) => pid === parent));
  // A driver that is not up yet is not in mid-stream.
  if (jvm.length === 0 || python.length === 0) return null;
  const [what, chosen] = aim < 0.5 ? (["jvm", jvm] as const) : (["python", python] as const);
  const processes = identities(chosen.map(({ pid }) => pid));
  return processes.length === 0 ? null : { what, processes };
}

/**
 * The process to kill now; null while there is none. `aim` in [0, 1) chooses where a part has two: Spark's driver is a JVM and
 * the Python below it, a source a program and the shell that notes its end.
 */
export async function victimOf(
  settings: Settings,
  names: Names,
  kind: Kind,
  aim: number,
): Promise<Victim | null> {
  const submission = (job: string) => readRecords(settings)[job]?.submission?.submission ?? null;
  const found = (what: string, pids: readonly number[]): Victim | null => {
    const processes = identities(pids);
    return processes.length === 0 ? null : { what, processes };
  };
  switch (kind) {
    case "supervisor": {
      const supervisor = supervisorOf(settings);
      return supervisor && { what: "supervisor", processes: [supervisor] };
    }
    case "actor":
    case "driver": {
      const job = submission(names.job("infer"));
      if (!job) return null;
      const { driver, actors } = await rayProcesses(settings, job);
      if (kind === "driver") return found("driver", driver);
      return found("actor", actors.slice(0, 1));
    }
    case "spark":
      return sparkDriver(settings, names.job("features"), aim);
    case "archive":
      return sparkDriver(settings, names.job("archive"), aim);
    case "source":
      return ownProcess(settings, names.job("replay"), "replay", aim);
  }
}

/** A job that is a process of ours: the program, or it and the shell that notes its end, by `aim`; null while it does not run. */
export function ownProcess(settings: Settings, job: string, word: string, aim: number): Victim | null {
  const { shells, program } = shellAndProgram(readRecords(settings), job, word);
  if (program.length === 0) return null;
  const alone = aim < 0.5;
  const processes = identities([...(alone ? [] : shells), ...program]);
  return processes.length === 0 ? null : { what: alone ? "program" : "program and shell", processes };
}

/** The first process of our own PostgreSQL, whose end the others follow; null while it does not run. */
export function storeProcess(settings: Settings): Victim | null {
  const record = readRecord(settings, "postgres");
  return record && alive(record) ? { what: "server", processes: [record] } : null;
}

/** How long a process that got SIGKILL may take to disappear. */
const GONE_MS = 10_000;

/** kill -9 by id. Resolves once all are gone. Errors: `job_timed_out` when one is not. */
export async function kill({ what, processes }: Victim): Promise<void> {
  for (const { pid } of processes) {
    try {
      process.kill(pid, "SIGKILL");
    } catch (error) {
      // It ended between the look and the signal; the stream will show what that means.
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
  const look = await until(
    () => {
      const left = processes.filter(alive);
      return { done: left.length === 0, seen: left };
    },
    { deadline_ms: GONE_MS, interval_ms: 5 },
  );
  if (!look.done)
    throw new PipelineError(
      "job_timed_out",
      `Cannot kill ${what}: expected process ${look.seen.map(({ pid }) => pid).join(", ")} to be gone after SIGKILL, it lives`,
    );
}
