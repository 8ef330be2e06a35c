// The generator as one call: everything rendered, then written or compared. Called by `millrace generate` and by main.ts.

import { join } from "node:path";
import { PipelineError } from "../contract/index.ts";
import { GENERATED, pipelinesIn } from "../pipelines/folder.ts";
import { type Difference, differences, write } from "./folder.ts";
import {
  definitionsIn,
  ENGINES,
  type Files,
  LAYOUT,
  LAYOUT_BESIDE,
  type Layout,
  pipelineFiles,
  sharedFiles,
} from "./render.ts";
import { serviceFiles } from "./topology.ts";

/** Pipelines that only tests have. */
const FIXTURES = "ts/test/pipelines";

const LAYOUT_FIXTURES: Layout = {
  ...LAYOUT,
  typescript: `${FIXTURES}/generated`,
  engine: ({ name }) => `jobs/${name}/tests/generated/${name}`,
  contract: "../../../pipelines/contract.ts",
};

/** Folders that hold generated files only. */
export const GENERATED_FOLDERS: readonly string[] = [
  LAYOUT.schemas,
  ...Object.values(LAYOUT.formats),
  LAYOUT.typescript,
  "ts/contract/generated",
  "ts/jobs/generated",
  "docs/generated",
  "infra/compose/generated",
  ...ENGINES.map(LAYOUT.engine),
  LAYOUT_FIXTURES.typescript,
  ...ENGINES.map(LAYOUT_FIXTURES.engine),
];

/** Generated files among others: where whoever reads them looks for them. */
export const GENERATED_FILES: readonly string[] = [
  "infra/compose/compose.yaml",
  "infra/compose/compose.large.yaml",
];

const PIPELINES = "ts/pipelines";

/** Of the pipelines that only tests have what tests need: their contracts, for TypeScript and for each engine that has work with them. */
function fixtureFiles(root: string): Files {
  const { typescript } = LAYOUT_FIXTURES;
  const wanted = (path: string) => path.startsWith(`${typescript}/`) || path.endsWith("_contract.py");
  return new Map(
    definitionsIn(root, FIXTURES).flatMap((definition) =>
      [...pipelineFiles(root, definition, LAYOUT_FIXTURES)].filter(([path]) => wanted(path)),
    ),
  );
}

/** Every generated file of the repository, in memory. Errors: `contract_rejected`. */
export function render(root: string): Files {
  const definitions = definitionsIn(root, PIPELINES);
  return new Map([
    ...sharedFiles(root, definitions),
    ...definitions.flatMap((definition) => [...pipelineFiles(root, definition, LAYOUT)]),
    ...fixtureFiles(root),
    ...serviceFiles(root),
  ]);
}

/** The generated files of the pipelines in a folder outside the repository, by their paths in it. Errors: `contract_rejected`. */
export function renderBeside(root: string, folder: string): Files {
  const own = pipelinesIn(join(root, PIPELINES));
  const twice = pipelinesIn(folder).find((name) => own.includes(name));
  if (twice !== undefined)
    throw new PipelineError(
      "contract_rejected",
      `Cannot use pipelines in "${folder}": expected names that the checkout does not have, got "${twice}"`,
    );
  return new Map(
    definitionsIn(folder).flatMap((definition) => [...pipelineFiles(root, definition, LAYOUT_BESIDE)]),
  );
}

export interface GenerateOptions {
  readonly root: string;
  readonly check: boolean;
  /** A folder of pipelines outside the repository, beside which its files are written; null for the repository's own. */
  readonly pipelines?: string | null;
}

/** Writes what is stale, missing or left over, or with `check` only says what is. Returns the differences it found. */
export function generate({ root, check, pipelines = null }: GenerateOptions): Difference[] {
  const apply = check ? differences : write;
  return pipelines === null
    ? apply(root, render(root), GENERATED_FOLDERS)
    : apply(pipelines, renderBeside(root, pipelines), [GENERATED]);
}
