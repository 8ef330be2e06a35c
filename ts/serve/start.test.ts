import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { get } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { PipelineError } from "../contract/index.ts";
import { sendOnce } from "../kafka/kafka.ts";
import { type FakeKafka, fakeKafka } from "../test/fakes/kafka.ts";
import { CONTRACT as GAUGES } from "../test/pipelines/generated/gauges.ts";
import { features, HOUR_MS, NOW_MS, prediction, SERVED, SERVER, T0_MS } from "../test/served/weather.ts";
import { type PipelineOptions, type ServeOptions, type Serving, startApi } from "./start.ts";

const topics = { "weather-predictions": "predictions", "weather-features": "features" } as const;

async function broker(): Promise<FakeKafka> {
  const kafka = fakeKafka(() => NOW_MS);
  await kafka.admin.ensure(Object.keys(topics).map((topic) => ({ topic, partitions: 4, config: {} })));
  return kafka;
}

const send = (kafka: FakeKafka, topic: keyof typeof topics, station_id: string, record: object) =>
  sendOnce(kafka, "test", [
    { topic, key: station_id, value: Buffer.from(JSON.stringify({ station_id, ...record })) },
  ]);

const started: Serving[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((s) => s.close()));
});

const weather: PipelineOptions = {
  ...SERVED,
  topics,
  groups: [{ group: "ray-ml-inference", topic: "weather-features" }],
  rule: { trail_ms: 2 * HOUR_MS, silent_ms: 120_000 },
};

async function start(kafka: FakeKafka, more: Partial<ServeOptions> = {}): Promise<Serving> {
  const serving = await startApi({
    ...SERVER,
    pipelines: [weather],
    kafka,
    ...more,
  });
  started.push(serving);
  return serving;
}

/** Asks until the answer fits, with a deadline. */
async function until(url: string, fits: (body: string, status: number) => boolean): Promise<string> {
  const deadline_ms = performance.now() + 5_000;
  for (;;) {
    const response = await fetch(url);
    const body = await response.text();
    if (fits(body, response.status)) return body;
    if (performance.now() > deadline_ms) throw new Error(`No fitting answer from ${url}, last: ${body}`);
  }
}

