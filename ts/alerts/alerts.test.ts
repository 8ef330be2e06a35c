// People are told once when an anomaly opens and once when it is over, whatever goes wrong in between: a receiver that answers 500
// for an hour, one that refuses, a restart, a crash between sending and writing down.

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { encoder, PipelineError } from "../contract/index.ts";
import { typesOf } from "../jobs/index.ts";
import { sendOnce } from "../kafka/kafka.ts";
import { namesOf, pipelineOf, topicsOf } from "../pipelines/index.ts";
import { fakeKafka } from "../test/fakes/kafka.ts";
import { Alerts, type AlertsEffects, type Reached } from "./alerts.ts";
import { GIVE_UP_MS, type Send, webhook } from "./deliver.ts";
import { bodyOf, Told, type Turn } from "./message.ts";

const { pipeline, contract } = pipelineOf("weather");
const names = namesOf(pipeline, "");
const TOPIC = names.topics.anomalies!.topic;
const T0 = Date.UTC(2016, 11, 4, 13, 5);

const turn = (state: Turn["state"], put: Partial<Turn> = {}): Turn => ({
  id: "a".repeat(32),
  name: "new-york",
  anomaly_type: "step",
  state,
  cause: state === "resolved" ? "clear" : "flagged",
  timestamp: T0,
  opened: T0,
  resolved: state === "resolved" ? T0 + 600_000 : null,
  severity: 0.75,
  windows: 3,
  evidence: ["temperature changed by +9 degC in 5 min, credible is 6 degC"],
  ...put,
});

/** A Kafka with the topic, a way to append turns, and a target whose tries are recorded. */
async function line() {
  const kafka = fakeKafka();
  await kafka.admin.ensure(topicsOf(names));
  const encode = encoder<object>(contract.schemas.anomalies!, 7);
  const append = (...turns: readonly Turn[]) =>
    sendOnce(
      kafka,
      "infer",
      turns.map(({ name, ...rest }) => ({
        topic: TOPIC,
        key: name,
        value: encode({
          ...rest,
          station_id: name,
          confirmed: null,
          last: T0,
          peak: T0,
          method: "rules",
          plan_epoch: 1,
          revision: 1,
          feature_partition: 0,
          feature_offset: 1,
        }),
      })),
    );
  return { kafka, append };
}

const registry = { schemaById: async (id: number) => (id === 7 ? contract.schemas.anomalies! : null) };

function recorder(answer: (tries: number) => Awaited<ReturnType<Send>> = () => ({ outcome: "taken" })) {
  const tried: string[] = [];
  const send: Send = async ({ id }) => {
    tried.push(id.replace(/^(.)\1*/, "$1"));
    return answer(tried.length);
  };
  return { tried, send };
}

const target = (name: string, send: Send, put: Partial<Reached> = {}): Reached => ({
  name,
  kind: "json",
  url: "secret:x",
  severity: 0.5,
  send,
  ...put,
});

/** Runs until the condition holds, then stops. */
async function runUntil(
  effects: Omit<AlertsEffects, "names" | "contract" | "registry" | "log">,
  done: (alerts: Alerts) => boolean,
  timeout = 5_000,
) {
  const log: string[] = [];
  const alerts = new Alerts({ names, contract, registry, log: (text) => log.push(text), ...effects });
  const stop = new AbortController();
  const running = alerts.run(stop.signal);
  try {
    await expect.poll(() => done(alerts), { timeout, interval: 5 }).toBe(true);
  } finally {
    stop.abort();
    await running;
  }
  return { alerts, log };
}

const caughtUp = async (kafka: Awaited<ReturnType<typeof line>>["kafka"], name: string) =>
  (await kafka.admin.lag(names.groups.alerts(name), TOPIC)).every(
    ({ lag, committed }) => committed !== null && lag === 0,
  );

