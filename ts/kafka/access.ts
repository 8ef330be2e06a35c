// Turns the cluster access that Python gets too (librdkafka property names) into kafkajs's settings.
// Connection security only: every other librdkafka property tunes Python's client and is not ours.

import type { KafkaConfig, SASLOptions } from "kafkajs";
import { readNamed, refusedSetting, refuseLiteralSecrets, resolveSecrets } from "../settings/secrets.ts";
import type { KafkaAccess } from "./kafka.ts";

export type Connection = Pick<KafkaConfig, "ssl" | "sasl"> & { readonly brokers: string[] };

/** Properties of the `security.`, `ssl.` and `sasl.` families that have a rule here. Others of them are refused. */
const SUPPORTED_PROPERTIES = new Set([
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

/** Errors: `config_invalid` for a property without a rule, a secret that is written out or missing, or an unreadable file. */
export function connection(access: KafkaAccess): Connection {
  refuseLiteralSecrets(access.properties);
  const brokers = access.bootstrap
    .split(",")
    .map((broker) => broker.trim())
    .filter((broker) => broker !== "");
  if (brokers.length === 0)
    throw refusedSetting("kafka.bootstrap", "host:port, comma separated", JSON.stringify(access.bootstrap));
  refuseUnknown(access.properties);
  const values = resolveSecrets(access);
  // Java's client, which Spark's jobs have, has no such word: they would end where this went on.
  if ((values.get("enable.ssl.certificate.verification") ?? "true") !== "true")
    throw refusedSetting(
      "enable.ssl.certificate.verification",
      `"true", or the authority's certificate as "ssl.ca.location"`,
      "a way to take any certificate, which Spark's client has not",
    );
  const protocol = (values.get("security.protocol") ?? "plaintext").toLowerCase();
  const tls = protocol === "ssl" || protocol === "sasl_ssl";
  const login = protocol === "sasl_plaintext" || protocol === "sasl_ssl";
  if (!tls && !login && protocol !== "plaintext")
    throw refusedSetting("security.protocol", "plaintext, ssl, sasl_plaintext or sasl_ssl", `"${protocol}"`);
  return { brokers, ...(tls ? { ssl: tlsOf(values) } : {}), ...(login ? { sasl: saslOf(values) } : {}) };
}

/** Errors: `config_invalid` for a property of connection security without a rule. */
function refuseUnknown(properties: Readonly<Record<string, string>>): void {
  for (const name of Object.keys(properties))
    if (/^(security|ssl|sasl)\./.test(name) && !SUPPORTED_PROPERTIES.has(name))
      throw refusedSetting(
        name,
        `one of ${[...SUPPORTED_PROPERTIES].join(", ")}`,
        "a property without a rule",
      );
}

function tlsOf(values: ReadonlyMap<string, string>): NonNullable<KafkaConfig["ssl"]> {
  const pem = (name: string): string | undefined => {
    const path = values.get(`${name}.location`);
    return (
      values.get(`${name}.pem`) ?? (path === undefined ? undefined : readNamed(path, `${name}.location`))
    );
  };
  const [ca, cert, key, passphrase] = [
    pem("ssl.ca"),
    pem("ssl.certificate"),
    pem("ssl.key"),
    values.get("ssl.key.password"),
  ];
  return {
    rejectUnauthorized: true,
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
    throw refusedSetting("sasl.mechanism", Object.keys(MECHANISMS).join(", "), `"${named}"`);
  const [username, password] = [values.get("sasl.username"), values.get("sasl.password")];
  if (username === undefined || password === undefined)
    throw refusedSetting("sasl.username and sasl.password", "both", "at most one");
  // The union in kafkajs's types wants each mechanism spelt out; all three take the same two fields.
  return { mechanism, username, password } as SASLOptions;
}
