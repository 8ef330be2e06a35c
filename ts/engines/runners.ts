// One runner of each engine for the given settings.

import { join } from "node:path";
import { type NamespaceSettings, stateDir } from "../settings/settings.ts";
import { notesIn } from "./drivers.ts";
import type { EngineKind, JobRunner } from "./job.ts";
import { processRunner } from "./process.ts";
import { rayRunner } from "./ray.ts";
import { sparkRunner } from "./spark.ts";

export type Runners = Readonly<Record<EngineKind, JobRunner>>;

/** Opens nothing yet. */
export function runnersOf(settings: NamespaceSettings): Runners {
  return {
    spark: sparkRunner(settings, { notes: notesIn(join(stateDir(settings), "drivers")) }),
    ray: rayRunner(settings),
    process: processRunner({ folder: join(stateDir(settings), "processes"), cwd: settings.root }),
  };
}
