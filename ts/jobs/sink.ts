// weather-sink: the records of the topics into the store, from which the API answers what was.

import { HEARTBEAT_MS } from "./plan/params.ts";
import { asProcess } from "./plan/process.ts";
import type { JobType } from "./plan/type.ts";

export const sink: JobType = {
  name: "sink",
  engine: "process",
  kind: "process",
  summary: "the records of the topics into the store, each once",
  module: null,
  // Who answers nobody needs no memory of what was.
  needs: ["serve"],
  reads: ["features", "predictions", "verifications", "rejects"],
  writes: ["store"],
  standard: true,
  plan: (setting) => ({
    ...asProcess(setting, "sink", ["sink"], { stop_ms: 15_000, finite: false }),
    heartbeat_ms: HEARTBEAT_MS,
  }),
};