describe("what a target is told", () => {
  it("is one message when an anomaly opens and one when it is over", () => {
    const told = new Told("weather", { severity: 0.5 });
    const messages = [turn("opened"), turn("confirmed"), turn("resolved")].map((one) => told.take(one));
    expect(messages.map((one) => one?.id)).toEqual([
      `${"a".repeat(32)}-opened`,
      undefined,
      `${"a".repeat(32)}-resolved`,
    ]);
    expect(messages[0]!.text).toBe(
      "Anomaly at weather new-york: step since 2016-12-04T13:05Z, severity 0.75. temperature changed by +9 degC in 5 min, credible is 6 degC",
    );
    expect(messages[2]!.text).toBe(
      "Anomaly at weather new-york: step is over: 2016-12-04T13:05Z to 2016-12-04T13:15Z, 3 flagged windows, severity 0.75",
    );
  });

  it("is nothing below its severity or of other types, and late what becomes severe later", () => {
    const events = (put: Parameters<typeof target>[2], ...turns: readonly Turn[]) => {
      const told = new Told("weather", target("ops", recorder().send, put));
      return turns.map((one) => told.take(one)?.event ?? null);
    };
    expect(events({ severity: 0.8 }, turn("opened"), turn("resolved"))).toEqual([null, null]);
    expect(events({ types: ["range"] }, turn("opened"), turn("resolved"))).toEqual([null, null]);
    const worse = { severity: 0.9 };
    expect(
      events({ severity: 0.8 }, turn("opened"), turn("confirmed", worse), turn("resolved", worse)),
    ).toEqual([null, "opened", "resolved"]);
    expect(events({ severity: 0.8 }, turn("opened"), turn("resolved", worse))).toEqual([null, "resolved"]);
    expect(events({ severity: 0.75 }, turn("opened"))).toEqual(["opened"]);
  });

  it("is Slack's body or the record", () => {
    const message = new Told("weather", { severity: 0 }).take(turn("opened"))!;
    expect(bodyOf("slack", message)).toEqual({ text: `:warning: ${message.text}` });
    expect(bodyOf("json", message)).toMatchObject({
      message_id: message.id,
      event: "opened",
      pipeline: "weather",
      anomaly: { id: "a".repeat(32), name: "new-york", opened: "2016-12-04T13:05:00.000Z", resolved: null },
    });
  });
});

describe("the job", () => {
  it("is there with the part, and not without", () => {
    const jobs = (one: Parameters<typeof typesOf>[0]) => typesOf(one).map(({ name }) => name);
    expect(jobs(pipeline)).not.toContain("alerts");
    expect(jobs({ ...pipeline, alerts: [target("ops", recorder().send)] })).toContain("alerts");
  });

  it("begins at the end, and after a restart goes on where it was, knowing what it had told", async () => {
    const { kafka, append } = await line();
    await append(turn("opened", { id: "old".padEnd(32, "0") }));
    const { tried, send } = recorder();
    const effects = { kafka, targets: [target("ops", send)] };
    // Stopped at once, it has its place all the same.
    const { log } = await runUntil(effects, () => true);
    expect(await caughtUp(kafka, "ops")).toBe(true);
    expect(log.join()).toContain(
      'weather-alerts-ops begins at the end of 4 partitions of "weather-anomalies"',
    );
    await append(turn("opened"));
    await runUntil(effects, () => tried.length === 1);
    await append(turn("confirmed"), turn("resolved"));
    await runUntil(effects, () => tried.length === 2);
    expect(tried).toEqual(["a-opened", "a-resolved"]);
    const after = await runUntil(effects, (alerts) => alerts.state().lag === 0);
    expect(after.alerts.state()).toMatchObject({ messages_sent: 0, message: null });
    expect(tried).toHaveLength(2);
  });

  it("tries a receiver that answers 500 for an hour until it takes the message, says so, and lets no other wait", async () => {
    const { kafka, append } = await line();
    let now = 0;
    const waits: number[] = [];
    const bad = recorder(() =>
      now < 3_600_000 ? { outcome: "later", answer: "10.0.0.1 answered HTTP 500" } : { outcome: "taken" },
    );
    const good = recorder();
    const effects = {
      kafka,
      targets: [target("bad", bad.send), target("good", good.send)],
      nowMs: () => now,
      pause: async (ms: number) => {
        waits.push(ms);
        now += ms;
        await new Promise(setImmediate);
      },
    };
    await runUntil({ kafka, targets: effects.targets }, (alerts) => alerts.state().lag === 0);
    for (const name of ["bad", "good"])
      await expect.poll(() => caughtUp(kafka, name), { timeout: 5_000 }).toBe(true);
    await append(turn("opened"));
    const messages = new Set<string | null>();
    const { alerts, log } = await runUntil(effects, (one) => {
      messages.add(one.state().message);
      return one.state().messages_sent === 2;
    });
    expect(good.tried).toEqual(["a-opened"]);
    expect(new Set(bad.tried)).toEqual(new Set(["a-opened"]));
    expect(waits.slice(0, 4)).toEqual([1_000, 2_000, 4_000, 8_000]);
    expect(Math.max(...waits)).toBe(300_000);
    expect(alerts.state()).toMatchObject({
      messages_given_up: 0,
      tries_failed: bad.tried.length - 1,
      message: null,
    });
    expect(log).toContain('"bad" waits: 10.0.0.1 answered HTTP 500, tried 1 times in 0 min');
  });

  it("gives up after six hours, and what is refused at once, says both, and goes on with the next", async () => {
    const { kafka, append } = await line();
    let now = 0;
    const never = recorder(() => ({ outcome: "later", answer: "10.0.0.1 answered HTTP 500" }));
    const refusing = recorder((tries) =>
      tries === 1 ? { outcome: "refused", answer: "10.0.0.2 answered HTTP 404" } : { outcome: "taken" },
    );
    const targets = [target("never", never.send), target("refusing", refusing.send)];
    await runUntil({ kafka, targets }, (alerts) => alerts.state().lag === 0);
    for (const { name } of targets)
      await expect.poll(() => caughtUp(kafka, name), { timeout: 5_000 }).toBe(true);
    await append(turn("opened"));
    const pause = async (ms: number) => {
      now += ms;
      await new Promise(setImmediate);
    };
    const { alerts, log } = await runUntil(
      { kafka, targets, nowMs: () => now, pause },
      (one) => one.state().messages_given_up === 2,
    );
    expect(now).toBeLessThanOrEqual(GIVE_UP_MS);
    expect(alerts.state().message).toContain('"refusing" was not told of');
    expect(log.join("\n")).toMatch(
      /"never" was not told of a+-opened: 10\.0\.0\.1 answered HTTP 500, tried \d+ times in 6 h/,
    );
    expect(log.join("\n")).toContain("10.0.0.2 answered HTTP 404 and refused it");
    await append(turn("resolved"));
    const next = await runUntil({ kafka, targets: [targets[1]!] }, (one) => one.state().messages_sent === 1);
    expect(refusing.tried).toEqual(["a-opened", "a-resolved"]);
    expect(next.alerts.state().message).toBeNull();
  });

  it("does not send twice because the broker was away when its place was to be written", async () => {
    const { kafka, append } = await line();
    const { tried, send } = recorder();
    const targets = [target("ops", send)];
    await runUntil({ kafka, targets }, () => true);
    await append(turn("opened"));
    const commit = kafka.admin.commit;
    let away = 7;
    kafka.admin.commit = async (...given) => {
      if (away-- > 0) throw new PipelineError("kafka_unreachable", "Cannot commit");
      await commit(...given);
    };
    const messages: (string | null)[] = [];
    await expect(
      runUntil(
        { kafka, targets },
        (alerts) => {
          messages.push(alerts.state().message);
          return away < 0;
        },
        20_000,
      ),
    ).resolves.toBeDefined();
    expect(tried).toEqual(["a-opened"]);
    expect(messages).toContain('"ops" waits: Cannot commit');
    expect(await caughtUp(kafka, "ops")).toBe(true);
  });

  it("sends again, under the same id, what it sent and could not write down, and leaves out what it cannot read", async () => {
    const { kafka, append } = await line();
    const { tried, send } = recorder();
    const targets = [target("ops", send)];
    await runUntil({ kafka, targets }, (alerts) => alerts.state().lag === 0);
    await expect.poll(() => caughtUp(kafka, "ops"), { timeout: 5_000 }).toBe(true);
    await sendOnce(kafka, "other", [{ topic: TOPIC, key: "new-york", value: Buffer.from("nonsense") }]);
    await append(turn("opened"));
    // As a crash between the two would leave it: sent, and the place not moved.
    const commit = kafka.admin.commit;
    kafka.admin.commit = async () => undefined;
    const first = await runUntil({ kafka, targets }, () => tried.length === 1);
    expect(first.alerts.state().undecodable).toBe(1);
    kafka.admin.commit = commit;
    await runUntil({ kafka, targets }, () => tried.length === 2);
    expect(tried).toEqual(["a-opened", "a-opened"]);
    await expect.poll(() => caughtUp(kafka, "ops"), { timeout: 5_000 }).toBe(true);
  });
});

