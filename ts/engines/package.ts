// The zip in which code travels to Ray. Equal files make equal bytes and an equal name, so a head that has it gets no
// second copy and a changed file never runs under an old name. Caches and tests stay behind.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { type Zippable, zipSync } from "fflate";

export interface Package {
  /** `_ray_pkg_<hash>.zip`, the form Ray asks for. */
  readonly name: string;
  readonly bytes: Buffer;
}

/** The oldest time a zip can say; the files' own would make every checkout another package. */
const EPOCH = new Date(1980, 0, 1);

const left = (path: string) => /(^|\/)(__pycache__|tests|\.[^/]*)(\/|$)|\.pyc$|\.test\.ts$/.test(path);

function files(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join("/"))
    .filter((path) => !left(path))
    .sort();
}

/** Hash of all files that matter in a folder: their paths and bytes, in order. */
export function digestOf(folder: string): string {
  const hash = createHash("sha256");
  for (const path of files(folder)) {
    const bytes = readFileSync(join(folder, path));
    hash.update(`${path}\0${bytes.length}\0`).update(bytes);
  }
  return hash.digest("hex").slice(0, 32);
}

export function zipOf(folder: string): Package {
  const entries: Zippable = {};
  for (const path of files(folder)) entries[path] = readFileSync(join(folder, path));
  return {
    name: `_ray_pkg_${digestOf(folder)}.zip`,
    bytes: Buffer.from(zipSync(entries, { level: 6, mtime: EPOCH })),
  };
}
