// Small JSON files that are the truth across kills and power cuts: written beside and renamed, so a reader sees the old or the
// new one, never half of either; once writeJson() returns, it is the new one. For a handful of files of a few kilobytes; knows nothing of what is in them.

import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { PipelineError } from "../contract/index.ts";

/** Readable by the owner only: parameters name addresses and where secrets lie. */
const MODE = 0o600;

/** Errors: `config_invalid` where the folder cannot be made or written to. */
export function writeJson(path: string, value: unknown): void {
  try {
    writeWhole(path, value);
  } catch (error) {
    throw unusable("write", path, error);
  }
}

function unusable(action: string, path: string, cause: unknown): PipelineError {
  const seen = (cause as NodeJS.ErrnoException).code ?? "an error";
  return new PipelineError(
    "config_invalid",
    `Cannot ${action} "${path}": expected a folder of ours to ${action} in, got ${seen}; MILLRACE_HOME names another`,
    { cause, context: { path } },
  );
}

function writeWhole(path: string, value: unknown): void {
  mkdirSync(dirname(path), { recursive: true });
  const beside = `${path}.${process.pid}.new`;
  const fd = openSync(beside, "w", MODE);
  try {
    writeSync(fd, `${JSON.stringify(value, null, 2)}\n`);
    // Before the rename: a crash of the machine must not leave an empty file under the name.
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(beside, path);
  // After the rename: the new name is an entry of the folder, and a power cut may lose it until that is on disk too.
  const folder = openSync(dirname(path), "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/** Null when there is no such file. Errors: `config_invalid` for one that is not JSON or cannot be read. */
export function readJson<T>(path: string): T | null {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw unusable("read", path, error);
  }
  try {
    return JSON.parse(text) as T;
  } catch (cause) {
    throw new PipelineError(
      "config_invalid",
      `Cannot read "${path}": expected JSON; move it away to begin anew`,
      {
        cause,
      },
    );
  }
}