describe("a webhook", () => {
  const servers: Server[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) server.close();
  });

  async function receiver(status: number) {
    const bodies: string[] = [];
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        bodies.push(Buffer.concat(chunks).toString());
        response.writeHead(status).end();
      });
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    return { bodies, url: `http://127.0.0.1:${port}/services/T0/hush`, host: `127.0.0.1:${port}` };
  }
  const message = new Told("weather", { severity: 0 }).take(turn("opened"))!;

  it("takes the body, and what it answers decides what follows; its path is in no answer", async () => {
    for (const [status, outcome] of [
      [200, "taken"],
      [204, "taken"],
      [500, "later"],
      [503, "later"],
      [429, "later"],
      [404, "refused"],
    ] as const) {
      const { bodies, url, host } = await receiver(status);
      const tried = await webhook({ name: "ops", kind: "slack" }, url)(message);
      expect([status, tried.outcome]).toEqual([status, outcome]);
      expect(bodies.map((body) => JSON.parse(body))).toEqual([{ text: `:warning: ${message.text}` }]);
      if (tried.outcome !== "taken") {
        expect(tried.answer).toContain(host);
        expect(tried.answer).not.toContain("hush");
      }
    }
  });

  it("that is away is tried later, and what is no URL is refused without being named", async () => {
    const { url } = await receiver(200);
    await new Promise((resolve) => servers.pop()!.close(resolve));
    const tried = await webhook({ name: "ops", kind: "json" }, url)(message);
    expect(tried).toMatchObject({
      outcome: "later",
      answer: expect.stringContaining("gave no answer (refused)"),
    });
    for (const wrong of ["hush", "ftp://hush/x", ""])
      expect(() => webhook({ name: "ops", kind: "json" }, wrong)).toThrow(
        /alert target "ops": expected an http or https URL, got something else$/,
      );
  });
});
