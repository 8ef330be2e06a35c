// A Kafka with SASL/SCRAM, TLS and ACLs: three clients get in by the same properties with the least rights that suffice, each
// right on topics that is taken away gives its line, and so does a wrong password, a wrong certificate, a wrong protocol.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { PipelineError } from "../../contract/errors.ts";
import { until } from "../../ground/until.ts";
import { connectKafka } from "../../kafka/client.ts";
import { type Kafka, type KafkaAccess, sendOnce } from "../../kafka/kafka.ts";
import { PASSWORD, type Right, type Secured, securedKafka } from "./fixtures/secured.ts";

const { root } = inject("engines");
const PREFIX = "secured-";
/** What docs/clusters.md says a namespace needs. */
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
const TOPIC = `${PREFIX}raw`;
let count = 0;

const changed = async ({ admin }: Kafka, more: number, config: Record<string, string>) => {
  const { partitions } = (await admin.describe(TOPIC))!;
  return admin.ensure([{ topic: TOPIC, partitions: partitions + more, config }]);
};

/** What needs a right, by the right; each may be done any number of times. */
const NEEDS: Readonly<Record<string, (kafka: Kafka) => Promise<unknown>>> = {
  "TOPIC CREATE": ({ admin }) =>
    admin.ensure([{ topic: `${PREFIX}new-${++count}`, partitions: 1, config: {} }]),
  "TOPIC ALTER": (kafka) => changed(kafka, 1, {}),
  "TOPIC ALTER_CONFIGS": (kafka) => changed(kafka, 0, { "retention.ms": String(3_600_000 + ++count) }),
  "TOPIC WRITE": (kafka) =>
    sendOnce(kafka, `${PREFIX}writer`, [{ topic: TOPIC, key: "a", value: Buffer.from("b") }]),
  "TOPIC DELETE": ({ admin }) => admin.remove([TOPIC]),
};

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

  /** What an attempt says once the broker has heard of a change. */
  const settled = async (right: string, wanted: (said: string) => boolean): Promise<string> => {
    const { seen } = await until(
      async () => {
        const seen = await attempt(secured.access(), NEEDS[right]!);
        return { done: wanted(seen), seen };
      },
      { deadline_ms: 20_000, interval_ms: 200 },
    );
    return seen;
  };

  it("lets in with the least rights, and each on topics that is taken away is named", async () => {
    await settled("TOPIC CREATE", (said) => said === "");
    const made = ({ admin }: Kafka) => admin.ensure([{ topic: TOPIC, partitions: 1, config: {} }]);
    expect(await attempt(secured.access(), made)).toBe("");
    // Of groups and transactional ids kafkajs keeps to itself why it found no coordinator (docs/clusters.md).
    for (const { resource, operation } of LEAST) {
      if (resource !== "TOPIC" || operation === "READ") continue;
      const right = { resource, operation };
      const name = `${resource} ${operation}`;
      if (operation !== "DELETE")
        expect([name, await settled(name, (said) => said === "")]).toEqual([name, ""]);
      await secured.rights("take", [right], PREFIX);
      const said = await settled(name, (line) => line.includes("AUTHORIZATION_FAILED"));
      expect([name, said]).toEqual([
        name,
        expect.stringMatching(/^config_invalid: Cannot .*AUTHORIZATION_FAILED; .*docs\/clusters\.md/),
      ]);
      // Who may write to no topic at all is refused by the cluster, before a topic is named.
      expect(said).toContain(
        name === "TOPIC WRITE" ? "CLUSTER_AUTHORIZATION_FAILED" : `${resource}_AUTHORIZATION_FAILED`,
      );
      await secured.rights("give", [right], PREFIX);
    }
    expect(await settled("TOPIC DELETE", (said) => said === "")).toBe("");
  });

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
