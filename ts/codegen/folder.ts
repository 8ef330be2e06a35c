// Generated folders on disk: written whole, or compared whole. What lies there and was not rendered is left over.
// Owns every folder it is given: nothing by hand lives in them. A file outside of them is its own, and its neighbours are not.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Files } from "./render.ts";

export interface Difference {
  readonly path: string;
  readonly kind: "missing" | "stale" | "left over";
}

/** What writing would change, by path. */
export function differences(root: string, files: Files, folders: readonly string[]): Difference[] {
  const owned = folders.flatMap((folder) => filesIn(root, folder));
  const apart = [...files.keys()].filter((path) => !owned.includes(path) && existsSync(join(root, path)));
  const there = [...owned, ...apart];
  const found: Difference[] = there
    .filter((path) => !files.has(path))
    .map((path) => ({ path, kind: "left over" }));
  for (const [path, text] of files) {
    if (!there.includes(path)) found.push({ path, kind: "missing" });
    else if (readFileSync(join(root, path), "utf8") !== text) found.push({ path, kind: "stale" });
  }
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Makes the folders equal the rendered files and says what had to change. */
export function write(root: string, files: Files, folders: readonly string[]): Difference[] {
  const changes = differences(root, files, folders);
  for (const { path, kind } of changes) {
    if (kind === "left over") {
      rmSync(join(root, path));
      continue;
    }
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), files.get(path)!);
  }
  return changes;
}

/** Python's caches are no files of ours. */
function filesIn(root: string, folder: string): string[] {
  const entries = (() => {
    try {
      return readdirSync(join(root, folder), { withFileTypes: true });
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
      throw error;
    }
  })();
  return entries.flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return entry.name === "__pycache__" ? [] : filesIn(root, path);
    return [path];
  });
}
