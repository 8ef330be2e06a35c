// weather-serve: the HTTP API and the page of one pipeline.

import { asProcess } from "./plan/process.ts";
import type { JobType, Planned, Setting } from "./plan/type.ts";

/** `port` is this pipeline's own: two pipelines of a namespace have an API each. */
export function planServe(setting: Pick<Setting, "settings" | "pipeline">, port: number): Planned {
  return asProcess(setting, "serve", ["serve", "--port", String(port)], { stop_ms: 10_000, finite: false });
}

export const serve: JobType = {
  name: "serve",
  engine: "process",
  kind: "process",
  summary: "the HTTP API and the page",
  module: null,
  needs: ["serve"],
  reads: ["predictions", "verifications", "features", "rejects", "progress"],
  writes: ["http"],
  standard: true,
  listens: true,
  plan: (setting, { port = setting.settings.ports.api }) => planServe(setting, port),
};
