import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { connection } from "./access.ts";

const folder = mkdtempSync(join(tmpdir(), "access-"));
const secrets_path = join(folder, "secrets.json");
writeFileSync(secrets_path, JSON.stringify({ password: "hush", count: 3 }));
const ca = join(folder, "ca.pem");
writeFileSync(ca, "PEM");
const of = (properties: Record<string, string>, secrets: string | null = secrets_path) =>
  connection({ bootstrap: "a:1, b:2", properties, secrets_path: secrets });

describe("connection()", () => {
  it("splits brokers and is plain without properties", () => {
    expect(of({})).toEqual({ brokers: ["a:1", "b:2"] });
  });

  it("takes SASL over TLS with a secret from the file, and leaves the tuning of Python's client alone", () => {
    expect(
      of({
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "mill",
        "sasl.password": "secret:password",
        "ssl.ca.location": ca,
        "linger.ms": "5",
      }),
    ).toEqual({
      brokers: ["a:1", "b:2"],
      ssl: { rejectUnauthorized: true, ca: ["PEM"] },
      sasl: { mechanism: "scram-sha-512", username: "mill", password: "hush" },
    });
  });

  it.each([
    [{ "security.protocol": "tls" }, /security\.protocol/],
    [{ "security.protocol": "sasl_plaintext", "sasl.username": "x" }, /sasl\.password/],
    [{ "security.protocol": "sasl_plaintext", "sasl.mechanism": "GSSAPI" }, /GSSAPI/],
    [{ "sasl.kerberos.keytab": "x" }, /without a rule/],
    [{ "sasl.password": "secret:missing" }, /"missing"/],
    [{ "security.protocol": "ssl", "enable.ssl.certificate.verification": "false" }, /ssl\.ca\.location/],
    [{ "sasl.password": "secret:count" }, /number/],
    [{ "security.protocol": "ssl", "ssl.ca.location": "/nowhere.pem" }, /nowhere/],
  ])("refuses %j", (properties, message) => {
    expect(() => of(properties as Record<string, string>)).toThrow(message);
  });

  it.each([
    "sasl.password",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.password",
    "sasl.oauthbearer.client.secret",
  ])("refuses a secret that is written out: %s", (name) => {
    const attempt = () => of({ [name]: "hush" });
    expect(attempt).toThrow(`"${name}": expected "secret:NAME"`);
    expect(attempt).not.toThrow(/hush/);
  });

  it("takes the path of a key", () => {
    const key = join(folder, "key.pem");
    writeFileSync(key, "KEY");
    expect(of({ "security.protocol": "ssl", "ssl.key.location": key }).ssl).toMatchObject({ key: "KEY" });
  });

  it("never says a secret in a message", () => {
    expect(() => of({ "sasl.password": "secret:count" })).not.toThrow(/hush/);
    expect(() => of({ "sasl.password": "secret:password" }, null)).toThrow(/no secrets file/);
  });
});
