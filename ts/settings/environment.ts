// Settings from an environment and the flags of one command, which ts/cli hands over: checked here, frozen, passed down. Nothing
// else looks at them. Every variable is a row of a table; docs/settings.md says them all.

import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { join, resolve } from "node:path";
import { PipelineError } from "../contract/errors.ts";
import { readJson } from "../ground/json.ts";
import { addPipelines } from "../pipelines/further.ts";
import { NAMESPACE } from "../pipelines/rules.ts";
import type { Service } from "../topology/entry.ts";
import { addressesOf, portEntries, portsOf, rangesOf } from "../topology/ports.ts";
import { SERVICES } from "../topology/services.ts";
import { refuseLiteralPassword } from "./database.ts";
import { refuseLiteralSecrets } from "./secrets.ts";
import {
  API,
  API_PIPELINE,
  type ApiSettings,
  type Cluster,
  isPlace,
  type NamespaceSettings,
  type Ports,
  type Settings,
  settingsOf,
  settingsPath,
} from "./settings.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Flags {
  readonly namespace?: string | undefined;
  /** Wins over the variable, and over what complete settings say. */
  readonly pipeline?: string | undefined;
  /** Folder of pipelines beside those of the checkout; empty for none. Wins over the variable and over the namespace's. */
  readonly pipelines?: string | undefined;
  /** JSON file of complete settings; wins over the environment, so that a child holds its parent's addresses. */
  readonly settings?: string | undefined;
}

/** Variables that take one setting each, beside ports and addresses. */
const TEXT = {
  MILLRACE_NAMESPACE: "namespace",
  MILLRACE_PIPELINE: "pipeline",
  MILLRACE_JOB_PYTHON: "pythonPath",
  MILLRACE_ARCHIVE: "archive",
  MILLRACE_API_PIPELINE: "apiPipeline",
  MILLRACE_SPARK_DEFAULTS: "sparkDefaults",
} as const satisfies Record<string, keyof Settings>;

function invalid(name: string, value: string, wanted: string): PipelineError {
  return new PipelineError("config_invalid", `Cannot use setting ${name}="${value}": expected ${wanted}`);
}

/** Reads a set of ports. Errors: `config_invalid` for no port number, and for a port within a range of others. */
export function portsFrom(env: Environment, services: readonly Service[] = SERVICES): Ports {
  const ports: Record<string, number> = { ...portsOf(services) };
  const entries = portEntries(services);
  for (const { name, setting } of entries) {
    const value = env[setting];
    if (value === undefined || value === "") continue;
    // `Number` would take 0x2384, 1e4 and white space.
    const number = /^\d+$/.test(value) ? Number(value) : Number.NaN;
    if (!Number.isInteger(number) || number < 1024 || number > 65_535)
      throw invalid(setting, value, "a port from 1024 to 65535");
    ports[name] = number;
  }
  for (const { first, last, count_min, whose } of rangesOf(services)) {
    const [from, to] = [ports[first.name]!, ports[last.name]!];
    if (to - from + 1 < count_min)
      throw invalid(last.setting, String(to), `at least ${count_min} ports from ${from} on`);
    for (const { name, setting } of entries) {
      const number = ports[name]!;
      if (name !== first.name && name !== last.name && number >= from && number <= to)
        throw invalid(
          setting,
          String(number),
          `a port outside ${from} to ${to}, which are ${whose} (${first.setting}, ${last.setting})`,
        );
    }
  }
  return ports as Ports;
}

/**
 * Addresses that the environment gives, without a slash at their end, and the clusters that therefore exist already.
 * Errors: `config_invalid` for a cluster of which some are given and others are not.
 */
function addressesFrom(
  env: Environment,
  services: readonly Service[] = SERVICES,
): { readonly given: Readonly<Record<string, string>>; readonly external: readonly Cluster[] } {
  const given: Record<string, string> = {};
  const external: Cluster[] = [];
  for (const [cluster, addresses] of Map.groupBy(addressesOf(services), (address) => address.cluster)) {
    const [first] = addresses;
    for (const { name, setting } of addresses)
      if (setting !== undefined && env[setting]) given[name] = env[setting].replace(/\/+$/, "");
    if (given[first!.name] === undefined) continue;
    external.push(cluster as Cluster);
    for (const { name, setting } of addresses)
      if (setting !== undefined && given[name] === undefined)
        throw invalid(setting, "", `an address, because ${first!.setting} is set`);
  }
  return { given, external };
}

