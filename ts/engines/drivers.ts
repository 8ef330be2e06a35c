// Which Spark driver is which submission, as whoever submitted it wrote down: one small file each. Spark itself says it only in
// the log of a worker that has started the driver; one that still waits for room has no worker, and no name.
// Written by spark.ts before and after it asks the master; asks nobody itself.

import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { readJson, writeJson } from "../ground/json.ts";

export interface DriverNote {
  readonly submission: string;
  readonly params_path: string;
  /** Null while the master's answer is not there, or was lost. */
  readonly id: string | null;
  /** Drivers that lived when the master was asked: this submission is none of them. */
  readonly before: readonly string[];
}

export interface DriverNotes {
  all(): DriverNote[];
  write(note: DriverNote): void;
  remove(submission: string): void;
}

/** Notes of one process only: a runner without a folder finds its waiting drivers while it lives. */
export function notesInMemory(): DriverNotes {
  const notes = new Map<string, DriverNote>();
  return {
    all: () => [...notes.values()],
    write: (note) => void notes.set(note.submission, note),
    remove: (submission) => void notes.delete(submission),
  };
}

/** Notes that outlive the process; several processes may write, each its own submissions. */
export function notesIn(folder: string): DriverNotes {
  const path = (submission: string) => join(folder, `${submission}.json`);
  return {
    all: () =>
      existsSync(folder)
        ? readdirSync(folder)
            .filter((name) => name.endsWith(".json"))
            // Null: removed since the folder was read.
            .flatMap((name) => readJson<DriverNote>(join(folder, name)) ?? [])
        : [],
    write: (note) => writeJson(path(note.submission), note),
    remove: (submission) => rmSync(path(submission), { force: true }),
  };
}
