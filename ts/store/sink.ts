// Writes the topics of one pipeline into its tables, for as long as it is let. Prose before code, because the order is what makes it
// true:
//   1. Connect, bring the tables to this version, and become the only writer (a lock that ends with the connection).
//   2. Read the offsets that the tables hold, and read the topics from there, committed records only.
//   3. Write what came, and the offsets behind it, in one transaction; then say the same offsets to Kafka's group, for those who look
//      there. Those in the tables decide.
// Whatever goes wrong outside of us (the store, Kafka or the registry is away, a disk is full, a commit got no answer) it begins
// again at 1. What was read and not written is thrown away: Kafka has it.

import type pg from "pg";
import { aheadOf, Decoder, isEntityId, PipelineError } from "../contract/index.ts";
import { pause } from "../ground/pause.ts";
import { persist } from "../ground/persist.ts";
import type { Kafka } from "../kafka/kafka.ts";
import type { Registry } from "../kafka/registry.ts";
import { type Contract, type Names, topicOf } from "../pipelines/index.ts";
import { CopyBuffer } from "./copy.ts";
import { migrate, openClient, type StorePlace, storeError } from "./database.ts";
import { type Chunk, Inbox } from "./inbox.ts";
import { purge, type Retention } from "./retention.ts";
import { type RowKind, rowKinds, STORED, type StoredKind } from "./rows.ts";
import { schemaName } from "./tables.ts";
import {
  confirmPositions,
  MovedError,
  type Positions,
  type Prepared,
  positionKey,
  prepareSession,
  readPositions,
  writeBatch,
} from "./write.ts";

export interface SinkEffects {
  readonly place: StorePlace;
  readonly names: Names;
  readonly contract: Contract;
  readonly kafka: Pick<Kafka, "admin" | "read">;
  readonly registry: Pick<Registry, "schemaById">;
  readonly retention: Retention;
  readonly log: (line: string) => void;
}

/** How it fares, for heartbeats. Counters only grow. */
export interface SinkState {
  readonly rows: Readonly<Record<StoredKind, number>>;
  readonly batches: number;
  readonly batch_ms: number;
  readonly undecodable: number;
  readonly purged: number;
  /** Records that retention took from a topic before they were read. */
  readonly skipped: number;
  /** Committed records that are read next or wait to be written, as the readers know it. */
  readonly lag: number;
  /** Null while it writes; else what it waits for. */
  readonly waits_for: string | null;
}

/** How long a batch that is not full waits for more: what is written is late by that, and each commit costs as much as 500 rows. */
const LINGER_MS = 200;
/** How often the offsets are said to Kafka's group, and how often what is too old is looked for. */
const TELL_MS = 1_000;
const PURGE_MS = 30_000;
/** How long the writer before may take to let go: the server notices a killed one at once. */
const LOCK_MS = 1_000;

export class Sink {
  readonly #effects: SinkEffects;
  readonly #kinds: Readonly<Partial<Record<StoredKind, RowKind>>>;
  /** Topic to what is stored of it. */
  readonly #topics: ReadonlyMap<string, StoredKind>;
  readonly #decoders = new Map<StoredKind, Decoder>();
  readonly #rows: Record<StoredKind, number> = { features: 0, predictions: 0, verifications: 0, rejects: 0 };
  #batches = 0;
  #batch_ms = 0;
  #undecodable = 0;
  #purged = 0;
  #skipped = 0;
  #lag: () => number = () => 0;
  /** Where the readers are: behind what they have handed on, commit markers included. */
  #readPositions: () => Positions = () => new Map();
  #waits_for: string | null = "the store";

