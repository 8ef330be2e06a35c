// Which folder outside the checkout has further pipelines: said once, where settings are read, for the whole process, which works for
// one namespace and so for one such folder. Needs nothing that is generated.

import { existsSync } from "node:fs";
import { pipelinesIn } from "./folder.ts";

export interface Further {
  readonly folder: string;
  readonly names: readonly string[];
}

let current: Further | null = null;

/**
 * From now on the pipelines of a folder are there as well; null takes them away. A folder that is gone has none unless it is
 * `required`: a namespace goes on without what was deleted. Errors: `config_invalid` for a folder that cannot be read.
 */
export function addPipelines(folder: string | null, { required = true } = {}): void {
  current = null;
  if (folder === null || (!required && !existsSync(folder))) return;
  current = { folder, names: pipelinesIn(folder) };
}

export function furtherPipelines(): Further | null {
  return current;
}
