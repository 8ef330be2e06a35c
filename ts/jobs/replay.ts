// weather-replay: sends a file of observations, each once, and goes on from its cursor after a restart.

import { asProcess } from "./plan/process.ts";
import type { JobType, Planned, Setting } from "./plan/type.ts";

/** `words` are those of `millrace replay`. */
export function planReplay(
  setting: Pick<Setting, "settings" | "pipeline">,
  words: readonly string[],
): Planned {
  return asProcess(setting, "replay", ["replay", ...words], { stop_ms: 15_000, finite: true });
}

export const replay: JobType = {
  name: "replay",
  engine: "process",
  kind: "process",
  summary: "sends a file of observations, each once",
  module: null,
  needs: [],
  reads: ["files", "cursors"],
  writes: ["raw", "cursors"],
  standard: false,
  words: "its file and flags behind --",
  plan: (setting, { words = [] }) => planReplay(setting, words),
};
