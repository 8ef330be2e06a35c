// Whoever moves an alias of a model takes a turn: the registry has no compare-and-set, so look and move must not be parted.

import { join } from "node:path";
import { PipelineError } from "../contract/index.ts";
import { lockWithin } from "../ground/lock.ts";
import { type NamespaceSettings, stateDir } from "../settings/settings.ts";

/** A move is a handful of requests; a registry that restarts answers again within this. */
const TURN_MS = 120_000;

/** Errors: `job_timed_out` when somebody else does not finish; those of the work. */
export async function inTurn<T>(
  settings: Pick<NamespaceSettings, "home" | "namespace">,
  model: string,
  work: () => Promise<T>,
): Promise<T> {
  const lock = await lockWithin(join(stateDir(settings), "locks", `model-${model}`), TURN_MS);
  if (!lock)
    throw new PipelineError(
      "job_timed_out",
      `Cannot move an alias of model "${model}": expected another move to end within ${TURN_MS / 1000} s`,
    );
  try {
    return await work();
  } finally {
    lock.release();
  }
}
