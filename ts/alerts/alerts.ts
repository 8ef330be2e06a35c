// Follows the topic of anomalies for each target of a pipeline, and tells it what is news to it. Prose before code:
//   1. A target's place is the offsets of a group of its own. A target that has none begins at the end, and that is written at once:
//      who is told from now on is not told of last month.
//   2. What lies before its place is read again, silently, to know of which open anomalies it was told.
//   3. Each message is sent before the offset behind it is written. A crash between the two sends it twice, under the same id; a
//      broker that is away between the two does not. A message that is given up is counted and said, and the next one follows.
// Targets do not wait for each other.

import { Decoder, PipelineError } from "../contract/index.ts";
import { pause } from "../ground/pause.ts";
import { persist } from "../ground/persist.ts";
import { type Pace, repeat } from "../ground/repeat.ts";
import { type Kafka, type KafkaRecord, readAll } from "../kafka/kafka.ts";
import type { Registry } from "../kafka/registry.ts";
import { type Contract, entityKey } from "../pipelines/contract.ts";
import type { AlertTarget } from "../pipelines/define.ts";
import { type Names, topicOf } from "../pipelines/names.ts";
import { deliver, type Send } from "./deliver.ts";
import { type Message, Told, type Turn } from "./message.ts";

/** A target, and how it is reached. */
export type Reached = AlertTarget & { readonly send: Send };

export interface AlertsEffects {
  readonly names: Names;
  readonly contract: Contract;
  readonly targets: readonly Reached[];
  readonly kafka: Kafka;
  readonly registry: Pick<Registry, "schemaById">;
  readonly log: (line: string) => void;
  readonly nowMs?: () => number;
  readonly pause?: (duration_ms: number, signal: AbortSignal) => Promise<void>;
}

/** How it fares, for heartbeats. Counters only grow. */
export interface AlertsState {
  readonly messages_sent: number;
  readonly messages_given_up: number;
  readonly tries_failed: number;
  readonly undecodable: number;
  /** Records that a target has yet to be asked about, the most of any. */
  readonly lag: number;
  /** By target: what it waits for, or what it was not told of since the last message that it took. Null when all is well. */
  readonly message: string | null;
}

/** The place behind a message is written within the time that a job has to stop. */
const WRITING: Pace = { tries: 5, first_ms: 200, most_ms: 2_000, deadline_ms: 8_000 };

const unwritten = (target: string, message: Message) => `${target} ${message.id}`;

export class Alerts {
  readonly #effects: Required<AlertsEffects>;
  readonly #topic: string;
  readonly #decoder: Decoder;
  readonly #troubles = new Map<string, string>();
  readonly #lags = new Map<string, () => number>();
  /** Messages that are done with while the place behind them is not written: at most one of each target. */
  readonly #unwritten = new Set<string>();
  #sent = 0;
  #given_up = 0;
  #failed = 0;
  #undecodable = 0;

  constructor(effects: AlertsEffects) {
    this.#effects = { nowMs: () => Date.now(), pause, ...effects };
    this.#topic = topicOf(effects.names, "anomalies").topic;
    this.#decoder = new Decoder(effects.contract.schemas.anomalies!, (id) => effects.registry.schemaById(id));
  }

  state(): AlertsState {
    return {
      messages_sent: this.#sent,
      messages_given_up: this.#given_up,
      tries_failed: this.#failed,
      undecodable: this.#undecodable,
      lag: Math.max(0, ...[...this.#lags.values()].map((lag) => lag())),
      message: this.#troubles.size === 0 ? null : [...this.#troubles.values()].join("; "),
    };
  }

  /** Tells until the signal fires. Rejects only for mistakes of ours and for a topic that is not there. */
  async run(signal: AbortSignal): Promise<void> {
    const stop = new AbortController();
    const end = () => stop.abort();
    signal.addEventListener("abort", end, { once: true });
    if (signal.aborted) end();
    const all = this.#effects.targets.map((target) => this.#persist(target, stop.signal));
    for (const one of all) one.catch(end);
    try {
      for (const result of await Promise.allSettled(all))
        if (result.status === "rejected") throw result.reason;
    } finally {
      signal.removeEventListener("abort", end);
    }
  }

  async #persist(target: Reached, signal: AbortSignal): Promise<void> {
    await persist(() => this.#follow(target, signal), {
      signal,
      progress: () => this.#sent,
      after: (error) => {
        if (!(error instanceof PipelineError) || !error.retryable) throw error;
        this.#troubles.set(target.name, `"${target.name}" waits: ${error.message}`);
        return "later";
      },
    });
  }

