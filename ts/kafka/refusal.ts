// Why Kafka does not let us in, and which setting to change: a wrong password, a certificate, a right that is missing. Nothing
// here passes by itself, so nothing of it is tried again. Pure; fault.ts asks it first.

export interface Refusal {
  /** What was seen, for the "got" of a message; never a secret. */
  readonly seen: string;
  /** What to change. */
  readonly change: string;
}

interface KafkajsError {
  readonly name?: string;
  readonly code?: number | string;
  readonly message?: string;
  readonly cause?: unknown;
}

const SETTING = "MILLRACE_KAFKA_PROPERTIES";

/** Codes of Node and OpenSSL for a server whose certificate we do not take, or that does not speak as we do. */
const CERTIFICATES: Readonly<Record<string, Refusal>> = {
  CERT_HAS_EXPIRED: {
    seen: "a certificate that has expired",
    change: "the broker needs a new one, or this machine's clock is wrong",
  },
  CERT_NOT_YET_VALID: {
    seen: "a certificate that is not valid yet",
    change: "this machine's clock is wrong, or the broker's certificate is",
  },
  ERR_TLS_CERT_ALTNAME_INVALID: {
    seen: "a certificate for another name than the one in MILLRACE_KAFKA_BOOTSTRAP or the broker's advertised.listeners",
    change: `use a name that it holds, or set "ssl.endpoint.identification.algorithm" to "none" in ${SETTING}`,
  },
  ...Object.fromEntries(
    [
      "DEPTH_ZERO_SELF_SIGNED_CERT",
      "SELF_SIGNED_CERT_IN_CHAIN",
      "UNABLE_TO_GET_ISSUER_CERT",
      "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
      "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    ].map((code) => [
      code,
      {
        seen: `a certificate that nobody known has signed (${code})`,
        change: `name the authority's certificate as "ssl.ca.location" in ${SETTING}`,
      },
    ]),
  ),
};
const NO_TLS: Refusal = {
  seen: "a listener without TLS",
  change: `set "security.protocol" in ${SETTING} to what the listener speaks, or another port in MILLRACE_KAFKA_BOOTSTRAP`,
};
const OUR_CERTIFICATE: Refusal = {
  seen: "a refusal of our certificate",
  change: `"ssl.certificate.location" and "ssl.key.location" in ${SETTING} must hold one that the broker takes`,
};

/** What a user may lack, by Kafka's answer. */
const RIGHTS: Readonly<Record<string, string>> = {
  TOPIC_AUTHORIZATION_FAILED: "the topic",
  GROUP_AUTHORIZATION_FAILED: "the consumer group",
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "the transactional id",
  // Also what a producer is told that may write to no topic at all.
  CLUSTER_AUTHORIZATION_FAILED: "the cluster, or Write on its topics",
};

/** kafkajs calls a connection that was lost while it logged in a failed login; that one may pass. */
const LOST_MEANWHILE = /tim(?:ed )?out|connection|ECONN|EPIPE|socket|disconnected/i;

/** Null for an error that is none. `type` is Kafka's protocol error, if the broker gave one. */
export function refusalOf(error: unknown, type: string | null): Refusal | null {
  if (type !== null && Object.hasOwn(RIGHTS, type))
    return {
      seen: type,
      change: `the user of ${SETTING} lacks a right on ${RIGHTS[type]}: docs/clusters.md lists those it needs`,
    };
  if (type === "UNSUPPORTED_SASL_MECHANISM") return mechanism(type);
  for (let e = error as KafkajsError | undefined, depth = 0; e && depth < 5; depth++) {
    const { name, code, message = "" } = e;
    if (name === "KafkaJSSASLAuthenticationError") {
      if (/not supported by the server/.test(message)) return mechanism("another one");
      if (!LOST_MEANWHILE.test(message))
        return {
          seen: "a refused login",
          change: `"sasl.username" and "sasl.password" in ${SETTING} (the password lies in the file of MILLRACE_SECRETS) must be a user of the broker, with "sasl.mechanism" as the broker has it`,
        };
    }
    if (typeof code === "string") {
      if (Object.hasOwn(CERTIFICATES, code)) return CERTIFICATES[code]!;
      if (code === "ERR_SSL_WRONG_VERSION_NUMBER" || code === "ERR_SSL_PACKET_LENGTH_TOO_LONG") return NO_TLS;
      if (/^ERR_SSL_.*(?:CERTIFICATE|UNKNOWN_CA)/.test(code)) return OUR_CERTIFICATE;
    }
    e = e.cause as KafkajsError | undefined;
  }
  return null;
}

const mechanism = (seen: string): Refusal => ({
  seen: `a listener that does not take our SASL mechanism (${seen})`,
  change: `set "sasl.mechanism" in ${SETTING} to one that the broker has: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512`,
});
