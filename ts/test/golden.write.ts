// Rewrites the golden files from the code as it is: run it by hand when the wire is meant to move, and commit what it
// changed by itself, with what moved and why. `node ts/test/golden.write.ts` from the repo's root.

import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { GOLDEN, PARTS, type Part, textOf } from "./golden.ts";

const root = join(import.meta.dirname, "..", "..");
const write = async (part: Part): Promise<void> =>
  writeFileSync(join(GOLDEN, `${part}.json`), textOf(await PARTS[part]()));
const writePython = (module: string): void => {
  const PYTHONPATH = ["pyspark", "ray"].map((engine) => join(root, "jobs", engine)).join(":");
  const env = { ...process.env, PYTHONPATH };
  execFileSync(join(root, ".venv", "bin", "python"), ["-m", module], { cwd: root, env, stdio: "inherit" });
};

// In the order in which one reads the other's.
await write("contract");
await write("source");
writePython("tests.golden_features");
writePython("tests.golden_forecasts");
await write("resent");