  async #follow(target: Reached, signal: AbortSignal): Promise<void> {
    const { kafka, contract, names } = this.#effects;
    const group = names.groups.alerts(target.name);
    const from = await this.#place(group);
    const told = new Told(contract.pipeline, target);
    for (const record of await readAll(kafka, this.#topic, { until: "stable", signal })) {
      const turn = record.offset < (from.get(record.partition) ?? 0) ? await this.#turn(record) : null;
      if (turn !== null) told.take(turn);
    }
    if (signal.aborted) return;
    this.#troubles.delete(target.name);
    const reader = kafka.read(this.#topic, { from, until: "never", signal });
    this.#lags.set(target.name, () => reader.lag());
    try {
      for await (const records of reader)
        for (const record of records) {
          const turn = await this.#turn(record);
          const message = turn === null ? null : told.take(turn);
          if (message !== null && !(await this.#tell(target, message, signal))) return;
          // Behind a message at once; of what was no news the last of a batch is enough.
          if (message !== null || record === records.at(-1))
            await this.#move(group, record.partition, record.offset + 1);
          if (message !== null) this.#unwritten.delete(unwritten(target.name, message));
        }
    } finally {
      await reader.close();
    }
  }

  /** A broker that is busy for a moment must not make a message go out twice. */
  async #move(group: string, partition: number, next: number): Promise<void> {
    await repeat(() => this.#effects.kafka.admin.commit(group, this.#topic, new Map([[partition, next]])), {
      passes: (error) => error instanceof PipelineError && error.retryable,
      pace: WRITING,
    });
  }

  /** Where a target goes on, of each partition; the end of one that it has no place in, which it has from then on. */
  async #place(group: string): Promise<ReadonlyMap<number, number>> {
    const { kafka, log } = this.#effects;
    const ends = await kafka.admin.offsets(this.#topic);
    const rows = await kafka.admin.lag(group, this.#topic);
    const places = new Map(
      rows.flatMap(({ partition, committed }) =>
        committed === null ? [] : [[partition, committed] as const],
      ),
    );
    const fresh = new Map(
      ends.flatMap(({ partition, stable }) => (places.has(partition) ? [] : [[partition, stable] as const])),
    );
    if (fresh.size > 0) {
      await kafka.admin.commit(group, this.#topic, fresh);
      log(`${group} begins at the end of ${fresh.size} partitions of "${this.#topic}"`);
    }
    return new Map([...places, ...fresh]);
  }

  async #turn(record: KafkaRecord): Promise<Turn | null> {
    const decoded = await this.#decoder.decode(record.value);
    if (decoded.ok) {
      const turn = decoded.record as Omit<Turn, "name"> & Readonly<Record<string, unknown>>;
      return { ...turn, name: String(turn[entityKey(this.#effects.contract)]) };
    }
    this.#undecodable++;
    if (this.#undecodable === 1)
      this.#effects.log(
        `left out the record of "${record.topic}" at ${record.partition}/${record.offset}: ${decoded.reason}, ${decoded.detail}`,
      );
    return null;
  }

  /** False when it was told to stop first. */
  async #tell({ name, send }: Reached, message: Message, signal: AbortSignal): Promise<boolean> {
    const { log, nowMs, pause } = this.#effects;
    if (this.#unwritten.has(unwritten(name, message))) return true;
    const waits = (tries: number, since_ms: number, answer: string) => {
      this.#failed++;
      const minutes = Math.round((nowMs() - since_ms) / 60_000);
      const words = `"${name}" waits: ${answer}, tried ${tries} times in ${minutes} min`;
      if (tries === 1) log(words);
      this.#troubles.set(name, words);
    };
    const done = await deliver(message, send, { nowMs, pause, waits }, signal);
    if (done.outcome === "stopped") return false;
    this.#unwritten.add(unwritten(name, message));
    if (done.outcome === "sent") {
      this.#sent++;
      this.#troubles.delete(name);
    } else {
      this.#failed++;
      this.#given_up++;
      const words = `"${name}" was not told of ${message.id}: ${done.why}`;
      log(words);
      this.#troubles.set(name, words);
    }
    return true;
  }
}
