// weather-simulate: made-up values in a live feed's form, where nobody has access to the feed. Each once; it goes on from its cursor.

import { HEARTBEAT_MS } from "./plan/params.ts";
import { asProcess } from "./plan/process.ts";
import type { JobType } from "./plan/type.ts";

export const simulate: JobType = {
  name: "simulate",
  engine: "process",
  kind: "process",
  summary: "sends made-up values in the form of a live feed, each once, and says so",
  module: null,
  needs: ["simulated"],
  reads: ["cursors"],
  writes: ["raw", "cursors"],
  standard: true,
  words: "flags of `millrace simulate` behind --",
  wordless: true,
  plan: (setting, { words = [] }) => ({
    ...asProcess(setting, "simulate", ["simulate", ...words], { stop_ms: 15_000, finite: false }),
    heartbeat_ms: HEARTBEAT_MS,
  }),
};
