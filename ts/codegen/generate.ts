// The generator as one call: everything rendered, then written or compared. Called by `millrace generate` and by main.ts.

import { definitions } from "../pipelines/definitions.ts";
import { type Difference, differences, write } from "./folder.ts";
import { definition, ENGINES, type Files, LAYOUT, pipelineFiles, sharedFiles } from "./render.ts";
import { serviceFiles } from "./topology.ts";

/** Folders that hold generated files only. */
export const FOLDERS: readonly string[] = [
  LAYOUT.schemas,
  LAYOUT.typescript,
  "ts/contract/generated",
  "ts/jobs/generated",
  "docs/generated",
  ...ENGINES.map(LAYOUT.engine),
];

/** Every generated file of the repository, in memory. Errors: `contract_rejected`. */
export function render(root: string): Files {
  return new Map([
    ...sharedFiles(root),
    ...definitions.flatMap((pipeline) => [...pipelineFiles(root, definition(pipeline), LAYOUT)]),
    ...serviceFiles(root),
  ]);
}

/** Writes what is stale, missing or left over, or with `check` only says what is. Returns the differences it found. */
export function generate({ root, check }: { readonly root: string; readonly check: boolean }): Difference[] {
  return (check ? differences : write)(root, render(root), FOLDERS);
}
