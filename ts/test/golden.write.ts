// Rewrites the golden files and the bytes of the examples from the contract and the code as they are, behind `make golden`: for
// when the wire is meant to move. Commit what it changed by itself, with what moved and why.

import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { writeExamples } from "./contract/examples.ts";
import { GOLDEN, PARTS, type Part, textOf } from "./golden.ts";

const root = join(import.meta.dirname, "..", "..");
const write = async (part: Part): Promise<void> =>
  writeFileSync(join(GOLDEN, `${part}.json`), textOf(await PARTS[part]()));
const writePython = (module: string): void => {
  const PYTHONPATH = ["pyspark", "ray"].map((engine) => join(root, "jobs", engine)).join(":");
  const env = { ...process.env, PYTHONPATH };
  execFileSync(join(root, ".venv", "bin", "python"), ["-m", module], { cwd: root, env, stdio: "inherit" });
};

writeExamples();
// In the order in which one reads the other's.
await write("contract");
await write("source");
writePython("tests.golden_features");
writePython("tests.golden_forecasts");
await write("resent");
