// Runs the generator without the CLI, whose own modules may need what is not generated yet: node ts/codegen/main.ts [--check].

import { join } from "node:path";
import { explain } from "../contract/errors.ts";
import { generate } from "./generate.ts";
import { COMMAND } from "./render.ts";

const check = process.argv.includes("--check");
try {
  const found = generate({ root: join(import.meta.dirname, "..", ".."), check });
  for (const { path, kind } of found) console.log(`${kind.padEnd(9)} ${path}`);
  if (check && found.length > 0) {
    console.error(`${found.length} generated files are not fresh; run: ${COMMAND}`);
    process.exitCode = 1;
  }
} catch (error) {
  console.error(explain(error));
  process.exitCode = 1;
}
