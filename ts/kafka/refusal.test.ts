import { expect, it } from "vitest";
import { faultOf, protocolType, unreachable } from "./fault.ts";
import { refusalOf } from "./refusal.ts";

const login = (message: string) => ({ name: "KafkaJSSASLAuthenticationError", message });
const broken = (code: string) => ({
  name: "KafkaJSConnectionError",
  code,
  message: `Connection error: ${code}`,
});
const wrapped = (cause: unknown) => ({ name: "KafkaJSNumberOfRetriesExceeded", message: "again", cause });

it.each([
  [login("SASL SCRAM SHA512 authentication failed: Authentication failed"), '"sasl.password"'],
  [login("SASL PLAIN mechanism is not supported by the server"), '"sasl.mechanism"'],
  [broken("CERT_HAS_EXPIRED"), "new one"],
  [wrapped(broken("SELF_SIGNED_CERT_IN_CHAIN")), '"ssl.ca.location"'],
  [broken("ERR_TLS_CERT_ALTNAME_INVALID"), "identification"],
  [broken("ERR_SSL_WRONG_VERSION_NUMBER"), '"security.protocol"'],
  [broken("ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED"), '"ssl.certificate.location"'],
  [{ errors: [{ type: "TOPIC_AUTHORIZATION_FAILED" }] }, "a right on the topic"],
  [wrapped({ type: "TRANSACTIONAL_ID_AUTHORIZATION_FAILED" }), "a right on the transactional id"],
])("%j is a refusal: never tried again, and its line says what to change", (error, change) => {
  expect(faultOf(error)).toBeNull();
  const { code, message } = unreachable("list topics", "broker:9093", error);
  expect(code).toBe("config_invalid");
  expect(message).toMatch(/^Cannot list topics at "broker:9093": expected Kafka to let us in, got /);
  expect(message).toContain(change);
});

it.each([
  [login("SASL SCRAM SHA512 authentication failed: Request SaslAuthenticate timed out"), "lost"],
  [login("SASL SCRAM SHA512 authentication failed: Closed connection"), "lost"],
  [broken("ECONNREFUSED"), "refused"],
  [{ name: "KafkaJSConnectionClosedError" }, "lost"],
])("%j is a fault that may pass", (error, fault) => {
  expect(refusalOf(error, protocolType(error))).toBeNull();
  expect(faultOf(error)).toBe(fault);
});
