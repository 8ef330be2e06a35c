// A Kafka with SASL/SCRAM, TLS and ACLs: three clients get in by the same properties; a wrong password, a wrong certificate,
// a wrong protocol each give a line that says what to change.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { PipelineError } from "../../contract/errors.ts";
import { until } from "../../ground/until.ts";
import { connectKafka } from "../../kafka/client.ts";
import type { Kafka, KafkaAccess } from "../../kafka/kafka.ts";
import { PASSWORD, type Right, type Secured, securedKafka } from "./fixtures/secured.ts";

const { root } = inject("engines");
const PREFIX = "secured-";
/** The rights that docs/clusters.md lists. */
const LEAST: readonly Right[] = [
  { resource: "TOPIC", operation: "CREATE" },
  { resource: "TOPIC", operation: "WRITE" },
  { resource: "TOPIC", operation: "ALTER" },
  { resource: "TOPIC", operation: "ALTER_CONFIGS" },
  { resource: "TOPIC", operation: "DELETE" },
  { resource: "GROUP", operation: "READ" },
  { resource: "TRANSACTIONAL_ID", operation: "WRITE" },
  { resource: "TOPIC", operation: "READ" },
];

/** With a client of its own: one that was let in keeps what it knows. */
async function attempt(access: KafkaAccess, work: (kafka: Kafka) => Promise<unknown>): Promise<string> {
  const kafka = connectKafka(access);
  try {
    await work(kafka);
    return "";
  } catch (error) {
    expect(error).toBeInstanceOf(PipelineError);
    return `${(error as PipelineError).code}: ${(error as Error).message}`;
  } finally {
    await kafka.close();
  }
}

describe("a Kafka with SASL/SCRAM, TLS and ACLs", () => {
  let secured: Secured;

  beforeAll(async () => {
    secured = await securedKafka(root);
    const { seen } = await until(
      async () => {
        const seen = await attempt(secured.access(), ({ admin }) => admin.topics());
        return { done: seen === "", seen };
      },
      { deadline_ms: 120_000, interval_ms: 500 },
    );
    expect(seen, secured.log().slice(-2000)).toBe("");
    await secured.rights("give", LEAST, PREFIX);
  });
  afterAll(() => secured?.close());

  it("lets in librdkafka and Java's client by the same properties", async () => {
    const topic = `${PREFIX}seen`;
    const access = secured.access();
    const made = ({ admin }: Kafka) => admin.ensure([{ topic, partitions: 1, config: {} }]);
    // The broker hears of rights a moment after they were given.
    const { seen: said } = await until(
      async () => {
        const seen = await attempt(access, made);
        return { done: seen === "", seen };
      },
      { deadline_ms: 20_000, interval_ms: 200 },
    );
    expect(said).toBe("");
    const seen = await secured.seen(access);
    expect(seen.librdkafka).toContain(topic);
    expect(seen.java).toEqual(seen.librdkafka);
  });

  it.each<[string, Record<string, string>, "outer" | "expired", RegExp]>([
    [
      "a wrong password",
      { "sasl.password": "secret:wrong" },
      "outer",
      /got a refused login; "sasl\.username"/,
    ],
    ["an unknown user", { "sasl.username": "nobody" }, "outer", /got a refused login; "sasl\.username"/],
    ["another mechanism", { "sasl.mechanism": "PLAIN" }, "outer", /set "sasl\.mechanism"/],
    ["an expired certificate", {}, "expired", /got a certificate that has expired/],
  ])(
    "%s gives one line that names what to change, and is not tried again",
    async (_, more, listener, line) => {
      const began_ms = performance.now();
      const said = await attempt(secured.access(more, listener), ({ admin }) => admin.topics());
      expect(said).toMatch(line);
      expect(said).toMatch(/^config_invalid: /);
      expect(said).not.toContain(PASSWORD);
      // Tried again it would take the pauses of several connections.
      expect(performance.now() - began_ms).toBeLessThan(10_000);
    },
  );

  it("says which certificate is missing when the authority is not known", async () => {
    const { "ssl.ca.location": _, ...properties } = secured.properties;
    const said = await attempt({ ...secured.access(), properties }, ({ admin }) => admin.topics());
    expect(said).toMatch(/^config_invalid: .*name the authority's certificate as "ssl\.ca\.location"/);
  });

  it("a listener that hangs up on who speaks neither TLS nor SASL is tried again, and says nothing of rights", async () => {
    const said = await attempt({ ...secured.access(), properties: {} }, ({ admin }) => admin.topics());
    expect(said).toMatch(/^kafka_unreachable: /);
  });

  it("no command line and no log of the broker has the password", () => {
    const lines = readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .map((pid) => {
        try {
          return readFileSync(join("/proc", pid, "cmdline"), "latin1");
        } catch {
          // It ended meanwhile.
          return "";
        }
      });
    expect(lines.filter((line) => line.includes(PASSWORD))).toEqual([]);
    expect(secured.log()).not.toContain(PASSWORD);
  });
});