describe("startApi()", () => {
  it("serves what was written before it started, and what is written after", async () => {
    const kafka = await broker();
    await send(kafka, "weather-predictions", "denver", prediction({ revision: 1 }));
    await send(kafka, "weather-features", "denver", features());
    const { url, caught_up } = await start(kafka);
    await caught_up;
    expect((await fetch(`${url}/health/ready`)).status).toBe(200);
    expect(await (await fetch(`${url}/predictions/denver`)).json()).toMatchObject({
      version: { revision: 1 },
    });
    await send(kafka, "weather-predictions", "denver", prediction({ revision: 3 }));
    await send(kafka, "weather-predictions", "denver", prediction({ revision: 2 }));
    await until(`${url}/predictions/denver`, (body) => JSON.parse(body).version.revision === 3);
    await until(`${url}/metrics`, (body) => body.includes('outcome="older"} 1'));
    expect(await (await fetch(`${url}/predictions/denver`)).json()).toMatchObject({
      version: { revision: 3 },
    });
  });

  it("a second server of the same topics has every station too", async () => {
    const kafka = await broker();
    const [one, two] = [await start(kafka), await start(kafka)];
    for (const id of ["denver", "seattle", "new-york"])
      await send(kafka, "weather-predictions", id, prediction());
    for (const { url } of [one, two])
      await until(`${url}/stations`, (body) =>
        JSON.parse(body).stations.every((s: { age_s: unknown }) => s.age_s !== null),
      );
  });

  it("is not ready while a topic is missing, says which, and is ready once it exists", async () => {
    const kafka = fakeKafka(() => NOW_MS);
    const { url, caught_up } = await start(kafka);
    const body = await until(
      `${url}/health/ready`,
      (text, status) => status === 503 && text.includes("weather-"),
    );
    expect(JSON.parse(body).feed.error).toContain("to exist, got none");
    await kafka.admin.ensure(Object.keys(topics).map((topic) => ({ topic, partitions: 1, config: {} })));
    await caught_up;
    await until(`${url}/health/ready`, (_, status) => status === 200);
  });

  it("goes on after a failed read without losing or repeating a record", async () => {
    const kafka = await broker();
    const { url, caught_up } = await start(kafka);
    await caught_up;
    kafka.failNext("read");
    for (let revision = 1; revision <= 5; revision++)
      await send(kafka, "weather-predictions", "denver", prediction({ revision, timestamp: T0_MS }));
    await until(`${url}/predictions/denver`, (body) => body.includes('"revision":5'));
    const text = await until(`${url}/metrics`, (body) => body.includes("feed_records_total"));
    expect(text).toContain('millrace_feed_records_total{topic="weather-predictions",outcome="newest"} 5');
  });

  it("tries a record again when the registry was away", async () => {
    const kafka = await broker();
    let [away, said] = [true, 0];
    const { url, caught_up } = await start(kafka, {
      pipelines: [
        {
          ...weather,
          decode: async (kind, value) => {
            if (away) throw new PipelineError("registry_unreachable", "Cannot ask the schema registry");
            return weather.decode(kind, value);
          },
        },
      ],
      log: () => said++,
    });
    await caught_up;
    await send(kafka, "weather-predictions", "denver", prediction());
    const body = await until(`${url}/health/ready`, (_, status) => status === 503);
    expect(JSON.parse(body).feed.error).toBe("Cannot ask the schema registry");
    away = false;
    await until(`${url}/predictions/denver`, (_, status) => status === 200);
    expect(said).toBe(1);
    const text = await until(`${url}/metrics`, (text) => text.includes("feed_records_total"));
    expect(text).toContain('millrace_feed_records_total{topic="weather-predictions",outcome="newest"} 1');
  });

  it("shows the lag of the groups it is given", async () => {
    const kafka = await broker();
    await send(kafka, "weather-features", "denver", features());
    const { url } = await start(kafka);
    const text = await until(`${url}/metrics`, (body) => body.includes("millrace_consumer_lag{"));
    expect(text).toMatch(
      /millrace_consumer_lag\{group="ray-ml-inference",topic="weather-features",partition="\d"\} 2/,
    );
  });

  it("names the setting that moves a port in use", async () => {
    const kafka = await broker();
    const { url } = await start(kafka);
    const port = Number(new URL(url).port);
    const refused = start(kafka, { port });
    await expect(refused).rejects.toThrow(PipelineError);
    await expect(refused).rejects.toThrow(
      `Cannot serve on "127.0.0.1:${port}": expected a free port, got a port in use; --port moves it`,
    );
  });

  it("takes up a pipeline while it runs, keeps what it knows of the others, and lets one go", async () => {
    const kafka = await broker();
    await kafka.admin.ensure([{ topic: "gauges-predictions", partitions: 1, config: {} }]);
    const { url, use } = await start(kafka);
    await send(kafka, "weather-predictions", "denver", prediction());
    await until(`${url}/predictions/denver`, (_, status) => status === 200);
    expect((await fetch(`${url}/gauges/stations`)).status).toBe(404);
    const { anomaly: _, ...record } = prediction({ predictions: { level_30m: 1.2 }, quantiles: {} });
    await sendOnce(kafka, "test", [
      {
        topic: "gauges-predictions",
        key: "g-1",
        value: Buffer.from(JSON.stringify({ gauge: "g-1", ...record })),
      },
    ]);
    const gauges = {
      ...weather,
      contract: GAUGES,
      topics: { "gauges-predictions": "predictions", "weather-features": "features" },
    } as const;
    await use([weather, gauges]);
    await until(`${url}/gauges/predictions/g-1`, (body) => body.includes('"level_30m":1.2'));
    expect((await fetch(`${url}/predictions/denver`)).status).toBe(200);
    const { feed } = (await (await fetch(`${url}/health/ready`)).json()) as { feed: { topics: object[] } };
    // A topic that both name is read once.
    expect(feed.topics).toHaveLength(3);
    await use([weather]);
    expect((await fetch(`${url}/gauges/stations`)).status).toBe(404);
    expect((await fetch(`${url}/predictions/denver`)).status).toBe(200);
  });

  // A certificate is made where the machine has the tool for it.
  it.skipIf(!existsSync("/usr/bin/openssl"))(
    "speaks TLS with a certificate, and refuses a file that is none",
    async () => {
      const folder = mkdtempSync(join(tmpdir(), "millrace-tls-"));
      const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
      const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"];
      const made = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "1",
      ];
      execFileSync("openssl", [...made, "-keyout", key, "-out", cert, ...subject], { stdio: "ignore" });
      const kafka = await broker();
      const { url } = await start(kafka, { tls: { cert, key } });
      expect(url).toMatch(/^https:/);
      const answer = await new Promise<IncomingMessage>((resolve, reject) =>
        get(`${url}/health/live`, { ca: readFileSync(cert) }, resolve).on("error", reject),
      );
      expect(answer.statusCode).toBe(200);
      expect(answer.headers["strict-transport-security"]).toContain("max-age=");
      answer.resume();
      await expect(start(kafka, { tls: { cert: join(folder, "none.pem"), key } })).rejects.toThrow(
        "Cannot read MILLRACE_API_TLS_CERT",
      );
    },
  );

  it("close() frees the port", async () => {
    const kafka = await broker();
    const first = await start(kafka);
    const port = Number(new URL(first.url).port);
    await first.close();
    const again = await start(kafka, { port });
    expect((await fetch(`${again.url}/health/live`)).status).toBe(200);
  });
});
