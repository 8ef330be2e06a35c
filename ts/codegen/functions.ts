// The named functions of the domains, as the engine's Python has them: what a pipeline's derived columns may call.
// Reads definitions only; a name that begins with an underscore is a module's own.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export const DERIVED = "jobs/ray/ray_jobs/model/derived";

/** `<module>.<name>` → names of its parameters. */
export type Functions = ReadonlyMap<string, readonly string[]>;

export function functionsIn(root: string): Functions {
  const found = new Map<string, readonly string[]>();
  for (const file of readdirSync(join(root, DERIVED))
    .filter((name) => name.endsWith(".py"))
    .sort())
    for (const [, name, parameters] of readFileSync(join(root, DERIVED, file), "utf8").matchAll(
      /^def ([a-z]\w*)\(([^)]*)\)/gm,
    ))
      found.set(
        `${file.slice(0, -".py".length)}.${name}`,
        parameters!
          .split(",")
          .map((parameter) => parameter.split(":")[0]!.trim())
          .filter((parameter) => parameter !== ""),
      );
  return found;
}
