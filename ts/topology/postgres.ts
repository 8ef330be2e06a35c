// PostgreSQL as its npm package brings it: what of the package a server needs, and how a database of ours is made. Starts nothing.

import { cpSync, existsSync, readFileSync, symlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/** Not needed to run, and half of its size. */
const LEFT_OUT =
  /\.a$|\/(?:pgxs|pkgconfig)$|\/(?:bitcode|jsonb_pl|hstore_pl|ltree_pl|pl(?:perl|python3|tcl))/;

/** How a new database is made, beside its folder and the password's file. */
export const INITDB = [
  "--username=millrace",
  "--auth=scram-sha-256",
  "--encoding=UTF8",
  "--locale=C",
  "--data-checksums",
  "--no-instructions",
] as const;

/** Copies the program into a folder that is there, with the links that the package's install script would make. */
export function copyProgram(from: string, folder: string): void {
  for (const part of ["bin", "lib", "share"])
    cpSync(join(from, part), join(folder, part), {
      recursive: true,
      filter: (path) => !LEFT_OUT.test(path.slice(from.length)),
    });
  for (const { source, target } of links(from))
    if (existsSync(join(folder, source)) && !existsSync(join(folder, target)))
      symlinkSync(basename(source), join(folder, target));
}

/** What the install script would link: paths within the package, each link beside what it leads to. */
function links(from: string): readonly { readonly source: string; readonly target: string }[] {
  const all = JSON.parse(readFileSync(join(from, "pg-symlinks.json"), "utf8")) as {
    source: string;
    target: string;
  }[];
  const within = (path: string) => path.replace(/^native\//, "");
  return all
    .map(({ source, target }) => ({ source: within(source), target: within(target) }))
    .filter(({ source, target }) => dirname(source) === dirname(target));
}
