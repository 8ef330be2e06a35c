// What was read and is not written yet. Bounded: readers wait while it is full, so that a store that is away costs no memory, only
// lag. Records of a partition stay in their order.

import type { KafkaRecord } from "../kafka/kafka.ts";

/** Records of one partition, and where its reader then is. */
export interface Chunk {
  readonly topic: string;
  readonly partition: number;
  readonly records: readonly KafkaRecord[];
  readonly next: number;
}

/** What may wait: some seconds of a catch-up. A reader's own fetch comes on top. */
const BYTES_MAX = 16 * 1024 * 1024;
/** A batch that is written at once: larger ones win nothing, and what is lost by a kill is read again. */
const BATCH_BYTES = 4 * 1024 * 1024;
const BATCH_RECORDS = 10_000;

export class Inbox {
  readonly #chunks: { readonly chunk: Chunk; readonly bytes: number }[] = [];
  #bytes = 0;
  #waiting: (() => void)[] = [];

  /** Resolves once there is room for more; at once after the signal. */
  async put(chunk: Chunk, signal: AbortSignal): Promise<void> {
    let bytes = 0;
    for (const { value } of chunk.records) bytes += value?.length ?? 0;
    this.#chunks.push({ chunk, bytes });
    this.#bytes += bytes;
    this.#wake();
    while (this.#bytes > BYTES_MAX && !signal.aborted) await this.#change(signal);
  }

  /** The oldest chunks, as much as one transaction takes; empty after the signal, or when none came for that long. */
  async take(signal: AbortSignal, wait_ms: number): Promise<readonly Chunk[]> {
    if (this.#chunks.length === 0 && !signal.aborted) await this.#change(signal, wait_ms);
    const taken: Chunk[] = [];
    let [bytes, records] = [0, 0];
    while (this.#chunks.length > 0 && bytes < BATCH_BYTES && records < BATCH_RECORDS) {
      const { chunk, bytes: its } = this.#chunks.shift()!;
      taken.push(chunk);
      bytes += its;
      records += chunk.records.length;
      this.#bytes -= its;
    }
    this.#wake();
    return taken;
  }

  /** Whether a batch would be a whole one. */
  get full(): boolean {
    return this.#bytes >= BATCH_BYTES;
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  /** Resolves at the next put or take, at the signal, or after that long. */
  #change(signal: AbortSignal, wait_ms?: number): Promise<void> {
    return new Promise((resolve) => {
      let timer: NodeJS.Timeout | undefined;
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        this.#waiting = this.#waiting.filter((one) => one !== done);
        resolve();
      };
      signal.addEventListener("abort", done, { once: true });
      if (wait_ms !== undefined) timer = setTimeout(done, wait_ms);
      this.#waiting.push(done);
    });
  }
}
