// The named functions of the domains, as the engines' Python has them: what derived columns and queries of a pipeline may name.
// Reads definitions only; a name that begins with an underscore is a module's own.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export const DERIVED = "jobs/ray/ray_jobs/model/derived";
/** Below it a domain of the checkout keeps its own; one outside has `pyspark/spark_jobs/queries` beside its definition. */
export const QUERIES = "jobs/pyspark/spark_jobs/queries";
export const QUERIES_BESIDE = "pyspark/spark_jobs/queries";

/** `<module>.<name>` → names of its parameters. */
export type Functions = ReadonlyMap<string, readonly string[]>;

/** Those of a folder; none without it. */
export function functionsIn(root: string, folder: string): Functions {
  const found = new Map<string, readonly string[]>();
  if (!existsSync(join(root, folder))) return found;
  for (const file of readdirSync(join(root, folder))
    .filter((name) => name.endsWith(".py"))
    .sort())
    for (const [, name, parameters] of readFileSync(join(root, folder, file), "utf8").matchAll(
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
