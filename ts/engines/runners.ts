// One runner of each engine for the given settings.

import { join } from "node:path";
import { type NamespaceSettings, stateDir } from "../settings/settings.ts";
import { applicationRunner } from "./application.ts";
import { notesIn } from "./drivers.ts";
import type { EngineKind, JobRunner } from "./job.ts";
import { processRunner } from "./process.ts";
import { rayRunner } from "./ray.ts";
import { sparkRunner } from "./spark.ts";

export type Runners = Readonly<Record<EngineKind, JobRunner>>;

/** Opens nothing yet. */
export function runnersOf(settings: NamespaceSettings): Runners {
  return {
    spark: applicationRunner(
      sparkRunner(settings, { notes: notesIn(join(stateDir(settings), "drivers")) }),
      join(stateDir(settings), "applications"),
    ),
    ray: rayRunner(settings),
    process: processRunner({ folder: join(stateDir(settings), "processes"), cwd: settings.root }),
  };
}
