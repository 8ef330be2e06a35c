// How a job is launched as a process of this machine: a command of our own with the namespace's settings and its pipeline,
// whatever environment the supervisor was started from.

import { join } from "node:path";
import { type NamespaceSettings, type Settings, settingsPath } from "../../settings/settings.ts";
import { namesIn } from "./params.ts";
import type { Planned, Setting } from "./type.ts";

/** The command line of a process that works for one pipeline of a namespace. */
export function command(settings: Settings, pipeline: string, words: readonly string[]) {
  return launchOf(settings, [...words, "--settings", settingsPath(settings), "--pipeline", pipeline]);
}

const launchOf = (settings: NamespaceSettings, words: readonly string[]) => ({
  engine: "process" as const,
  command: join(settings.root, "bin", "millrace"),
  arguments: words,
});

type Ends = Pick<Planned, "stop_ms" | "finite">;

/** A process by its full name and whole command line; `pipeline` is empty for one that works for all. */
export function processOf(
  settings: NamespaceSettings,
  name: string,
  pipeline: string,
  words: readonly string[],
  ends: Ends,
): Planned {
  return {
    name,
    pipeline,
    launch: launchOf(settings, words),
    params: null,
    code: "",
    heartbeat_ms: null,
    ...ends,
    restarts: true,
  };
}

export function asProcess(
  { settings, pipeline }: Pick<Setting, "settings" | "pipeline">,
  job: string,
  words: readonly string[],
  ends: Ends,
): Planned {
  const line = command(settings, pipeline.name, words).arguments;
  return processOf(settings, namesIn({ settings, pipeline }).job(job), pipeline.name, line, ends);
}
