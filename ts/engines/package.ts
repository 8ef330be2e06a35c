// The code that engines run, as one folder and as the zip in which it travels to Ray. Equal files make equal bytes and an equal name, so a head that has it gets no
// second copy and a changed file never runs under an old name. Caches and tests stay behind.

import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { type Zippable, zipSync } from "fflate";

export interface Package {
  /** `_ray_pkg_<hash>.zip`, the form Ray asks for. */
  readonly name: string;
  readonly bytes: Buffer;
}

/** The oldest time a zip can say; the files' own would make every checkout another package. */
const EPOCH = new Date(1980, 0, 1);

const isExcluded = (path: string) => /(^|\/)(__pycache__|tests|\.[^/]*)(\/|$)|\.pyc$|\.test\.ts$/.test(path);

function files(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join("/"))
    .filter((path) => !isExcluded(path))
    .sort();
}

/** Where the files of several folders that are laid over each other lie, by path: of two of one path the later folder's counts. */
function laidOver(folders: readonly string[]): [path: string, file: string][] {
  const found = new Map(
    folders.flatMap((folder) => files(folder).map((path) => [path, join(folder, path)] as const)),
  );
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Hash of all files that matter in folders that are laid over each other: their paths and bytes, in order. */
export function digestOf(...folders: readonly string[]): string {
  const hash = createHash("sha256");
  for (const [path, file] of laidOver(folders)) {
    const bytes = readFileSync(file);
    hash.update(`${path}\0${bytes.length}\0`).update(bytes);
  }
  return hash.digest("hex").slice(0, 32);
}

/** A running job reads its code again when a worker starts; who changes it this often within the life of a job must restart it. */
const ASSEMBLED_MAX = 20;

/**
 * One folder with the files of several, below `into` under their digest, so that a job goes on with the files it began with. One
 * folder is its own. Beyond a bound the oldest go.
 */
export function assembled(
  folders: readonly [string, ...string[]],
  into: string,
): { readonly folder: string; readonly digest: string } {
  const digest = digestOf(...folders);
  if (folders.length === 1) return { folder: folders[0], digest };
  const folder = join(into, digest);
  if (existsSync(folder)) return { folder, digest };
  const part = `${folder}.${process.pid}.part`;
  for (const [path, file] of laidOver(folders)) {
    mkdirSync(dirname(join(part, path)), { recursive: true });
    cpSync(file, join(part, path));
  }
  try {
    renameSync(part, folder);
  } catch (error) {
    // Somebody else was faster, with the same files.
    rmSync(part, { recursive: true, force: true });
    if (!existsSync(folder)) throw error;
  }
  const old = readdirSync(into)
    .map((name) => ({ path: join(into, name), at_ms: statSync(join(into, name)).mtimeMs }))
    .sort((a, b) => b.at_ms - a.at_ms)
    .slice(ASSEMBLED_MAX);
  for (const { path } of old) rmSync(path, { recursive: true, force: true });
  return { folder, digest };
}

export function zipOf(folder: string): Package {
  const entries: Zippable = {};
  for (const path of files(folder)) entries[path] = readFileSync(join(folder, path));
  return {
    name: `_ray_pkg_${digestOf(folder)}.zip`,
    bytes: Buffer.from(zipSync(entries, { level: 6, mtime: EPOCH })),
  };
}
