// The live stream: takes what the feeds have read, once, and hands it to every client that wants it. A client has a bounded queue
// and is cut off when it is full: nobody waits for a slow one. Whoever comes back with the position of its last event gets what it
// has missed from Kafka first. Knows no HTTP: routes/stream.ts writes what a client's queue holds.

import type { Kafka, KafkaRecord } from "../kafka/kafka.ts";
import type { Served } from "./effects.ts";
import { type EventKind, eventsOf, KINDS_OF, STREAMED, type StreamEvent } from "./events.ts";
import type { FeedKind } from "./feed.ts";
import { type Position, positionText, recordsBetween } from "./position.ts";

/** Clients at once: each has a socket, and a queue that may fill. */
export const CLIENTS_MAX = 1_000;
/** Most bytes a client may be behind: a few hundred forecasts. All of them together stay in memory only while sockets are full. */
export const QUEUE_BYTES_MAX = 2_000_000;
/** Most records that are read again for one client: some seconds of a busy line, hours of an hourly one. */
export const REPLAY_RECORDS_MAX = 20_000;
/** Longest time such a reading may take, wall time. */
const REPLAY_MS = 20_000;

export interface Wanted {
  readonly kinds: ReadonlySet<EventKind>;
  readonly pipeline: string | null;
  readonly station: string | null;
}

interface Source {
  readonly kind: FeedKind;
  readonly served: Pick<Served, "contract" | "latest" | "feed">;
  decode(kind: FeedKind, value: Buffer): Promise<{ readonly ok: boolean; readonly record?: unknown }>;
}

export interface StreamEffects {
  readonly kafka: Pick<Kafka, "read">;
  readonly arm: string;
  readonly clock: { nowMs(): number };
}

const wants = ({ kinds, pipeline, station }: Wanted, event: StreamEvent): boolean =>
  kinds.has(event.kind) &&
  // A job's report is of no one pipeline.
  (pipeline === null || event.pipeline === null || event.pipeline === pipeline) &&
  (station === null || event.station === station);

const NOTHING = Buffer.alloc(0);

/** The events of one record that a client wants, as it is written; the last one carries the id, so that none is lost halfway. */
function frameOf(events: readonly StreamEvent[], id: string, wanted: Wanted): Buffer {
  const ours = events.filter((event) => wants(wanted, event));
  if (ours.length === 0) return NOTHING;
  return Buffer.from(
    ours.map(({ lines }, i) => `${i === ours.length - 1 ? `id: ${id}\n` : ""}${lines}\n`).join(""),
  );
}

/** The same bytes for all clients that want the same: five hundred pages of one pipeline cost what one does. */
function framesOf(events: readonly StreamEvent[], id: string): (client: Client) => Buffer {
  const made = new Map<string, Buffer>();
  return ({ wanted, sort }) => {
    let frame = made.get(sort);
    if (frame === undefined) {
      frame = frameOf(events, id, wanted);
      made.set(sort, frame);
    }
    return frame;
  };
}

/** One client: what is to be written to it. */
export class Client {
  readonly wanted: Wanted;
  /** Equal for clients that want the same. */
  readonly sort: string;
  /** Ends the connection without waiting for what is under way. */
  onCut: () => void = () => undefined;
  #queue: Buffer[] = [];
  #bytes = 0;
  #wake = Promise.withResolvers<void>();
  #over = false;

  constructor(wanted: Wanted) {
    this.wanted = wanted;
    this.sort = JSON.stringify([[...wanted.kinds].sort(), wanted.pipeline, wanted.station]);
  }

  get over(): boolean {
    return this.#over;
  }

