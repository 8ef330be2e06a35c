// Turns the cluster access that Python gets too (librdkafka property names) into kafkajs's settings.
// Connection security only: every other librdkafka property tunes Python's client and is not ours.
// Reads the secrets file; a secret never enters a message.

import { readFileSync } from "node:fs";
import type { KafkaConfig, SASLOptions } from "kafkajs";
import { PipelineError } from "../contract/errors.ts";
import type { KafkaAccess } from "./kafka.ts";

export type Connection = Pick<KafkaConfig, "ssl" | "sasl"> & { readonly brokers: string[] };

/** Properties of the `security.`, `ssl.` and `sasl.` families that have a rule here. Others of them are refused. */
const KNOWN = new Set([
  "security.protocol",
  "sasl.mechanism",
  "sasl.mechanisms",
  "sasl.username",
  "sasl.password",
  "ssl.ca.location",
  "ssl.ca.pem",
  "ssl.certificate.location",
  "ssl.certificate.pem",
  "ssl.key.location",
  "ssl.key.pem",
  "ssl.key.password",
  "ssl.endpoint.identification.algorithm",
  "enable.ssl.certificate.verification",
]);

/** Properties whose value is a secret: passwords, and keys that are not given by the path of a file. */
const isSecret = (name: string) =>
  /(?:password|passphrase|secret)$|\.key(?:store)?\./.test(name) && !name.endsWith(".location");

/**
 * A secret has to be named, not written out: properties lie in settings, parameters and submissions, which others may read.
 * Errors: `config_invalid`, naming the property and never its value.
 */
export function refuseLiteralSecrets(properties: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(properties))
    if (isSecret(name) && !value.startsWith("secret:"))
      throw refused(
        name,
        '"secret:NAME" and the secret under NAME in the file of MILLRACE_SECRETS',
        "a literal",
      );
}

/** Errors: `config_invalid` for a property without a rule, a secret that is written out or missing, or an unreadable file. */
export function connection(access: KafkaAccess): Connection {
  refuseLiteralSecrets(access.properties);
  const brokers = access.bootstrap
    .split(",")
    .map((broker) => broker.trim())
    .filter((broker) => broker !== "");
  if (brokers.length === 0)
    throw refused("kafka.bootstrap", "host:port, comma separated", JSON.stringify(access.bootstrap));
  const values = resolved(access);
  const protocol = (values.get("security.protocol") ?? "plaintext").toLowerCase();
  const tls = protocol === "ssl" || protocol === "sasl_ssl";
  const login = protocol === "sasl_plaintext" || protocol === "sasl_ssl";
  if (!tls && !login && protocol !== "plaintext")
    throw refused("security.protocol", "plaintext, ssl, sasl_plaintext or sasl_ssl", `"${protocol}"`);
  return { brokers, ...(tls ? { ssl: tlsOf(values) } : {}), ...(login ? { sasl: saslOf(values) } : {}) };
}

function resolved(access: KafkaAccess): Map<string, string> {
  let secrets: Record<string, unknown> | null = null;
  const values = new Map<string, string>();
  for (const [name, value] of Object.entries(access.properties)) {
    if (/^(security|ssl|sasl)\./.test(name) && !KNOWN.has(name))
      throw refused(name, `one of ${[...KNOWN].join(", ")}`, "a property without a rule");
    if (!value.startsWith("secret:")) {
      values.set(name, value);
      continue;
    }
    const secret = value.slice("secret:".length);
    if (access.secrets_path === null)
      throw refused(name, `a secrets file that holds "${secret}"`, "no secrets file");
    secrets ??= JSON.parse(text(access.secrets_path, name)) as Record<string, unknown>;
    const found = secrets[secret];
    if (typeof found !== "string")
      throw refused(name, `a text "${secret}" in "${access.secrets_path}"`, typeof found);
    values.set(name, found);
  }
  return values;
}

function tlsOf(values: ReadonlyMap<string, string>): NonNullable<KafkaConfig["ssl"]> {
  const pem = (name: string): string | undefined => {
    const path = values.get(`${name}.location`);
    return values.get(`${name}.pem`) ?? (path === undefined ? undefined : text(path, `${name}.location`));
  };
  const [ca, cert, key, passphrase] = [
    pem("ssl.ca"),
    pem("ssl.certificate"),
    pem("ssl.key"),
    values.get("ssl.key.password"),
  ];
  return {
    rejectUnauthorized: values.get("enable.ssl.certificate.verification") !== "false",
    ...(ca === undefined ? {} : { ca: [ca] }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(passphrase === undefined ? {} : { passphrase }),
    // Answers "is this the host I dialled" with yes: what librdkafka means by `none`.
    ...(values.get("ssl.endpoint.identification.algorithm") === "none"
      ? { checkServerIdentity: () => undefined }
      : {}),
  };
}

const MECHANISMS: Readonly<Record<string, "plain" | "scram-sha-256" | "scram-sha-512">> = {
  PLAIN: "plain",
  "SCRAM-SHA-256": "scram-sha-256",
  "SCRAM-SHA-512": "scram-sha-512",
};

function saslOf(values: ReadonlyMap<string, string>): SASLOptions {
  const named = values.get("sasl.mechanism") ?? values.get("sasl.mechanisms") ?? "PLAIN";
  const mechanism = MECHANISMS[named.toUpperCase()];
  if (mechanism === undefined)
    throw refused("sasl.mechanism", Object.keys(MECHANISMS).join(", "), `"${named}"`);
  const [username, password] = [values.get("sasl.username"), values.get("sasl.password")];
  if (username === undefined || password === undefined)
    throw refused("sasl.username and sasl.password", "both", "at most one");
  // The union in kafkajs's types wants each mechanism spelt out; all three take the same two fields.
  return { mechanism, username, password } as SASLOptions;
}

function text(path: string, name: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new PipelineError("config_invalid", `Cannot read "${path}" named by Kafka setting "${name}"`, {
      cause: error,
    });
  }
}

function refused(name: string, wanted: string, seen: string): PipelineError {
  return new PipelineError(
    "config_invalid",
    `Cannot use Kafka setting "${name}": expected ${wanted}, got ${seen}`,
  );
}
