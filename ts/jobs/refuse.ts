// weather-refuse is no job: its one stream is windowed, and features says what is refused. Of streams that no window reads this does.

import { join } from "node:path";
import type { RefuseParams } from "../contract/generated/params.ts";
import { streamsBesideWindows } from "../pipelines/streams.ts";
import { stateDir } from "../settings/settings.ts";
import { type Before, namesIn, readingOf, sharedParams } from "./plan/params.ts";
import { inApplication } from "./plan/spark.ts";
import type { JobType, Planned, Setting } from "./plan/type.ts";

/** As that of a window's rejects: nobody waits for one, and each batch takes a core for about a second. */
const TRIGGER_MS = 5_000;

function planRefuse(setting: Setting): Planned {
  const { settings, pipeline, applied } = setting;
  const names = namesIn(setting);
  const params: Before<RefuseParams> = {
    ...sharedParams(setting, "refuse"),
    streams: streamsBesideWindows(pipeline).map((stream) => ({ stream, ...readingOf(setting, stream) })),
    rejects_topic: names.topics.rejects.topic,
    rejects_schema_id: applied.writers.rejects,
    // Without state no change of a contract asks for another one.
    checkpoint_path: join(stateDir(settings), "checkpoints", names.job("refuse")),
    trigger_ms: TRIGGER_MS,
  };
  return inApplication(setting, "refuse", params);
}

export const refuse: JobType = {
  name: "refuse",
  engine: "spark",
  kind: "stream",
  summary: "what was refused of the streams that no window reads",
  module: "windows.refuse",
  needs: [],
  reads: ["raw"],
  writes: ["rejects"],
  standard: true,
  share: () => ({ cores: 1, driver_memory: "512m", executor_memory: "700m" }),
  members: (pipeline) => (streamsBesideWindows(pipeline).length === 0 ? [] : [refuse]),
  plan: planRefuse,
};
