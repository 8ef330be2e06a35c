// The API over a real broker and a real registry: catch-up, committed records only, schemas by id, engines as they are.

import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { serve } from "../../cli/jobs/serve.ts";
import { encoder, framePrefix } from "../../contract/index.ts";
import { connectKafka } from "../../kafka/client.ts";
import { type Kafka, type OutRecord, sendOnce } from "../../kafka/kafka.ts";
import { connectRegistry } from "../../kafka/registry.ts";
import { namesOf, pipelineOf, schemaOf, subjectsOf, topicOf, topicsOf } from "../../pipelines/index.ts";
import { staleRule } from "../../serve/live.ts";
import { features, HOUR_MS, prediction, T0_MS } from "../served/weather.ts";

const settings = { ...inject("engines"), namespace: `t${randomBytes(4).toString("hex")}` };
const { pipeline, contract } = pipelineOf("weather");
const names = namesOf(pipeline, settings.namespace);
const stations = Object.keys(contract.stations);
const stop = new AbortController();
const blank = Object.fromEntries(
  (JSON.parse(schemaOf(contract, "features")) as { fields: { name: string; type: unknown }[] }).fields.map(
    (f) => [f.name, Array.isArray(f.type) ? null : 0],
  ),
);

let kafka: Kafka;
let url: string;
let serving: Promise<void>;
let encode: Record<string, (record: object) => Buffer>;

const record = (
  what: "predictions" | "features" | "rejects" | "progress",
  key: string,
  value: object,
): OutRecord => ({
  topic: topicOf(names, what).topic,
  key,
  value: encode[what]!(value),
});
const predicted = (station_id: string, more: Parameters<typeof prediction>[0] = {}) =>
  record("predictions", station_id, { inputs: [], ...prediction(more), station_id });

const get = async (path: string) => {
  const response = await fetch(`${url}${path}`);
  return { status: response.status, text: await response.text() };
};

async function until(path: string, fits: (answer: { status: number; text: string }) => boolean) {
  const deadline_ms = performance.now() + 20_000;
  for (;;) {
    const answer = await get(path);
    if (fits(answer)) return answer;
    if (performance.now() > deadline_ms)
      throw new Error(`No fitting answer from ${path}: ${answer.text.slice(0, 500)}`);
  }
}

beforeAll(async () => {
  kafka = connectKafka(settings.kafka);
  const registry = connectRegistry(settings.registryUrl);
  await kafka.admin.ensure(topicsOf(names));
  encode = {};
  for (const { what, subject, schema } of subjectsOf(names, contract))
    encode[what] = encoder(schema, await registry.register(subject, schema, "BACKWARD"));
  const written = stations.flatMap((id) => [
    record("features", id, { ...blank, ...features(), station_id: id }),
    predicted(id, { revision: 2, model_version: "newest" }),
    predicted(id, { revision: 1 }),
  ]);
  // What a row of the future left there before it was a reject: its station would be the newest for good.
  written.push(predicted(stations[0]!, { timestamp: Date.UTC(2073, 0, 1), model_version: "future" }));
  await sendOnce(kafka, `${settings.namespace}-a`, written);
  await sendOnce(kafka, `${settings.namespace}-b`, [
    {
      topic: topicOf(names, "predictions").topic,
      key: "x",
      value: Buffer.concat([framePrefix(999_999), Buffer.from("?")]),
    },
    record("progress", "weather-features", {
      job: "weather-features",
      submission: "s",
      state: "running",
      timestamp: Date.now(),
      error_code: null,
      message: null,
      counters: { input_rows: 42 },
    }),
  ]);
  url = await new Promise<string>((resolve, reject) => {
    serving = serve(
      settings,
      { host: "127.0.0.1", port: 0, rule: staleRule(pipelineOf("weather")), json: true },
      {
        jobs: async () => [],
        signal: stop.signal,
        print: (line) => resolve((JSON.parse(line) as { url: string }).url),
        warn: () => undefined,
      },
    );
    serving.catch(reject);
  });
});

afterAll(async () => {
  stop.abort();
  await serving;
  await kafka.admin.remove(topicsOf(names).map(({ topic }) => topic));
  await kafka.close();
});

it("is ready once it has read what was there, and serves the newest version of every station", async () => {
  await until("/health/ready", ({ status }) => status === 200);
  const all = JSON.parse((await get("/stations")).text) as {
    stations: { forecast: { model_version: string } }[];
  };
  expect(all.stations).toHaveLength(stations.length);
  expect(new Set(all.stations.map((s) => s.forecast.model_version))).toEqual(new Set(["newest"]));
  expect(JSON.parse((await get(`/predictions/${stations[0]}`)).text)).toMatchObject({
    station_id: stations[0],
    version: { revision: 2 },
    provenance: { prediction_topic: topicOf(names, "predictions").topic },
  });
});

it("leaves out a forecast of the future: its station is served, and the others are not stale for it", async () => {
  const { stations: all } = JSON.parse((await get("/stations")).text) as {
    stations: { stale: boolean; forecast: { model_version: string } }[];
  };
  expect(all.filter(({ stale }) => stale)).toEqual([]);
  expect((await get("/metrics")).text).toContain(
    `millrace_feed_records_total{topic="${topicOf(names, "predictions").topic}",outcome="ahead"} 1`,
  );
});

it("counts a record whose schema nobody knows and goes on", async () => {
  const { text } = await get("/metrics");
  expect(text).toContain(
    `millrace_feed_records_total{topic="${topicOf(names, "predictions").topic}",outcome="undecodable"} 1`,
  );
  expect(text).toContain('millrace_job_input_rows{job="weather-features"} 42');
});

it("serves a prediction once its transaction is committed, and never an aborted one", async () => {
  const id = stations[1]!;
  const producer = await kafka.producer({ transactional_id: `${settings.namespace}-c` });
  const aborted = await producer.begin();
  await aborted.send([predicted(id, { timestamp: T0_MS + 2 * HOUR_MS, model_version: "aborted" })]);
  await aborted.abort();
  const committed = await producer.begin();
  await committed.send([predicted(id, { timestamp: T0_MS + HOUR_MS, model_version: "committed" })]);
  await committed.commit();
  await producer.close();
  const { text } = await until(`/predictions/${id}`, ({ text }) => !text.includes('"newest"'));
  expect(JSON.parse(text)).toMatchObject({ model_version: "committed", stale: false });
});

it("names every engine as it is, and the jobs nobody has submitted", async () => {
  const { status, text } = await get("/health");
  expect(status).toBe(503);
  const health = JSON.parse(text) as {
    engines: { name: string; status: string }[];
    jobs: { detail: string }[];
  };
  const off = health.engines.filter((e) => e.status !== "up");
  expect(off).toMatchObject([
    { name: "hdfs-namenode", status: "off" },
    { name: "hdfs-datanode", status: "off" },
  ]);
  expect(health.engines.map((e) => e.name)).toContain("kafka");
  expect(health.jobs.map((j) => j.detail)).toContain("not submitted");
});

it("answers an unknown station with a problem document", async () => {
  const { status, text } = await get("/predictions/atlantis");
  expect(status).toBe(404);
  expect(JSON.parse(text)).toMatchObject({ code: "unknown_station" });
});
