// Settings from the environment and the flags of one command. Read once, checked here, frozen, passed down: nothing
// below ts/cli looks at the environment. Every variable is a row of a table; docs/settings.md says them all.

import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { PipelineError } from "../contract/errors.ts";
import {
  type Cluster,
  isPlace,
  PORT_SETTING,
  PORTS,
  type Port,
  type Ports,
  type Settings,
  settingsOf,
} from "../engines/settings.ts";
import { refuseLiteralSecrets } from "../kafka/access.ts";
import { NAMESPACE } from "../pipelines/rules.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Flags {
  readonly namespace?: string | undefined;
  /** Wins over the variable, and over what complete settings say. */
  readonly pipeline?: string | undefined;
  /** JSON file of complete settings; wins over the environment, so that a child holds its parent's addresses. */
  readonly settings?: string | undefined;
}

/** Variables that take one setting each, beside the ports. */
const TEXT = {
  MILLRACE_NAMESPACE: "namespace",
  MILLRACE_PIPELINE: "pipeline",
  MILLRACE_JOB_PYTHON: "pythonPath",
  MILLRACE_ARCHIVE: "archive",
  MILLRACE_SPARK_REST_URL: "sparkRestUrl",
  MILLRACE_SPARK_UI_URL: "sparkUiUrl",
} as const satisfies Record<string, keyof Settings>;

/** Variables whose presence means that the cluster exists already and is not started here. */
const EXTERNAL = {
  MILLRACE_REGISTRY_URL: ["registry", "registryUrl"],
  MILLRACE_SPARK_MASTER_URL: ["spark", "sparkMasterUrl"],
  MILLRACE_RAY_URL: ["ray", "rayUrl"],
  MILLRACE_MLFLOW_URL: ["mlflow", "mlflowUrl"],
} as const satisfies Record<string, readonly [Cluster, keyof Settings]>;

function invalid(name: string, value: string, wanted: string): PipelineError {
  return new PipelineError("config_invalid", `Cannot use setting ${name}="${value}": expected ${wanted}`);
}

/** Reads a set of ports. Errors: `config_invalid` for no port number, and for a port among those of Ray's workers. */
export function portsFrom(env: Environment): Ports {
  const ports = { ...PORTS } as Record<Port, number>;
  for (const [port, name] of Object.entries(PORT_SETTING) as [Port, string][]) {
    const value = env[name];
    if (value === undefined || value === "") continue;
    const number = Number(value);
    if (!Number.isInteger(number) || number < 1024 || number > 65_535)
      throw invalid(name, value, "a port from 1024 to 65535");
    ports[port] = number;
  }
  const { rayWorkerMin: first, rayWorkerMax: last } = ports;
  if (last - first < 10)
    throw invalid(PORT_SETTING.rayWorkerMax, String(last), `at least ten ports from ${first} on`);
  for (const [port, number] of Object.entries(ports) as [Port, number][])
    if (port !== "rayWorkerMin" && port !== "rayWorkerMax" && number >= first && number <= last)
      throw invalid(
        PORT_SETTING[port],
        String(number),
        `a port outside ${first} to ${last}, which are Ray's workers' (${PORT_SETTING.rayWorkerMin}, ${PORT_SETTING.rayWorkerMax})`,
      );
  return ports;
}

function json(name: string, path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new PipelineError("config_invalid", `Cannot read ${name} "${path}": expected a JSON file`, {
      cause,
    });
  }
}

/** Errors: `config_invalid` for anything but texts by name, and for a secret that is written out. */
function propertiesFrom(path: string | undefined): Record<string, string> | null {
  if (!path) return null;
  const given = json("MILLRACE_KAFKA_PROPERTIES", path);
  if (typeof given !== "object" || given === null || Array.isArray(given))
    throw invalid("MILLRACE_KAFKA_PROPERTIES", path, "a file that holds an object of texts");
  const properties = given as Record<string, string>;
  for (const [name, value] of Object.entries(properties))
    if (typeof value !== "string")
      throw invalid("MILLRACE_KAFKA_PROPERTIES", path, `a text under "${name}" in the file`);
  refuseLiteralSecrets(properties);
  return properties;
}

/** Settings for one command. Errors: `config_invalid`, naming the variable or flag, what was wanted and what was seen. */
export function settingsFrom(root: string, env: Environment, flags: Flags = {}): Settings {
  const named = flags.pipeline === undefined ? {} : { pipeline: flags.pipeline };
  if (flags.settings !== undefined) {
    const settings = { ...(json("--settings", flags.settings) as Settings), ...named };
    refuseLiteralSecrets(settings.kafka.properties);
    return Object.freeze(settings);
  }
  const text: Partial<
    Record<(typeof TEXT)[keyof typeof TEXT] | (typeof EXTERNAL)[keyof typeof EXTERNAL][1], string>
  > = {};
  for (const [name, key] of Object.entries(TEXT)) if (env[name]) text[key] = env[name];
  const external: Cluster[] = [];
  for (const [name, [cluster, key]] of Object.entries(EXTERNAL)) {
    const value = env[name];
    if (!value) continue;
    external.push(cluster);
    text[key] = value.replace(/\/+$/, "");
  }
  if (external.includes("spark"))
    for (const name of ["MILLRACE_SPARK_REST_URL", "MILLRACE_SPARK_UI_URL"])
      if (!env[name]) throw invalid(name, "", "an address, because MILLRACE_SPARK_MASTER_URL is set");
  if (env["MILLRACE_KAFKA_BOOTSTRAP"]) external.push("kafka");
  if (text.archive !== undefined && !isPlace(text.archive))
    throw invalid("MILLRACE_ARCHIVE", text.archive, "an absolute folder, file:, hdfs: or s3a://");

  const namespace = flags.namespace ?? text.namespace ?? "";
  if (!NAMESPACE.holds(namespace))
    throw invalid(
      flags.namespace === undefined ? "MILLRACE_NAMESPACE" : "--namespace",
      namespace,
      NAMESPACE.words,
    );
  const secrets = env["MILLRACE_SECRETS"];
  const properties = propertiesFrom(env["MILLRACE_KAFKA_PROPERTIES"]);
  return settingsOf(root, {
    ...text,
    ...named,
    home: resolve(env["MILLRACE_HOME"] || join(root, ".millrace")),
    namespace,
    external,
    ports: portsFrom(env),
    javaPath: env["JAVA_HOME"] ? join(env["JAVA_HOME"], "bin", "java") : "java",
    kafka: {
      ...(env["MILLRACE_KAFKA_BOOTSTRAP"] ? { bootstrap: env["MILLRACE_KAFKA_BOOTSTRAP"] } : {}),
      ...(properties === null ? {} : { properties }),
      secrets_path: secrets ? resolve(secrets) : null,
    },
  });
}
