// Runs a Python module of the tests of one engine's jobs, which judge what the jobs did by slow and obvious means of their own.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { PipelineError } from "../../contract/index.ts";
import type { Line } from "./line.ts";

export interface PythonResult<T> {
  /** Whether it left with 0: nothing was wrong. */
  readonly ok: boolean;
  /** Its last line of output. */
  readonly said: T;
  /** What it wrote to its error output. */
  readonly errors: readonly string[];
}

/** Runs it with a JSON file of arguments; its last line of output is JSON. */
export async function runPython<T>(
  { settings, folder, signal }: Line,
  module: string,
  args: object,
  engine: "ray" | "pyspark" = "ray",
): Promise<PythonResult<T>> {
  const path = join(folder, `${module}.json`);
  writeFileSync(path, JSON.stringify(args));
  const done = await execa(settings.pythonPath, ["-m", `tests.${module}`, path], {
    cwd: join(settings.root, "jobs", engine),
    reject: false,
    cancelSignal: signal,
  });
  signal.throwIfAborted();
  const last = done.stdout.trimEnd().split("\n").at(-1) ?? "";
  if (!last.startsWith("{"))
    throw new PipelineError(
      "job_failed",
      `Cannot run tests.${module}: expected a line of JSON, got "${last}"`,
      {
        cause: new Error(done.stderr.slice(-3000)),
      },
    );
  return {
    ok: done.exitCode === 0,
    said: JSON.parse(last) as T,
    errors: done.stderr.split("\n").filter((text) => text !== ""),
  };
}
