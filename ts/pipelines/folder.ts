// Pipelines as they lie in a folder: `<folder>/<name>/pipeline.ts` exports the definition of a pipeline under its own name, and
// whatever else is the domain's lies beside it. No list names them. For the generator, and for folders outside the checkout.

import { existsSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { PipelineError } from "../contract/index.ts";
import type { Contract } from "./contract.ts";
import type { Pipeline } from "./define.ts";
import { PIPELINE } from "./rules.ts";

/** Node loads TypeScript by leaving the types out; a module that waits at its top cannot be loaded so. */
const load = createRequire(import.meta.url);

export const FILE = "pipeline.ts";

/** What the generator writes into a folder outside the checkout. */
export const GENERATED = "generated";

/** Names of the pipelines in a folder, sorted. Errors: `config_invalid` for one that cannot be read. */
export function pipelinesIn(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && existsSync(join(folder, entry.name, FILE)))
      .map(({ name }) => name)
      .sort();
  } catch (cause) {
    throw new PipelineError(
      "config_invalid",
      `Cannot read pipelines in "${folder}": expected a folder with "<name>/${FILE}" for each`,
      { cause },
    );
  }
}

/** Errors: `contract_rejected` for a file that does not export the pipeline of its folder's name. */
export function definitionIn(folder: string, name: string): Pipeline {
  const path = join(folder, name, FILE);
  const refused = (seen: string, cause?: unknown) =>
    new PipelineError(
      "contract_rejected",
      `Cannot use "${path}": expected it to export the pipeline "${name}" under that name, got ${seen}`,
      { cause },
    );
  if (!PIPELINE.holds(name))
    throw new PipelineError(
      "contract_rejected",
      `Cannot use "${path}": expected a folder with a pipeline's name (${PIPELINE.words}), got "${name}"`,
    );
  const exported = loaded(path, (cause) => refused("an error", cause));
  const pipeline = exported[name] as Pipeline | undefined;
  if (typeof pipeline !== "object" || pipeline === null)
    throw refused(Object.keys(exported).join(", ") || "nothing");
  if (pipeline.name !== name) throw refused(`one that calls itself "${pipeline.name}"`);
  return pipeline;
}

/** The generated contract of a pipeline outside the checkout. Errors: `config_invalid` where it was not generated. */
export function contractIn(folder: string, name: string): Contract {
  const path = join(folder, GENERATED, `${name}.ts`);
  const missing = (cause?: unknown) =>
    new PipelineError(
      "config_invalid",
      `Cannot use pipeline "${name}": expected its generated contract in "${path}", got none; run "millrace generate --pipelines ${folder}"`,
      { cause },
    );
  if (!existsSync(path)) throw missing();
  return (loaded(path, missing)["CONTRACT"] as Contract | undefined) ?? throwing(missing());
}

function loaded(path: string, refused: (cause: unknown) => PipelineError): Record<string, unknown> {
  try {
    return load(path) as Record<string, unknown>;
  } catch (error) {
    throw refused(error);
  }
}

function throwing(error: PipelineError): never {
  throw error;
}
