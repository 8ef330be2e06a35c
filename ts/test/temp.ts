// Gives the unit tests a temporary folder of their own and removes it after the last of them: what a test makes below
// tmpdir() is gone even when the test itself was cut short. Not for the cluster tests, whose paths must stay short.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export default function setup(): () => void {
  const folder = mkdtempSync(join(tmpdir(), "millrace-unit-"));
  // Workers start after this and inherit it; tmpdir() reads it.
  process.env["TMPDIR"] = folder;
  return () => rmSync(folder, { recursive: true, force: true });
}
