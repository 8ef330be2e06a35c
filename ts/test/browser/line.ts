// A served line for tests in a browser: the real server over real encoded records, with Kafka in memory, and where history is wanted a
// real store that a sink fills. What engines and jobs say is what the test says.

import { join } from "node:path";
import { sendOnce } from "../../kafka/kafka.ts";
import { CONTRACT as METERS } from "../../pipelines/generated/meters.ts";
import { pipelineOf, topicOf } from "../../pipelines/index.ts";
import type { KnownModel } from "../../serve/effects.ts";
import type { EngineProbe } from "../../serve/health.ts";
import { decoderOf } from "../../serve/live.ts";
import type { Uses } from "../../serve/processes.ts";
import { type PipelineOptions, type Serving, startApi } from "../../serve/start.ts";
import { storeWhenAsked } from "../../serve/store.ts";
import { type Settings, settingsOf } from "../../settings/settings.ts";
import { openStore } from "../../store/queries.ts";
import type { StoredKind } from "../../store/rows.ts";
import type { SupervisedJob } from "../../supervise/views.ts";
import { type FakeKafka, fakeKafka } from "../fakes/kafka.ts";
import { absentStore, HOUR_MS, SERVER } from "../served/weather.ts";
import { type Stored, stored } from "../stored.ts";

/** Its records are JSON here: what jobs say is what the test says. */
const PROGRESS = "job-progress";

const root = join(import.meta.dirname, "..", "..", "..");

const running = (name: string, engine: string): SupervisedJob => ({
  ...{ name, engine, desired: true, state: "running", reason: null, submission: "s", restarts: 0 },
  ...{ gave_up: false, pipeline: "weather", schedule: null, due_ms: null, last: null },
});

/** Where nobody listens: a store that is never asked. */
const NOWHERE = "postgres://nobody@127.0.0.1:1/none";

type Changeable<T> = { -readonly [K in keyof T]: T[K] };

export interface Line {
  readonly kafka: FakeKafka;
  readonly records: Stored;
  readonly serving: Serving;
  /** What the engine Ray says of itself. */
  readonly ray: Changeable<EngineProbe>;
  /** A good record, but for what is said of it. */
  send(kind: StoredKind, station_id: string, record?: object): Promise<void>;
  /** What a job says of itself. */
  report(job: string, counters: Readonly<Record<string, number>>): Promise<void>;
  /** Serves again what Kafka and the store hold, at the same address. */
  again(): Promise<Serving>;
  close(): Promise<void>;
}

export interface LineOptions {
  /** Settings of a PostgreSQL; without there is no store. */
  readonly database?: Settings;
  /** Whether meters are served beside the weather. */
  readonly meters?: boolean;
  /** What each process uses; nothing is known of any without. */
  readonly uses?: Uses;
  readonly models?: readonly KnownModel[];
}

/** Starts one on a free port of loopback. */
export async function startLine({ database, meters = false, uses, models }: LineOptions = {}): Promise<Line> {
  const kafka = fakeKafka(() => Date.now());
  const records = await stored(
    database ?? settingsOf(root, { external: ["postgres"], databaseUrl: NOWHERE }),
    kafka,
  );
  const { names, contract, registry } = records;
  const ray = { name: "ray", address: "a", needed: true, up: true, detail: "answers", next: null };
  const decode = decoderOf(contract, registry);
  await kafka.admin.ensure([{ topic: PROGRESS, partitions: 1, config: {} }]);
  const common = {
    groups: [],
    domain: null,
    rule: { trail_ms: 2 * HOUR_MS, silent_ms: 120_000 },
    needed_jobs: [],
  };
  const weather: PipelineOptions = {
    ...common,
    contract,
    topics: Object.fromEntries([
      [PROGRESS, "progress"],
      ...(["features", "predictions", "verifications", "rejects"] as const).map(
        (kind) => [topicOf(names, kind).topic, kind] as const,
      ),
    ]),
    groups: [{ group: names.groups.dashboard, topic: topicOf(names, "features").topic }],
    needed_jobs: ["weather-features", "weather-infer"],
    store: database
      ? () => storeWhenAsked(() => openStore(records.settings, pipelineOf("weather")))
      : absentStore,
    decode: (kind, value) =>
      kind === "progress"
        ? Promise.resolve({ ok: true, schema_id: 0, record: JSON.parse(value.toString("utf8")) })
        : decode(kind, value),
  };
  const second: PipelineOptions = {
    ...common,
    contract: METERS,
    topics: {},
    store: absentStore,
    decode: decoderOf(METERS, registry),
  };
  const serve = (port: number) =>
    startApi({
      ...SERVER,
      pipelines: meters ? [weather, second] : [weather],
      port,
      engines: async () => [ray],
      links: [
        { name: "Spark", href: "http://127.0.0.1:8080/" },
        { name: "Ray", href: "http://127.0.0.1:8265/" },
        { name: "MLflow", href: "http://127.0.0.1:5000/" },
        { name: "API", href: "/docs" },
      ],
      web: join(root, "target", "web"),
      kafka,
      jobs: async () => [running("weather-features", "spark"), running("weather-infer", "ray")],
      ...(uses && { processes: async () => uses }),
      ...(models && { models: async () => models }),
      clock: { nowMs: () => Date.now() },
    });
  const line = {
    kafka,
    records,
    ray,
    serving: await serve(0),
    send: (kind: StoredKind, station_id: string, record: object = {}) =>
      records.send([records.record(kind, station_id, record)]),
    report: (job: string, counters: Readonly<Record<string, number>>) =>
      sendOnce(kafka, "test", [
        {
          topic: PROGRESS,
          key: job,
          value: Buffer.from(
            JSON.stringify({
              ...{ job, submission: "s", state: "running", timestamp: Date.now() },
              ...{ error_code: null, message: null, counters },
            }),
          ),
        },
      ]),
    async again() {
      line.serving = await serve(Number(new URL(line.serving.url).port));
      return line.serving;
    },
    async close() {
      await line.serving.close();
      await records.remove();
    },
  };
  return line;
}
