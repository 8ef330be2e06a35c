// `millrace generate`: writes what is derived from contracts and pipelines, or checks that it is fresh.

import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { Command } from "commander";
import { clientTypes } from "../../codegen/client.ts";
import { type Difference, differences, write } from "../../codegen/folder.ts";
import { generate } from "../../codegen/generate.ts";
import { COMMAND } from "../../codegen/render.ts";
import { PipelineError } from "../../contract/index.ts";
import type { Flags } from "../../settings/environment.ts";
import { API_PIPELINE } from "../../settings/settings.ts";

const CLIENT = "ts/client/generated";

/** The types of the client, by the pipelines of the checkout that are served. */
async function generateClient(root: string, check: boolean): Promise<Difference[]> {
  const { PIPELINES } = await import("../../pipelines/generated/table.ts");
  const { domainOf } = await import("../../serve/domain.ts");
  const { describe } = await import("../../serve/describe.ts");
  const served = Object.values(PIPELINES)
    .filter(({ pipeline }) => "serve" in pipeline)
    .map(({ pipeline, contract }) => ({ contract, domain: domainOf({ pipeline, folder: null }) }))
    .sort(
      (a, b) => Number(b.contract.pipeline === API_PIPELINE) - Number(a.contract.pipeline === API_PIPELINE),
    );
  const read = (path: string) => readFileSync(join(root, path), "utf8");
  const { version } = JSON.parse(read("package.json")) as { version: string };
  const document = describe(served, { version, confidence: "See docs/confidence.md." });
  const files = new Map([[`${CLIENT}/api.ts`, clientTypes(document, COMMAND)]]);
  return (check ? differences : write)(root, files, [CLIENT]);
}

export function generateCommand(root: string): Command {
  return new Command("generate")
    .description("Writes schemas, TypeScript and Python from the contracts and pipelines")
    .option("--check", "write nothing, fail when a file is stale, missing or left over", false)
    .option("--json", "print the differences as JSON", false)
    .addHelpText(
      "after",
      "\nWith --pipelines <folder> it is the files of that folder's pipelines, in <folder>/generated.\n\nExamples:\n  millrace generate --check\n  millrace generate --pipelines ../mine",
    )
    .action(async ({ check, json }: { check: boolean; json: boolean }, command: Command) => {
      const { pipelines } = command.optsWithGlobals<Flags>();
      const folder = pipelines === undefined ? null : resolve(pipelines);
      const found = generate({ root, check, pipelines: folder });
      // By the contracts as they were just written: they are loaded only now.
      if (folder === null && (!check || found.length === 0))
        found.push(...(await generateClient(root, check)));
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
