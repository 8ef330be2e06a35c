// Writes the records of a stream as JSON Lines by hour of event time, each once. Prose before code, because the order is what makes
// it true:
//   1. Read the newest position. Finish its batch: put its parts behind the files of their hours, send its rejects. Both are done
//      once, however often they are begun: a part is gone once it was put behind a file, and rejects go with a cursor.
//   2. Take the next number with a position that moves nothing. Whoever else still writes finds its number taken and begins at 1.
//      Parts that no position names are nobody's now, and go away.
//   3. Read from there. For each batch: its parts, whole, under hidden names; its position, by a rename that fails where the
//      number is taken: that is the commit; then finish it as in 1.
// A file of an hour only ever changes by a rename or a concatenation, each one step of the NameNode, and always by whole lines: whoever
// reads it sees whole lines. Whatever goes wrong outside of us it begins again at 1. What was read and not committed Kafka has.

import { definitionOf, encoder, PipelineError, WireDecoder } from "../contract/index.ts";
import { wallClock } from "../ground/clock.ts";
import { pause } from "../ground/pause.ts";
import { persist } from "../ground/persist.ts";
import type { Kafka, KafkaRecord, Reader } from "../kafka/kafka.ts";
import type { Registry } from "../kafka/registry.ts";
import { type Contract, type Names, streamSchema, topicOf } from "../pipelines/index.ts";
import { Session } from "../source/send/session.ts";
import { targetOf } from "../source/send/target.ts";
import { accepted } from "./accept.ts";
import { DAY_MS, days } from "./days.ts";
import type { Files } from "./files.ts";
import { closedUntil, HIDDEN, hourFile, hourOf, POSITIONS, partFile, positionFile } from "./layout.ts";
import {
  commitPosition,
  firstPosition,
  type LateReject,
  type Part,
  type Position,
  readPosition,
} from "./position.ts";

export interface WriterEffects {
  readonly files: Files;
  readonly kafka: Kafka;
  readonly registry: Registry;
  readonly names: Names;
  /** Turned to the stream that is written. */
  readonly contract: Contract;
  readonly prefix: string;
  readonly batch_records: number;
  /** How long a batch that is not full waits for more, wall time. */
  readonly linger_ms?: number;
  /** Another one for each process that ever writes: part of the names of its parts. */
  readonly writer: string;
  readonly nowMs?: () => number;
  readonly log: (line: string) => void;
}

/** How it fares, for heartbeats. Counters only grow, but for the lag. */
export interface WriterState {
  readonly lines: number;
  readonly late: number;
  /** Since this process began: records that are refused as a whole, or that retention took before they were read. */
  readonly refused: number;
  readonly skipped: number;
  readonly batches: number;
  readonly batch_ms: number;
  readonly lag: number;
  /**
   * How old the oldest record that is not written yet may be, ms since its append: what has come since the newest one that is. 0 when
   * all is written, null before this process has written one.
   */
  readonly unread_ms: number | null;
  /** How long the topic keeps a record, ms. */
  readonly retention_ms: number;
  readonly closed_until_ms: number | null;
  /** Null while it writes; else what it waits for. */
  readonly waits_for: string | null;
}

/** How long a batch that is not full waits for more, and the least between two: each costs the NameNode five changes, and an hour's file a block. */
const LINGER_MS = 1_000;
/** Most records of one batch: a NameNode takes 10,000 blocks a file, and a block is what one batch adds. */
const BATCH_RECORDS_MAX = 10_000;
/** Hours that are written at once. */
const AT_ONCE = 8;

/** Another writer has the number. */
class TakenError extends Error {}

type Decoded = Awaited<ReturnType<WireDecoder["decode"]>>;

export class LinesWriter {
  readonly #effects: WriterEffects;
  readonly #topic: string;
  readonly #decoder: WireDecoder;
  #position: Position;
  #refused = 0;
  #skipped = 0;
  #batches = 0;
  #batch_ms = 0;
  #lag: () => number = () => 0;
  /** Append time of the newest record that is written. */
  #written_ms: number | null = null;
  #waits_for: string | null = "its first look";

