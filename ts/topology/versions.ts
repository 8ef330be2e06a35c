// The version of what a service is made of, read from the one file that has it. No version is stated twice.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PipelineError } from "../contract/errors.ts";
import type { Artifact } from "./entry.ts";

/** The file that has the version, and how it is written there. */
function placeOf(artifact: Artifact): readonly [string, RegExp] {
  switch (artifact.from) {
    case "maven": {
      const property = RegExp.escape(artifact.property);
      return ["infra/local/maven/pom.xml", new RegExp(`<${property}>([^<]+)</${property}>`)];
    }
    case "jobs":
      return [
        "uv.lock",
        new RegExp(`^name = "${RegExp.escape(artifact.package)}"\\nversion = "([^"]+)"`, "m"),
      ];
    case "mlflow":
      return [
        "infra/local/mlflow/requirements.txt",
        new RegExp(`^${RegExp.escape(artifact.package)}==([^\\s;]+)`, "m"),
      ];
    case "npm":
      return [
        "package-lock.json",
        // Without what a packager adds of its own: 18.4.0-beta.17 holds PostgreSQL 18.4.
        new RegExp(`"node_modules/${RegExp.escape(artifact.package)}": \\{\\s*"version": "([^"-]+)`),
      ];
  }
}

/** Errors: `config_invalid` when the file does not have it. */
export function versionOf(root: string, artifact: Artifact): string {
  const [file, pattern] = placeOf(artifact);
  const version = pattern.exec(readFileSync(join(root, file), "utf8"))?.[1];
  if (version === undefined)
    throw new PipelineError(
      "config_invalid",
      `Cannot say the version of "${artifact.from === "maven" ? artifact.property : artifact.package}": expected it in "${file}", it is not there`,
    );
  return version;
}