  constructor(effects: SinkEffects) {
    this.#effects = effects;
    const { contract, names } = effects;
    this.#kinds = rowKinds(contract, { ahead_ms: aheadOf(contract), isEntity: isEntityId });
    this.#topics = new Map(
      STORED.flatMap((kind) => (this.#kinds[kind] ? [[topicOf(names, kind).topic, kind] as const] : [])),
    );
    for (const [kind, { schema }] of Object.entries(this.#kinds))
      this.#decoders.set(kind as StoredKind, new Decoder(schema, (id) => effects.registry.schemaById(id)));
  }

  state(): SinkState {
    return {
      rows: { ...this.#rows },
      batches: this.#batches,
      batch_ms: this.#batch_ms,
      undecodable: this.#undecodable,
      purged: this.#purged,
      skipped: this.#skipped,
      lag: this.#lag(),
      waits_for: this.#waits_for,
    };
  }

  /** Writes until the signal fires; the batch in hand is finished. Rejects only for mistakes of ours and for topics that are not there. */
  async run(signal: AbortSignal): Promise<void> {
    await persist(() => this.#once(signal), {
      signal,
      progress: () => this.#batches,
      after: (error) => {
        if (error instanceof MovedError) {
          this.#effects.log("the store's offsets were moved: goes on from where they are now");
          return "at_once";
        }
        if (!(error instanceof PipelineError) || !error.retryable) throw error;
        if (this.#waits_for !== error.message) this.#effects.log(`waits: ${error.message}`);
        this.#waits_for = error.message;
        return "later";
      },
    });
  }

  async #once(signal: AbortSignal): Promise<void> {
    const { place, log } = this.#effects;
    await migrate(place);
    const client = await openClient(place);
    const stop = new AbortController();
    const end = () => stop.abort();
    signal.addEventListener("abort", end, { once: true });
    try {
      await this.#becomeWriter(client, signal);
      if (signal.aborted) return;
      await prepareSession(client, this.#kinds);
      const positions = await readPositions(client);
      if (this.#waits_for !== null) log(`writes into "${schemaName(place.names)}"`);
      this.#waits_for = null;
      const inbox = new Inbox();
      const reading = this.#read(inbox, positions, stop.signal);
      // Whichever fails first ends the other; nobody is left behind unheard.
      const both = [reading, this.#write(client, inbox, positions, stop.signal)];
      for (const one of both) one.catch(end);
      const results = await Promise.allSettled(both);
      for (const result of results) if (result.status === "rejected") throw result.reason;
    } catch (error) {
      throw error instanceof MovedError ? error : storeError("write into the store", place, error);
    } finally {
      end();
      signal.removeEventListener("abort", end);
      this.#lag = () => 0;
      await client.end().catch(() => undefined);
    }
  }

  async #becomeWriter(client: pg.Client, signal: AbortSignal): Promise<void> {
    const { place, log } = this.#effects;
    for (let told = false; !signal.aborted; told = true) {
      const { rows } = await client.query<{ taken: boolean }>(
        "select pg_try_advisory_lock(hashtextextended($1, 0)) as taken",
        [schemaName(place.names)],
      );
      if (rows[0]?.taken) return;
      if (!told) log("waits for another writer of the same tables to end");
      this.#waits_for = "another writer of the same tables";
      await pause(LOCK_MS, signal);
    }
  }

  /** Reads every topic into the inbox until the signal fires. */
  async #read(inbox: Inbox, positions: Positions, signal: AbortSignal): Promise<void> {
    const { kafka } = this.#effects;
    const readers = [...this.#topics.keys()].map((topic) => {
      const from = new Map(
        [...positions].flatMap(([key, next]) => {
          const at = key.lastIndexOf(" ");
          return key.slice(0, at) === topic ? [[Number(key.slice(at + 1)), next] as const] : [];
        }),
      );
      return { topic, reader: kafka.read(topic, { from, until: "never", signal }) };
    });
    const skipped = this.#skipped;
    this.#lag = () => readers.reduce((sum, { reader }) => sum + reader.lag(), 0);
    this.#readPositions = () =>
      new Map(
        readers.flatMap(({ topic, reader }) =>
          [...reader.positions()].map(([partition, next]) => [positionKey(topic, partition), next] as const),
        ),
      );
    const follow = async ({ topic, reader }: (typeof readers)[number]) => {
      for await (const records of reader) {
        const { partition, offset } = records.at(-1)!;
        this.#skipped = skipped + readers.reduce((sum, one) => sum + one.reader.skipped(), 0);
        // Of this partition nothing but these records was handed on, commit markers behind them included.
        const next = Math.max(reader.positions().get(partition) ?? 0, offset + 1);
        await inbox.put({ topic, partition, records, next }, signal);
      }
    };
    try {
      await Promise.all(readers.map(follow));
    } finally {
      await Promise.allSettled(readers.map(({ reader }) => reader.close()));
    }
  }

  /** While one batch is written the next one is decoded. */
  async #write(client: pg.Client, inbox: Inbox, start: Positions, signal: AbortSignal): Promise<void> {
    const positions = new Map(start);
    const knownSchemas = new Set<number>();
    let writing: Promise<void> = Promise.resolve();
    let [told, told_ms, purged_ms] = [true, Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
    /** What is done now and then, between two batches or while none comes. */
    const tend = async () => {
      const now_ms = performance.now();
      if (!told && now_ms - told_ms >= TELL_MS) {
        [told, told_ms] = [true, now_ms];
        await this.#tell(positions);
      }
      if (now_ms - purged_ms >= PURGE_MS) {
        const { removed, more } = await purge(client, this.#effects.retention);
        this.#purged += removed;
        if (!more) purged_ms = now_ms;
      }
    };
    while (!signal.aborted) {
      const chunks = await inbox.take(signal, TELL_MS);
      if (chunks.length === 0) {
        // What a reader hands on is in the inbox at once: while that is empty, markers alone lie before where the readers are.
        const passed = new Map(
          [...this.#readPositions()].filter(([key, next]) => next > (positions.get(key) ?? 0)),
        );
        await writing;
        if (passed.size > 0) {
          await writeBatch(
            client,
            this.#kinds,
            { rows: {}, schemas: new Map(), positions: passed },
            positions,
          );
          for (const [key, next] of passed) positions.set(key, next);
          told = false;
        } else {
          // A rebuild moves them while nothing comes, and waits for this writer to begin again.
          await confirmPositions(client, positions);
        }
        await tend();
        continue;
      }
      const prepared = await this.#prepare(chunks, knownSchemas);
      await writing;
      writing = (async () => {
        const begin_ms = performance.now();
        await writeBatch(client, this.#kinds, prepared, positions);
        this.#batch_ms = Math.round(performance.now() - begin_ms);
        this.#batches++;
        told = false;
        for (const [key, next] of prepared.positions) positions.set(key, next);
        for (const id of prepared.schemas.keys()) knownSchemas.add(id);
        for (const [kind, { rows }] of Object.entries(prepared.rows)) this.#rows[kind as StoredKind] += rows;
        await tend();
      })();
      writing.catch(() => undefined);
      if (!inbox.full) {
        await writing;
        await pause(LINGER_MS, signal);
      }
    }
    await writing;
    if (!told) await this.#tell(positions);
  }

  /** For lag tools alone: that it does not work is no reason to stop writing. */
  async #tell(positions: Positions): Promise<void> {
    const { kafka, names } = this.#effects;
    for (const topic of this.#topics.keys()) {
      const its = new Map(
        [...positions].flatMap(([key, next]) =>
          key.startsWith(`${topic} `) ? [[Number(key.slice(topic.length + 1)), next] as const] : [],
        ),
      );
      if (its.size > 0)
        await kafka.admin.commit(names.groups.dashboard, topic, its).catch((error: Error) => {
          if (this.#tellFailed !== error.message) this.#effects.log(`group not told: ${error.message}`);
          this.#tellFailed = error.message;
        });
    }
  }
  #tellFailed: string | null = null;

  async #prepare(chunks: readonly Chunk[], knownSchemas: ReadonlySet<number>): Promise<Prepared> {
    const rows: Partial<Record<StoredKind, CopyBuffer>> = {};
    const schemas = new Map<number, string>();
    const positions = new Map<string, number>();
    for (const { topic, partition, records, next } of chunks) {
      const kind = this.#topics.get(topic)!;
      const { columns, row } = this.#kinds[kind]!;
      const decoder = this.#decoders.get(kind)!;
      rows[kind] ??= new CopyBuffer(columns.map(([, type]) => type));
      for (const record of records) {
        const decoded = await decoder.decode(record.value);
        const values = decoded.ok ? row(decoded.record, record) : null;
        if (!decoded.ok || values === null) {
          this.#undecodable++;
          // The first says enough; a topic full of them must not fill the log.
          if (this.#undecodable === 1)
            this.#effects.log(
              `left out the record of "${topic}" at ${partition}/${record.offset}: ${decoded.ok ? "no name of an entity" : `${decoded.reason}, ${decoded.detail}`}`,
            );
          continue;
        }
        const { schema_id } = decoded;
        if (schema_id !== null && !knownSchemas.has(schema_id) && !schemas.has(schema_id)) {
          const schema = await this.#effects.registry.schemaById(schema_id);
          if (schema !== null) schemas.set(schema_id, schema);
        }
        rows[kind].add(values);
      }
      positions.set(positionKey(topic, partition), next);
    }
    return { rows, schemas, positions };
  }
}
