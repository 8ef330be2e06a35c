// weather-lines: the records of a stream as JSON Lines by hour on HDFS, each once.

import { requirePart } from "../pipelines/parts.ts";
import { HEARTBEAT_MS } from "./plan/params.ts";
import { asProcess } from "./plan/process.ts";
import { tables } from "./plan/tables.ts";
import type { JobType } from "./plan/type.ts";

export const lines: JobType = {
  name: "lines",
  engine: "process",
  kind: "process",
  summary: "the records of a stream as JSON Lines by hour on HDFS, each once",
  module: null,
  needs: ["lines"],
  reads: ["raw"],
  writes: ["lines", "rejects"],
  standard: true,
  plan(setting) {
    // Where it writes is said to it, so that another place is another process.
    const place = tables(setting.settings).lines(requirePart(setting.pipeline, "lines"));
    return {
      ...asProcess(setting, "lines", ["lines", "--place", place], { stop_ms: 15_000, finite: false }),
      heartbeat_ms: HEARTBEAT_MS,
    };
  },
};
