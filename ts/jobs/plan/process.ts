// How a job is launched as a process of this machine: a command of our own with the namespace's settings and its pipeline,
// whatever environment the supervisor was started from.

import { join } from "node:path";
import { type Settings, settingsPath } from "../../settings/settings.ts";
import { namesIn } from "./params.ts";
import type { Planned, Setting } from "./type.ts";

/** The command line of a process that works for one pipeline of a namespace. */
export function command(settings: Settings, pipeline: string, words: readonly string[]) {
  return {
    engine: "process" as const,
    command: join(settings.root, "bin", "millrace"),
    arguments: [...words, "--settings", settingsPath(settings), "--pipeline", pipeline],
  };
}

export function asProcess(
  { settings, pipeline }: Pick<Setting, "settings" | "pipeline">,
  job: string,
  words: readonly string[],
  { stop_ms, finite }: Pick<Planned, "stop_ms" | "finite">,
): Planned {
  return {
    name: namesIn({ settings, pipeline }).job(job),
    pipeline: pipeline.name,
    launch: command(settings, pipeline.name, words),
    params: null,
    code: "",
    heartbeat_ms: null,
    stop_ms,
    finite,
    restarts: true,
  };
}
