// A pipeline of weather in a namespace of its own, its topics in some Kafka and its tables in some PostgreSQL: what the tests of the
// store write records with and run a sink on.

import { randomBytes } from "node:crypto";
import { encoder } from "../contract/index.ts";
import { until } from "../ground/until.ts";
import { type Kafka, type OutRecord, sendOnce } from "../kafka/kafka.ts";
import type { Registry } from "../kafka/registry.ts";
import {
  type Contract,
  type Names,
  namesOf,
  pipelineOf,
  schemaOf,
  topicOf,
  topicsOf,
} from "../pipelines/index.ts";
import { retentionOf, type Settings } from "../settings/settings.ts";
import { openStore, type Store } from "../store/queries.ts";
import type { Retention } from "../store/retention.ts";
import { STORED, type StoredKind } from "../store/rows.ts";
import { Sink, type SinkEffects } from "../store/sink.ts";
import { features, prediction, verification } from "./served/weather.ts";

const { pipeline, contract } = pipelineOf("weather");

/** Ids of the schemas here; nobody is asked for them. */
const IDS: Readonly<Record<StoredKind, number>> = {
  features: 1,
  predictions: 2,
  verifications: 3,
  rejects: 4,
};

export const blankFeatures = Object.fromEntries(
  (JSON.parse(schemaOf(contract, "features")) as { fields: { name: string; type: unknown }[] }).fields.map(
    (f) => [f.name, Array.isArray(f.type) ? null : 0],
  ),
);

const hex = (bytes = 16) => randomBytes(bytes).toString("hex");

export interface Stored {
  readonly settings: Settings;
  readonly names: Names;
  readonly contract: Contract;
  readonly kafka: Kafka;
  readonly store: Store;
  /** Who knows the schemas of its records. */
  readonly registry: Pick<Registry, "schemaById">;
  /** A record of a topic, made of a good one with some fields of its own. */
  record(kind: StoredKind, station_id: string, more?: object): OutRecord;
  send(records: readonly OutRecord[]): Promise<void>;
  sink(retention?: Retention): {
    readonly sink: Sink;
    readonly lines: string[];
    readonly effects: SinkEffects;
  };
  /** Runs a sink until everything that is in the topics now is in the tables. */
  fill(retention?: Retention): Promise<Sink>;
  remove(): Promise<void>;
}

/** With `registry` the schemas are registered there, for a sink that is a process of its own. */
export async function stored(base: Settings, kafka: Kafka, registered?: Registry): Promise<Stored> {
  const settings = { ...base, namespace: `t${hex(4)}` };
  const names = namesOf(pipeline, settings.namespace);
  await kafka.admin.ensure(topicsOf(names));
  const encode: Partial<Record<StoredKind, (record: object) => Buffer>> = {};
  for (const kind of STORED) {
    const schema = schemaOf(contract, kind);
    const id = (await registered?.register(topicOf(names, kind).subject, schema, "NONE")) ?? IDS[kind];
    encode[kind] = encoder<object>(schema, id);
  }
  const registry = registered ?? {
    schemaById: async (id: number) => {
      const kind = STORED.find((one) => IDS[one] === id);
      return kind === undefined ? null : schemaOf(contract, kind);
    },
  };
  const store = openStore(settings, { pipeline, contract });
  const good: Readonly<Record<StoredKind, () => object>> = {
    features: () => ({ ...blankFeatures, ...features() }),
    predictions: () => ({ inputs: [1, Number.NaN], ...prediction(), id: hex() }),
    verifications: () => ({ ...verification(), id: hex() }),
    rejects: () => ({
      ...{
        topic: `${names.prefix}weather-raw`,
        partition: 0,
        offset: 1,
        field: null,
        reason: "out_of_range",
      },
      ...{ detail: "x", schema_id: null, key: null, value: null, headers: {} },
      ...{ append_time: Date.now(), rejected_time: Date.now() },
    }),
  };
  let sent = 0;
  const sink: Stored["sink"] = (retention = retentionOf({})) => {
    const lines: string[] = [];
    const effects: SinkEffects = {
      place: { settings, names },
      names,
      contract,
      kafka,
      registry,
      retention,
      log: (line) => lines.push(line),
    };
    return { lines, effects, sink: new Sink(effects) };
  };
  return {
    settings,
    names,
    contract,
    kafka,
    store,
    registry,
    sink,
    record: (kind, station_id, more = {}) => ({
      topic: topicOf(names, kind).topic,
      key: station_id,
      value: encode[kind]!({ ...good[kind](), station_id, ...more }),
    }),
    send: (records) => sendOnce(kafka, `${settings.namespace}-${sent++}`, records),
    async fill(retention) {
      const { sink: one, lines } = sink(retention);
      const stop = new AbortController();
      const running = one.run(stop.signal);
      const caughtUp = async () => {
        for (const kind of STORED)
          for (const { committed, lag, end, partition } of await kafka.admin.lag(
            names.groups.dashboard,
            topicOf(names, kind).topic,
          ))
            if (lag > 0 && end > 0)
              return { done: false, seen: `${kind} ${partition}: ${committed} of ${end}` };
        return { done: true, seen: "" };
      };
      const { done, seen } = await Promise.race([
        until(caughtUp, { deadline_ms: 15_000, interval_ms: 20 }),
        running.then(() => ({ done: false, seen: "the sink ended" })),
      ]);
      stop.abort();
      await running;
      if (!done) throw new Error(`The store is not filled: ${seen}; ${lines.join("; ")}`);
      return one;
    },
    async remove() {
      await store.close();
      await kafka.admin.remove(topicsOf(names).map(({ topic }) => topic));
    },
  };
}
