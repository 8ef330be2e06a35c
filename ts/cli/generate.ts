// `millrace generate`: writes what is derived from contracts and pipelines, or checks that it is fresh.

import { Command } from "commander";
import { generate } from "../codegen/generate.ts";
import { COMMAND } from "../codegen/render.ts";
import { PipelineError } from "../contract/index.ts";

export function generateCommand(root: string): Command {
  return new Command("generate")
    .description("Writes schemas, TypeScript and Python from the contracts and pipelines")
    .option("--check", "write nothing, fail when a file is stale, missing or left over", false)
    .option("--json", "print the differences as JSON", false)
    .addHelpText("after", "\nExample:\n  millrace generate --check")
    .action(({ check, json }: { check: boolean; json: boolean }) => {
      const found = generate({ root, check });
      if (json) console.log(JSON.stringify(found));
      else for (const { path, kind } of found) console.log(`${kind.padEnd(9)} ${path}`);
      if (check && found.length > 0)
        throw new PipelineError(
          "contract_rejected",
          `Cannot use the generated files: expected all to be fresh, got ${found.length} that are not; run: ${COMMAND}`,
        );
      if (!json)
        console.log(found.length === 0 ? "all generated files are fresh" : `${found.length} files written`);
    });
}
