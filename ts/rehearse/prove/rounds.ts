// A proof in rounds that can be interrupted: each finished round is a file and is not run again. Knows nothing of what a
// round does.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { readJson, writeJson } from "../../ground/json.ts";

export interface RoundsOptions<T> {
  /** Folder of this proof; its name says everything that its rounds depend on. */
  readonly folder: string;
  readonly count: number;
  readonly run: (round: number) => Promise<T>;
  /** What a kept round must be to count as finished. */
  readonly fine: (result: T) => boolean;
  readonly log: (line: string) => void;
  /** All results so far, after each round. */
  readonly onRound?: (results: readonly T[]) => void;
}

/** The results of all rounds. Ends at the first one that is not fine; rejects with what a round raised. */
export async function runRounds<T>({
  folder,
  count,
  run,
  fine,
  log,
  onRound,
}: RoundsOptions<T>): Promise<T[]> {
  mkdirSync(folder, { recursive: true });
  const results: T[] = [];
  for (let round = 0; round < count; round++) {
    const path = join(folder, `round-${round}.json`);
    const before = readJson<T>(path);
    if (before !== null && fine(before)) {
      log(`round ${round + 1} of ${count}: done before (${path})`);
      results.push(before);
      continue;
    }
    log(`round ${round + 1} of ${count}`);
    const result = await run(round);
    writeJson(path, result);
    results.push(result);
    onRound?.(results);
    if (!fine(result)) break;
  }
  return results;
}
