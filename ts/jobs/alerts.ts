// weather-alerts: messages to people about anomalies, one when one opens and one when it is resolved.

import { HEARTBEAT_MS } from "./plan/params.ts";
import { asProcess } from "./plan/process.ts";
import type { JobType } from "./plan/type.ts";

export const alerts: JobType = {
  name: "alerts",
  engine: "process",
  kind: "process",
  summary: "tells people of anomalies, when one opens and when it is resolved",
  module: null,
  needs: ["alerts"],
  reads: ["anomalies"],
  writes: ["http"],
  standard: true,
  plan: (setting) => ({
    // A target may be about to answer.
    ...asProcess(setting, "alerts", ["alerts"], { stop_ms: 15_000, finite: false }),
    heartbeat_ms: HEARTBEAT_MS,
  }),
};
