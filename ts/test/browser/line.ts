// A served line for tests in a browser: the real server over real encoded records, with Kafka in memory, and where history is wanted a
// real store that a sink fills. What engines and jobs say is what the test says.

import { join } from "node:path";
import { encoder } from "../../contract/index.ts";
import { type OutRecord, sendOnce } from "../../kafka/kafka.ts";
import { CONTRACT as METERS } from "../../pipelines/generated/meters.ts";
import { CONTRACT } from "../../pipelines/generated/weather.ts";
import type { EngineProbe } from "../../serve/health.ts";
import { decoderOf } from "../../serve/live.ts";
import { type PipelineOptions, type ServeOptions, type Serving, startApi } from "../../serve/start.ts";
import type { ServedStore } from "../../serve/store.ts";
import type { SupervisedJob } from "../../supervise/views.ts";
import { type FakeKafka, fakeKafka } from "../fakes/kafka.ts";
import { absentStore, HOUR_MS } from "../served/weather.ts";

export const TOPICS = {
  "weather-predictions": "predictions",
  "weather-features": "features",
  "weather-verifications": "verifications",
} as const;
export type Topic = keyof typeof TOPICS;

/** A value for every column of a feature record that the test does not speak about. */
const blank: Record<string, unknown> = Object.fromEntries(
  (JSON.parse(CONTRACT.schemas.features) as { fields: { name: string; type: unknown }[] }).fields.map((f) => [
    f.name,
    Array.isArray(f.type) ? null : 0,
  ]),
);

const schema = {
  11: CONTRACT.schemas.predictions,
  12: CONTRACT.schemas.features,
  13: CONTRACT.schemas.verifications,
};
const encode = {
  "weather-predictions": encoder(schema[11], 11),
  "weather-features": encoder(schema[12], 12),
  "weather-verifications": encoder(schema[13], 13),
};
const blanks: Readonly<Record<Topic, object>> = {
  "weather-predictions": { inputs: [] },
  "weather-features": blank,
  "weather-verifications": {},
};

/** The record as it would be sent. */
export const recordOf = (topic: Topic, station_id: string, record: object): OutRecord => ({
  topic,
  key: station_id,
  value: encode[topic]({ ...blanks[topic], ...record, station_id }),
});

/** Where `make setup` builds the page. */
export const WEB = join(import.meta.dirname, "..", "..", "..", "target", "web");

const running = (name: string, engine: string): SupervisedJob => ({
  ...{ name, engine, desired: true, state: "running", reason: null, submission: "s", restarts: 0 },
  ...{ gave_up: false, pipeline: "weather", schedule: null, due_ms: null, last: null },
});

export interface Line {
  readonly kafka: FakeKafka;
  readonly serving: Serving;
  /** What the engine Ray says of itself; may be changed. */
  readonly ray: { -readonly [K in keyof EngineProbe]: EngineProbe[K] };
  send(topic: Topic, station_id: string, record: object): Promise<void>;
}

export interface LineOptions {
  /** In which the records are that are there already. */
  readonly kafka?: FakeKafka;
  readonly port?: number;
  readonly store?: () => ServedStore;
  /** Served beside the weather. */
  readonly meters?: boolean;
}

/** Starts one on a free port of loopback. */
export async function startLine(options: LineOptions = {}): Promise<Line> {
  const kafka = options.kafka ?? fakeKafka(() => Date.now());
  const ray = { name: "ray", address: "a", needed: true, up: true, detail: "answers", next: null };
  await kafka.admin.ensure(Object.keys(TOPICS).map((topic) => ({ topic, partitions: 4, config: {} })));
  const weather: PipelineOptions = {
    contract: CONTRACT,
    topics: TOPICS,
    groups: [],
    needed_jobs: ["weather-features", "weather-infer"],
    rule: { trail_ms: 2 * HOUR_MS, silent_ms: 120_000 },
    store: options.store ?? absentStore,
    decode: decoderOf(CONTRACT, { schemaById: async (id) => schema[id as keyof typeof schema] }),
  };
  const meters: PipelineOptions = {
    ...weather,
    contract: METERS,
    topics: {},
    needed_jobs: [],
    store: absentStore,
    decode: decoderOf(METERS, { schemaById: async () => null }),
  };
  const serving = await startApi({
    pipelines: options.meters ? [weather, meters] : [weather],
    version: "0.1.0",
    confidence: "",
    host: "127.0.0.1",
    port: options.port ?? 0,
    setting: "--port",
    guard: { hosts: [], origins: [], keys: null, rate: null, access: null },
    engines: async () => [ray],
    models: async () => [],
    links: [
      { name: "Spark", href: "http://127.0.0.1:8080/" },
      { name: "Ray", href: "http://127.0.0.1:8265/" },
      { name: "MLflow", href: "http://127.0.0.1:5000/" },
      { name: "API", href: "/docs" },
    ],
    web: WEB,
    arm: "champion",
    kafka,
    jobs: async () => [running("weather-features", "spark"), running("weather-infer", "ray")],
    clock: { nowMs: () => Date.now() },
    log: () => undefined,
  } satisfies ServeOptions);
  return {
    kafka,
    serving,
    ray,
    send: async (topic, station_id, record) => {
      await sendOnce(kafka, "test", [recordOf(topic, station_id, record)]);
    },
  };
}