  constructor(effects: WriterEffects) {
    this.#effects = effects;
    const { contract, names, registry } = effects;
    this.#topic = topicOf(names, contract.stream).topic;
    this.#position = firstPosition(this.#topic);
    this.#decoder = new WireDecoder(definitionOf(streamSchema(contract)), async (id) => {
      try {
        return await registry.schemaById(id);
      } catch (error) {
        if (error instanceof PipelineError && error.code === "contract_rejected") return null;
        throw error;
      }
    });
  }

  state(): WriterState {
    const { lines, late, closed_until_ms } = this.#position;
    const { names, contract, nowMs = Date.now } = this.#effects;
    // While it waits nobody knows what has come.
    const unread = this.#waits_for !== null || this.#lag() > 0;
    const since_ms = this.#written_ms;
    return {
      ...{ lines, late, refused: this.#refused, skipped: this.#skipped },
      ...{ batches: this.#batches, batch_ms: this.#batch_ms, lag: this.#lag() },
      unread_ms: since_ms === null ? null : unread ? Math.max(0, nowMs() - since_ms) : 0,
      retention_ms: Number(topicOf(names, contract.stream).config["retention.ms"]),
      ...{ closed_until_ms, waits_for: this.#waits_for },
    };
  }

  /** Writes until the signal fires; the batch in hand is finished. Rejects for what no waiting mends. */
  async run(signal: AbortSignal): Promise<void> {
    const { log } = this.#effects;
    await persist(() => this.#once(signal), {
      signal,
      progress: () => this.#batches,
      after: (error) => {
        if (error instanceof TakenError) log("another writer took over: looks where it is");
        else if (!(error instanceof PipelineError) || !error.retryable) throw error;
        else if (this.#waits_for !== error.message) log(`waits: ${error.message}`);
        this.#waits_for = (error as Error).message;
        return "later";
      },
    });
  }

  async #once(signal: AbortSignal): Promise<void> {
    const { files, kafka, registry, names, contract, log } = this.#effects;
    const target = await targetOf({ kafka, registry, names, contract, source: "lines" });
    const session = new Session(target, { kind: "lines", clock: wallClock, signal });
    const stop = new AbortController();
    const end = () => stop.abort();
    signal.addEventListener("abort", end, { once: true });
    let reader: Reader | null = null;
    try {
      const cursor = await session.open();
      const found = (await readPosition(files)) ?? firstPosition(this.#topic);
      if (found.topic !== this.#topic)
        throw new PipelineError(
          "config_invalid",
          `Cannot write lines of "${this.#topic}" to "${files.address}": expected no lines, or its own, got those of "${found.topic}"; choose another place`,
        );
      this.#position = found;
      await this.#finish(session, this.#sentBatch(cursor?.token ?? null));
      await this.#commit({ ...found, batch: found.batch + 1, parts: [], rejects: [] });
      await this.#clean();
      const from = new Map(Object.entries(this.#position.next).map(([p, next]) => [Number(p), next]));
      await this.#checkTopic(from);
      if (this.#waits_for !== null) log(`writes to "${files.address}"`);
      this.#waits_for = null;
      reader = kafka.read(this.#topic, { from, until: "never", signal: stop.signal });
      const following = reader;
      this.#lag = () => following.lag();
      await this.#follow(following, session, stop.signal);
    } finally {
      end();
      signal.removeEventListener("abort", end);
      this.#lag = () => 0;
      await reader?.close().catch(() => undefined);
      await session.close();
    }
  }

  /** A topic that was removed and made again has other records under the same offsets. Errors: `config_invalid`. */
  async #checkTopic(from: ReadonlyMap<number, number>): Promise<void> {
    const { kafka, files } = this.#effects;
    for (const { partition, end } of await kafka.admin.offsets(this.#topic)) {
      const next = from.get(partition) ?? 0;
      if (next > end)
        throw new PipelineError(
          "config_invalid",
          `Cannot go on with the lines at "${files.address}": expected at least ${next} offsets in partition ${partition} of "${this.#topic}", got ${end}; the topic was made anew, so give its lines another place, or take the old ones away`,
        );
    }
  }

  async #follow(reader: Reader, session: Session, signal: AbortSignal): Promise<void> {
    const { batch_records, linger_ms = LINGER_MS } = this.#effects;
    const lists = reader[Symbol.asyncIterator]();
    /** Where the reader was when all that is in hand had been handed on: it then goes on by itself. */
    let passed: ReadonlyMap<number, number> = new Map();
    const read = () => {
      passed = reader.positions();
      const next = lists.next();
      // Heard when it is waited for.
      next.catch(() => undefined);
      return next;
    };
    const skipped = this.#skipped;
    let written_ms = Number.NEGATIVE_INFINITY;
    let next = read();
    for (;;) {
      const records: KafkaRecord[] = [];
      let until_ms = Number.POSITIVE_INFINITY;
      while (records.length < BATCH_RECORDS_MAX) {
        // Enough are written at once, but not more often than a batch that lingers would be.
        if (records.length >= batch_records) until_ms = Math.min(until_ms, written_ms + linger_ms);
        const left_ms = until_ms - performance.now();
        if (left_ms <= 0) break;
        const found = await orLater(next, left_ms, signal);
        if (found === null) break;
        if (found.done) {
          if (records.length > 0) await this.#write(records, passed, session);
          return;
        }
        if (records.length === 0) until_ms = performance.now() + linger_ms;
        records.push(...found.value);
        next = read();
      }
      this.#skipped = skipped + reader.skipped();
      written_ms = performance.now();
      for (let at = 0; at < records.length; at += BATCH_RECORDS_MAX) {
        const last = at + BATCH_RECORDS_MAX >= records.length;
        await this.#write(records.slice(at, at + BATCH_RECORDS_MAX), last ? passed : new Map(), session);
      }
    }
  }

  async #write(
    records: readonly KafkaRecord[],
    passed: ReadonlyMap<number, number>,
    session: Session,
  ): Promise<void> {
    const begin_ms = performance.now();
    const { contract, files, prefix, writer } = this.#effects;
    const before = this.#position;
    const [next, newest_ms] = [{ ...before.next }, { ...before.newest_ms }];
    const hours = new Map<number, string[]>();
    const rejects: LateReject[] = [];
    let lines = 0;
    for (const record of records) {
      const { partition, offset } = record;
      next[partition] = offset + 1;
      const decoded = await this.#decoder.decode(record.value);
      const one = decoded.ok ? accepted(contract, record, decoded.record) : null;
      if (one === null) {
        this.#refused++;
        continue;
      }
      newest_ms[partition] = Math.max(newest_ms[partition] ?? Number.NEGATIVE_INFINITY, one.time_ms);
      const hour_ms = hourOf(one.time_ms);
      if (before.closed_until_ms !== null && hour_ms < before.closed_until_ms) {
        rejects.push(await this.#lateReject(record, decoded, one.key, hour_ms));
        continue;
      }
      const its = hours.get(hour_ms) ?? [];
      its.push(one.line);
      hours.set(hour_ms, its);
      lines++;
    }
    const batch = before.batch + 1;
    const parts = [...hours].map(([hour_ms, its]) => {
      const file = hourFile(prefix, hour_ms);
      return { file, part: partFile(file, writer, batch), text: its.join("") };
    });
    for (let at = 0; at < parts.length; at += AT_ONCE)
      await Promise.all(parts.slice(at, at + AT_ONCE).map(({ part, text }) => files.write(part, text)));
    await this.#commit({
      ...{ batch, topic: before.topic, next, newest_ms },
      closed_until_ms: await this.#closed(newest_ms, before.closed_until_ms, passed),
      ...{ lines: before.lines + lines, late: before.late + rejects.length },
      parts: parts.map(({ part, file }) => ({ part, file })),
      rejects,
    });
    await this.#finish(session, 0);
    const newest = records.reduce((newest, { timestamp }) => Math.max(newest, timestamp), 0);
    this.#written_ms = Math.max(this.#written_ms ?? 0, newest);
    this.#batches++;
    this.#batch_ms = Math.round(performance.now() - begin_ms);
  }

  /** A partition without a record has no say once all that it holds was read. `passed` is how far each was. */
  async #closed(
    newest_ms: Readonly<Record<string, number>>,
    before_ms: number | null,
    passed: ReadonlyMap<number, number>,
  ): Promise<number | null> {
    const { kafka, contract } = this.#effects;
    const heard = Object.values(newest_ms);
    const could = closedUntil(heard, contract.lateness_ms);
    if (could === null || (before_ms !== null && could <= before_ms)) return before_ms;
    // Asked only when an hour could be closed: once in an hour of event time.
    const offsets = await kafka.admin.offsets(this.#topic);
    const silent = offsets.filter(({ partition }) => newest_ms[partition] === undefined);
    const unread = silent.some(
      ({ partition, start, end }) => end > start && (passed.get(partition) ?? 0) < end,
    );
    return unread ? before_ms : could;
  }

  /** Makes a position the one that counts. Errors: TakenError. */
  async #commit(position: Position): Promise<void> {
    const { files, writer } = this.#effects;
    if (!(await commitPosition(files, position, writer))) throw new TakenError("another writer took over");
    this.#position = position;
    // The one before stays for who reads it this moment.
    if (position.batch > 2) await files.remove(positionFile(position.batch - 2));
  }

  /** The batch whose rejects a cursor says were sent; 0 for one of another place. */
  #sentBatch(token: string | null): number {
    if (token === null) return 0;
    const { at, batch } = JSON.parse(token) as { readonly at: string; readonly batch: number };
    return at === this.#effects.files.address ? batch : 0;
  }

  /** What follows from the position's commit. `sent` is the batch whose rejects were sent last, as far as that must be asked. */
  async #finish(session: Session, sent: number): Promise<void> {
    const { names, files } = this.#effects;
    const { batch, parts, rejects, newest_ms } = this.#position;
    for (let at = 0; at < parts.length; at += AT_ONCE)
      await Promise.all(parts.slice(at, at + AT_ONCE).map((part) => this.#join(part)));
    if (rejects.length === 0 || sent >= batch) return;
    await session.commit(
      rejects.map(({ key, value }) => ({
        topic: names.topics.rejects.topic,
        key,
        value: Buffer.from(value, "base64"),
      })),
      {
        token: JSON.stringify({ at: files.address, batch }),
        event_time: Math.max(...Object.values(newest_ms)),
      },
    );
  }

  /** Puts a part behind its file, or makes it that file. One that is not there has been. */
  async #join({ part, file }: Part): Promise<void> {
    const { files } = this.#effects;
    const at = part.lastIndexOf("/");
    // Twice at most: between the two attempts an older writer may make the file.
    for (let attempt = 0; attempt < 3; attempt++) {
      if ((await files.concat(file, part)) || (await files.rename(part, file))) return;
      const there = (await files.list(part.slice(0, at))).some(({ name }) => name === part.slice(at + 1));
      if (!there) return;
    }
    throw new PipelineError(
      "store_unreachable",
      `Cannot put "${part}" behind "${file}" at "${files.address}": expected one of them to move, neither did`,
    );
  }

  /** Takes away what writers before left unnamed, in every day that has an open hour. */
  async #clean(): Promise<void> {
    const { files } = this.#effects;
    const { closed_until_ms } = this.#position;
    for await (const { folder, day_ms } of days(files)) {
      if (closed_until_ms !== null && day_ms + DAY_MS <= closed_until_ms) break;
      for (const { name } of await files.list(folder))
        if (name.startsWith(HIDDEN)) await files.remove(`${folder}/${name}`);
    }
    for (const { name } of await files.list(POSITIONS))
      if (name.startsWith(HIDDEN)) await files.remove(`${POSITIONS}/${name}`);
  }

  #encode: ((record: object) => Buffer) | null = null;

  async #lateReject(
    record: KafkaRecord,
    decoded: Decoded,
    key: string,
    hour_ms: number,
  ): Promise<LateReject> {
    const { contract, registry, names } = this.#effects;
    const { rejects } = contract.schemas;
    this.#encode ??= encoder<object>(rejects, await registry.idOf(names.topics.rejects.subject, rejects));
    const { topic, partition, offset, value, headers, timestamp } = record;
    const closed = new Date(this.#position.closed_until_ms!).toISOString();
    // What is null in other pipelines' rejects has its default.
    const keys = Object.fromEntries(
      (JSON.parse(rejects) as { fields: { name: string }[] }).fields.map(({ name }) => [name, null]),
    );
    const framed = this.#encode({
      ...keys,
      ...{ topic, partition, offset, field: null, reason: "late" },
      detail: `its hour ${new Date(hour_ms).toISOString()} was closed: every partition was past ${closed} by the lateness`,
      [contract.key]: key,
      schema_id: decoded.schema_id,
      ...{ key: record.key, value, headers, append_time: timestamp, rejected_time: Date.now() },
    });
    return { key: record.key?.toString("utf8") ?? null, value: framed.toString("base64") };
  }
}

/** What comes first: a promise's value, or null after a time or the signal. A signal alone ends nothing that is underway. */
async function orLater<T>(value: Promise<T>, wait_ms: number, signal: AbortSignal): Promise<T | null> {
  if (!Number.isFinite(wait_ms)) return value;
  const over = new AbortController();
  try {
    const timer = pause(Math.max(0, wait_ms), AbortSignal.any([signal, over.signal])).then(() => null);
    return await Promise.race([value, timer]);
  } finally {
    over.abort();
  }
}
