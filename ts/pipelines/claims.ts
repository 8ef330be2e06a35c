// Which paths of the API a pipeline claims for its domain, and that no two claim one. Pure: whoever applies a pipeline asks.

import { PipelineError } from "../contract/index.ts";
import { CLAIMED } from "./rules.ts";

/** A pipeline's own paths, in OpenAPI's form. */
export interface Claims {
  readonly pipeline: string;
  readonly paths: readonly string[];
}

/** `/api/city-statistics`, `/api/buses/{bus_id}`: literal at first, then literals and parameters, each a whole segment. */
const PATH = /^(?:\/[a-z0-9][a-z0-9._-]*)(?:\/(?:[a-z0-9][a-z0-9._-]*|\{[a-z][a-z0-9_]*\}))*$/;
export const PATH_WORDS = "a path of lower-case words, {parameters} after the first, as /api/buses/{bus_id}";

export const isClaimable = (path: string): boolean => PATH.test(path);

const segmentsOf = (path: string): string[] => path.slice(1).split("/");

/** Whether there is an address that both paths are of: a parameter takes any segment. */
export function overlap(one: string, other: string): boolean {
  const [a, b] = [segmentsOf(one), segmentsOf(other)];
  const free = (segment: string) => segment.startsWith("{");
  return a.length === b.length && a.every((segment, i) => segment === b[i] || free(segment) || free(b[i]!));
}

/**
 * Errors: `config_invalid`, naming both, for a path that the general routes, a pipeline of that name or another pipeline's domain
 * has, and for one claimed twice.
 */
export function assertUnclaimed({ pipeline, paths }: Claims, others: readonly Claims[]): void {
  const refuse = (path: string, wanted: string, seen: string): never => {
    throw new PipelineError(
      "config_invalid",
      `Cannot apply pipeline "${pipeline}" with its route "${path}": expected ${wanted}, got ${seen}`,
    );
  };
  const names = [pipeline, ...others.map((other) => other.pipeline)];
  for (const [i, path] of paths.entries()) {
    if (!isClaimable(path)) refuse(path, PATH_WORDS, "another text");
    const [first] = segmentsOf(path);
    if (CLAIMED.includes(first!))
      refuse(path, "a path of its own", `one that the general routes "/${first}" have`);
    if (names.includes(first!))
      refuse(path, "a path of its own", `one below "/${first}", which is pipeline "${first}"`);
    const twice = paths.slice(0, i).find((before) => overlap(before, path));
    if (twice !== undefined) refuse(path, "a path that is claimed once", `"${twice}" of the same pipeline`);
    for (const other of others) {
      const taken = other.paths.find((claimed) => overlap(claimed, path));
      if (taken !== undefined)
        refuse(path, "a path that no other pipeline claims", `"${taken}" of pipeline "${other.pipeline}"`);
    }
  }
}
