// Credentials: settings name them, one file has them. Properties lie in settings, parameters and submissions, which others may
// read; a secret never enters a message.

import { readFileSync } from "node:fs";
import { PipelineError } from "../contract/errors.ts";

/** Client properties in librdkafka's names, and the file of secrets; null when there is none. */
export interface Credentials {
  readonly properties: Readonly<Record<string, string>>;
  readonly secrets_path: string | null;
}

/** Properties whose value is a secret: passwords, and keys that are not given by the path of a file. */
const isSecret = (name: string) =>
  /(?:password|passphrase|secret)$|\.key(?:store)?\./.test(name) && !name.endsWith(".location");

/** Errors: `config_invalid` for a secret that is written out instead of named, naming the property and never its value. */
export function refuseLiteralSecrets(properties: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(properties))
    if (isSecret(name) && !value.startsWith("secret:"))
      throw refusedSetting(
        name,
        '"secret:NAME" and the secret under NAME in the file of MILLRACE_SECRETS',
        "a literal",
      );
}

/** Every property with its value, secrets looked up. Errors: `config_invalid` for a secret that is missing, or an unreadable file. */
export function resolveSecrets(
  { properties, secrets_path }: Credentials,
  what = "Kafka setting",
): Map<string, string> {
  let secrets: Record<string, unknown> | null = null;
  const values = new Map<string, string>();
  for (const [name, value] of Object.entries(properties)) {
    if (!value.startsWith("secret:")) {
      values.set(name, value);
      continue;
    }
    const secret = value.slice("secret:".length);
    if (secrets_path === null)
      throw refusedSetting(name, `a secrets file that holds "${secret}"`, "no secrets file", what);
    secrets ??= JSON.parse(readNamed(secrets_path, name, what)) as Record<string, unknown>;
    const found = secrets[secret];
    if (typeof found !== "string")
      throw refusedSetting(name, `a text "${secret}" in "${secrets_path}"`, typeof found, what);
    values.set(name, found);
  }
  return values;
}

/** The text of a file that a property names. Errors: `config_invalid`. */
export function readNamed(path: string, name: string, what = "Kafka setting"): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new PipelineError("config_invalid", `Cannot read "${path}" named by ${what} "${name}"`, {
      cause,
    });
  }
}

export function refusedSetting(
  name: string,
  wanted: string,
  seen: string,
  what = "Kafka setting",
): PipelineError {
  return new PipelineError("config_invalid", `Cannot use ${what} "${name}": expected ${wanted}, got ${seen}`);
}
