// Messages to people over a real broker and real HTTP: a receiver that is broken and mended, and a job that is stopped and started
// again in between. What a target was told is read back from the broker alone.

import { randomUUID } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { Alerts } from "../../alerts/alerts.ts";
import { webhook } from "../../alerts/deliver.ts";
import { encoder } from "../../contract/index.ts";
import { connectKafka } from "../../kafka/client.ts";
import { type Kafka, sendOnce } from "../../kafka/kafka.ts";
import { namesOf, pipelineOf } from "../../pipelines/index.ts";

const engines = inject("engines");
const { pipeline, contract } = pipelineOf("weather");
const names = namesOf(pipeline, `t${randomUUID().slice(0, 8)}`);
const { topic, partitions, config } = names.topics.anomalies!;
const SCHEMA_ID = 7;
const DEADLINE_MS = 60_000;

let kafka: Kafka;
let server: Server;
let status = 500;
const received: { readonly status: number; readonly id: string }[] = [];
let url = "";

beforeAll(async () => {
  kafka = connectKafka(engines.kafka);
  await kafka.admin.ensure([{ topic, partitions, config }]);
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { message_id } = JSON.parse(Buffer.concat(chunks).toString()) as { message_id: string };
      received.push({ status, id: message_id });
      response.writeHead(status).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
});

afterAll(async () => {
  server?.close();
  await kafka?.admin.remove([topic]);
  await kafka?.close();
});

const encode = encoder<object>(contract.schemas.anomalies!, SCHEMA_ID);
const append = (id: string, station_id: string, state: "opened" | "resolved") =>
  sendOnce(kafka, `${names.prefix}alerts-test`, [
    {
      topic,
      key: station_id,
      value: encode({
        ...{ id, station_id, anomaly_type: "step", state, cause: state === "opened" ? "flagged" : "clear" },
        ...{
          timestamp: 1,
          opened: 1,
          confirmed: null,
          resolved: state === "opened" ? null : 2,
          last: 1,
          peak: 1,
        },
        ...{ severity: 0.9, windows: 1, evidence: [], method: "rules" },
        ...{ plan_epoch: 1, revision: 1, feature_partition: 0, feature_offset: 1 },
      }),
    },
  ]);

/** The job as its process runs it, until the condition holds; its log. */
async function run(done: (alerts: Alerts) => boolean | Promise<boolean>): Promise<string[]> {
  const log: string[] = [];
  const ops = { name: "ops", kind: "json", url: "secret:ops", severity: 0.5 } as const;
  const alerts = new Alerts({
    names,
    contract,
    targets: [{ ...ops, send: webhook(ops, url) }],
    kafka,
    registry: { schemaById: async () => contract.schemas.anomalies! },
    log: (line) => log.push(line),
  });
  const stop = new AbortController();
  const running = alerts.run(stop.signal);
  try {
    await expect.poll(() => done(alerts), { timeout: DEADLINE_MS, interval: 50 }).toBe(true);
  } catch (error) {
    throw new Error(JSON.stringify({ state: alerts.state(), log, received }), { cause: error });
  } finally {
    stop.abort();
    await running;
  }
  return log;
}

const places = async () =>
  (await kafka.admin.lag(names.groups.alerts("ops"), topic)).map(({ committed }) => committed);

describe("alerts to people", () => {
  it("are sent again until they are taken, and not again after a restart", {
    timeout: 4 * DEADLINE_MS,
  }, async () => {
    await append("old", "boston", "opened");
    await run(async () => (await places()).every((place) => place !== null));

    await append("a1", "new-york", "opened");
    const log = await run(() => received.length >= 2);
    expect(log.join("\n")).toMatch(/"ops" waits: 127\.0\.0\.1:\d+ answered HTTP 500, tried 1 times in 0 min/);
    expect(log.join("\n")).not.toContain("/hook");

    status = 200;
    await run((alerts) => alerts.state().messages_sent === 1);
    await append("old", "boston", "resolved");
    await append("a1", "new-york", "resolved");
    await append("a2", "denver", "opened");
    // What opened before there was a target is told of once, when it is over; of a1 the opening was told in another run.
    const taken = () => received.filter((one) => one.status === 200).map(({ id }) => id);
    await run(() => taken().length >= 4);
    expect(taken()[0]).toBe("a1-opened");
    expect(taken().slice(1).toSorted()).toEqual(["a1-resolved", "a2-opened", "old-resolved"]);
    expect(new Set(received.filter((one) => one.status === 500).map(({ id }) => id))).toEqual(
      new Set(["a1-opened"]),
    );

    const before = await places();
    await run(async (alerts) => alerts.state().lag === 0 && alerts.state().messages_sent === 0);
    expect(await places()).toEqual(before);
    expect(taken()).toHaveLength(4);
  });
});