/** Days of event time. Errors: `config_invalid`. */
function daysFrom(env: Environment, setting: string): number | null {
  const value = env[setting];
  if (value === undefined || value === "") return null;
  const days = /^\d+$/.test(value) ? Number(value) : Number.NaN;
  if (!(days >= 1 && days <= 36_500)) throw invalid(setting, value, "a number of days from 1 to 36500");
  return days;
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

/**
 * The folder that was asked for, else the one that the namespace was last used with, so that a command for one pipeline does not
 * take those of another from its supervisor. Errors: those of `addPipelines`.
 */
function pipelinesFrom(
  given: string | undefined,
  place: Pick<NamespaceSettings, "home" | "namespace">,
): string | null {
  const before = () => readJson<Partial<NamespaceSettings>>(settingsPath(place))?.pipelines ?? null;
  const folder = given === undefined ? before() : given === "" ? null : resolve(given);
  addPipelines(folder, { required: given !== undefined });
  return folder;
}

/** Names, origins and the like with commas between. */
const words = (text: string | undefined): string[] =>
  (text ?? "")
    .split(",")
    .map((word) => word.trim())
    .filter((word) => word !== "");

/** Errors: `config_invalid`, naming the variable. */
export function apiFrom(env: Environment): ApiSettings {
  const origins = words(env["MILLRACE_API_ORIGINS"]);
  for (const origin of origins)
    if (URL.parse(origin)?.origin !== origin)
      throw invalid("MILLRACE_API_ORIGINS", origin, "scheme, name and port alone, as https://example.org");
  const hosts = words(env["MILLRACE_API_HOSTS"]);
  for (const host of hosts)
    if (!/^[a-zA-Z0-9.-]+$/.test(host))
      throw invalid("MILLRACE_API_HOSTS", host, "names of machines with commas between");
  const [cert, key] = [env["MILLRACE_API_TLS_CERT"], env["MILLRACE_API_TLS_KEY"]];
  if (Boolean(cert) !== Boolean(key))
    throw invalid(
      cert ? "MILLRACE_API_TLS_KEY" : "MILLRACE_API_TLS_CERT",
      "",
      "a file, because the other one is set",
    );
  const published = env["MILLRACE_API_PUBLISHED"] || null;
  if (published !== null && isIP(published) === 0)
    throw invalid("MILLRACE_API_PUBLISHED", published, "an address of the machine that publishes it");
  const rate = env["MILLRACE_API_RATE"];
  if (rate && !/^[1-9]\d{0,5}$/.test(rate))
    throw invalid("MILLRACE_API_RATE", rate, "a whole number of requests a second from 1 to 999999");
  return {
    host: env["MILLRACE_API_HOST"] || null,
    published,
    hosts,
    origins,
    tls: cert && key ? { cert: resolve(cert), key: resolve(key) } : null,
    rate: rate ? Number(rate) : null,
  };
}

/** Variables and the flag that name a file or a folder. A shell replaces `~` only where it stands unquoted at the beginning. */
const PATHS = [
  "MILLRACE_HOME",
  "MILLRACE_SECRETS",
  "MILLRACE_PIPELINES",
  "MILLRACE_KAFKA_PROPERTIES",
  "MILLRACE_API_TLS_CERT",
  "MILLRACE_API_TLS_KEY",
  "JAVA_HOME",
];

/** Errors: `config_invalid` for a path that would lie in a folder called `~`. */
function refuseTildes(env: Environment, { pipelines }: Flags): void {
  for (const [name, path] of [
    ...PATHS.map((name) => [name, env[name]] as const),
    ["--pipelines", pipelines] as const,
  ])
    if (path !== undefined && /^~(?:\/|$)/.test(path))
      throw invalid(name, path, "a path that begins with the home folder itself: nothing replaces ~ here");
}

/** Settings for one command. Errors: `config_invalid`, naming the variable or flag, what was wanted and what was seen. */
export function settingsFrom(root: string, env: Environment, flags: Flags = {}): Settings {
  const named = flags.pipeline === undefined ? {} : { pipeline: flags.pipeline };
  if (flags.settings !== undefined) {
    // Those of a namespace from before the API had settings of its own say none.
    const kept = json("--settings", flags.settings) as Settings;
    const settings = {
      ...kept,
      apiPipeline: kept.apiPipeline ?? API_PIPELINE,
      api: { ...API, ...kept.api },
      ...named,
    };
    refuseLiteralSecrets(settings.kafka.properties);
    // Settings of a namespace from before there were such folders say none; one that is gone takes its pipelines along.
    addPipelines(settings.pipelines ?? null, { required: false });
    return Object.freeze(settings);
  }
  refuseTildes(env, flags);
  const text: Partial<Record<(typeof TEXT)[keyof typeof TEXT], string>> = {};
  for (const [name, key] of Object.entries(TEXT)) if (env[name]) text[key] = env[name];
  const {
    given: { bootstrap, ...addresses },
    external,
  } = addressesFrom(env);
  if (text.archive !== undefined && !isPlace(text.archive))
    throw invalid("MILLRACE_ARCHIVE", text.archive, "an absolute folder, file:, hdfs: or s3a://");

  if (addresses["databaseUrl"] !== undefined) refuseLiteralPassword(addresses["databaseUrl"]);
  const storeDays = daysFrom(env, "MILLRACE_STORE_DAYS");
  const storeFeaturesDays = daysFrom(env, "MILLRACE_STORE_FEATURES_DAYS");

  const namespace = flags.namespace ?? text.namespace ?? "";
  if (!NAMESPACE.holds(namespace))
    throw invalid(
      flags.namespace === undefined ? "MILLRACE_NAMESPACE" : "--namespace",
      namespace,
      NAMESPACE.words,
    );
  const secrets = env["MILLRACE_SECRETS"];
  const properties = propertiesFrom(env["MILLRACE_KAFKA_PROPERTIES"]);
  const home = resolve(env["MILLRACE_HOME"] || join(root, ".millrace"));
  return settingsOf(root, {
    ...text,
    ...addresses,
    ...named,
    ...(storeDays === null ? {} : { storeDays }),
    ...(storeFeaturesDays === null ? {} : { storeFeaturesDays }),
    home,
    namespace,
    pipelines: pipelinesFrom(flags.pipelines ?? env["MILLRACE_PIPELINES"], { home, namespace }),
    external,
    ports: portsFrom(env),
    api: apiFrom(env),
    javaPath: env["JAVA_HOME"] ? join(env["JAVA_HOME"], "bin", "java") : "java",
    kafka: {
      ...(bootstrap === undefined ? {} : { bootstrap }),
      ...(properties === null ? {} : { properties }),
      secrets_path: secrets ? resolve(secrets) : null,
    },
  });
}