  push(frame: Buffer): void {
    if (frame.length === 0 || this.#over) return;
    this.#bytes += frame.length;
    if (this.#bytes > QUEUE_BYTES_MAX) {
      this.end();
      this.onCut();
      return;
    }
    this.#queue.push(frame);
    this.#wake.resolve();
  }

  end(): void {
    this.#over = true;
    this.#queue = [];
    this.#wake.resolve();
  }

  /** All that waits, as soon as anything does; empty at the end, or once the time is over. */
  async next(within_ms: number): Promise<Buffer> {
    if (this.#queue.length === 0 && !this.#over) {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, within_ms);
      });
      await Promise.race([this.#wake.promise, late]);
      clearTimeout(timer);
    }
    const [first = NOTHING] = this.#queue;
    const frames = this.#queue.length > 1 ? Buffer.concat(this.#queue) : first;
    this.#queue = [];
    this.#wake = Promise.withResolvers();
    return frames;
  }

  /** What was taken by `next` has been written. */
  written(frames: Buffer): void {
    this.#bytes -= frames.length;
  }
}

export class Stream {
  readonly #effects: StreamEffects;
  readonly #sources = new Map<string, Source>();
  readonly #position = new Map<string, Map<number, number>>();
  readonly #clients = new Set<Client>();
  /** What was last told of each kind. */
  readonly #told = new Map<EventKind, StreamEvent>();
  /** One reading after the other: a server that restarts meets all its clients at once. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(effects: StreamEffects) {
    this.#effects = effects;
  }

  get clients(): number {
    return this.#clients.size;
  }

  /** Clients that want this kind of event. */
  listeners(kind: EventKind): number {
    let listeners = 0;
    for (const { wanted } of this.#clients) if (wanted.kinds.has(kind)) listeners++;
    return listeners;
  }

  /** Where the stream stands, as the id of an event. */
  get id(): string {
    return positionText(this.#position);
  }

  get position(): Position {
    return this.#position;
  }

  /** Says what a topic holds and whose it is; the feed that follows it is about to begin. */
  follow(topic: string, source: Source): void {
    if (STREAMED.includes(source.kind)) this.#sources.set(topic, source);
  }

  /** A topic that nobody follows any more. */
  leave(topic: string): void {
    this.#sources.delete(topic);
    this.#position.delete(topic);
  }

  /** The feed stands at this offset. */
  at(topic: string, partition: number, offset: number): void {
    if (!this.#sources.has(topic)) return;
    let offsets = this.#position.get(topic);
    if (!offsets) {
      offsets = new Map();
      this.#position.set(topic, offsets);
    }
    offsets.set(partition, offset);
  }

  /** The feed has handed a record to the stores; null for one without a value or that could not be decoded. */
  take(record: KafkaRecord, value: unknown): void {
    const source = this.#sources.get(record.topic);
    if (!source) return;
    this.at(record.topic, record.partition, record.offset + 1);
    if (this.#clients.size === 0) return;
    const events = this.#eventsOf(source, record, value);
    if (events.length === 0) return;
    const frame = framesOf(events, this.id);
    for (const client of this.#clients) client.push(frame(client));
  }

  /** What no topic says: to every client that wants it, and to whoever comes while it holds. */
  tell(event: StreamEvent): void {
    this.#told.set(event.kind, event);
    const frame = framesOf([event], this.id);
    for (const client of this.#clients) client.push(frame(client));
  }

  /** Whether whoever comes hears of this kind at once. */
  isTold(kind: EventKind): boolean {
    return this.#told.has(kind);
  }

  /** A client from now on; null when there are too many. */
  join(wanted: Wanted): Client | null {
    if (this.#clients.size >= CLIENTS_MAX) return null;
    const client = new Client(wanted);
    this.#clients.add(client);
    for (const event of this.#told.values()) client.push(frameOf([event], this.id, wanted));
    return client;
  }

  leaveClient(client: Client): void {
    client.end();
    this.#clients.delete(client);
    // Nobody looks while nobody listens for it.
    for (const kind of this.#told.keys()) if (this.listeners(kind) === 0) this.#told.delete(kind);
  }

  /** Ends every client. */
  close(): void {
    for (const client of this.#clients) this.leaveClient(client);
  }

  /**
   * What lies between two positions, as it would have been written, oldest first by the time of the append. Null for more than is
   * read again. Edges: from inclusive, to exclusive. Errors: those of Kafka; one reading waits for the others.
   */
  async between(from: Position, to: Position, wanted: Wanted): Promise<Buffer[] | null> {
    const records = this.recordsBetween(from, to, wanted);
    if (records === null || records > REPLAY_RECORDS_MAX) return null;
    if (records === 0) return [];
    const turn = this.#turn.then(() => this.#read(from, to, wanted));
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  /** Records between two positions that a client could want something of. */
  recordsBetween(from: Position, to: Position, wanted: Wanted): number | null {
    return recordsBetween(new Map([...from].filter(([topic]) => this.#isWanted(topic, wanted))), to);
  }

  #isWanted(topic: string, { kinds }: Wanted): boolean {
    const source = this.#sources.get(topic);
    return source === undefined || (KINDS_OF[source.kind] ?? []).some((kind) => kinds.has(kind));
  }

  async #read(from: Position, to: Position, wanted: Wanted): Promise<Buffer[]> {
    const found: { readonly record: KafkaRecord; readonly events: readonly StreamEvent[] }[] = [];
    const signal = AbortSignal.timeout(REPLAY_MS);
    for (const [topic, offsets] of from) {
      const source = this.#sources.get(topic);
      const ends = to.get(topic);
      if (
        !source ||
        !ends ||
        !this.#isWanted(topic, wanted) ||
        ![...offsets].some(([partition, offset]) => offset < ends.get(partition)!)
      )
        continue;
      // Partitions that were not named are at their end: nothing of them was missed.
      const start = new Map([...ends].map(([partition, end]) => [partition, offsets.get(partition) ?? end]));
      const reader = this.#effects.kafka.read(topic, { from: start, until: "stable", signal });
      try {
        for await (const batch of reader)
          for (const record of batch) {
            if (record.offset >= (ends.get(record.partition) ?? 0)) continue;
            const decoded = record.value === null ? null : await source.decode(source.kind, record.value);
            const value = decoded?.ok ? decoded.record : null;
            found.push({ record, events: this.#eventsOf(source, record, value) });
          }
      } finally {
        await reader.close();
      }
    }
    found.sort((a, b) => a.record.timestamp - b.record.timestamp);
    const position = new Map([...from].map(([topic, offsets]) => [topic, new Map(offsets)]));
    const frames: Buffer[] = [];
    for (const { record, events } of found) {
      const offsets = position.get(record.topic)!;
      offsets.set(record.partition, Math.max(offsets.get(record.partition) ?? 0, record.offset + 1));
      const frame = frameOf(events, positionText(position), wanted);
      if (frame.length > 0) frames.push(frame);
    }
    return frames;
  }

  #eventsOf({ kind, served }: Source, record: KafkaRecord, value: unknown): StreamEvent[] {
    const { arm, clock } = this.#effects;
    return eventsOf(kind, record, value, served, { arm, now_ms: clock.nowMs() });
  }
}
