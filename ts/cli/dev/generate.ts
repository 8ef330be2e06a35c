// `millrace generate`: writes what is derived from contracts and pipelines, or checks that it is fresh.

import { resolve } from "node:path";
import { Command } from "commander";
import { generate } from "../../codegen/generate.ts";
import { COMMAND } from "../../codegen/render.ts";
import { PipelineError } from "../../contract/index.ts";
import type { Flags } from "../../settings/environment.ts";

export function generateCommand(root: string): Command {
  return new Command("generate")
    .description("Writes schemas, TypeScript and Python from the contracts and pipelines")
    .option("--check", "write nothing, fail when a file is stale, missing or left over", false)
    .option("--json", "print the differences as JSON", false)
    .addHelpText(
      "after",
      "\nWith --pipelines <folder> it is the files of that folder's pipelines, in <folder>/generated.\n\nExamples:\n  millrace generate --check\n  millrace generate --pipelines ../mine",
    )
    .action(({ check, json }: { check: boolean; json: boolean }, command: Command) => {
      const { pipelines } = command.optsWithGlobals<Flags>();
      const folder = pipelines === undefined ? null : resolve(pipelines);
      const found = generate({ root, check, pipelines: folder });
      if (json) console.log(JSON.stringify(found));
      else for (const { path, kind } of found) console.log(`${kind.padEnd(9)} ${path}`);
      if (check && found.length > 0)
        throw new PipelineError(
          "contract_rejected",
          `Cannot use the generated files: expected all to be fresh, got ${found.length} that are not; run: ${
            folder === null ? COMMAND : `millrace generate --pipelines ${folder}`
          }`,
        );
      if (!json)
        console.log(found.length === 0 ? "all generated files are fresh" : `${found.length} files written`);
    });
}
