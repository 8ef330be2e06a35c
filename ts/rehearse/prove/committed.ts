// Committed predictions as they come, for conditions like "so many more" and "the first one after". Reads from outside, as a
// consumer would; keeps counts, not records.

import { Decoder, PipelineError } from "../../contract/index.ts";
import type { Kafka } from "../../kafka/kafka.ts";
import type { Registry } from "../../kafka/registry.ts";
import { type Contract, type Names, schemaOf, topicOf } from "../../pipelines/index.ts";

/** What is read of a prediction; times are epoch ms. */
export interface CommittedPrediction {
  readonly stages: {
    readonly raw_append_time: number;
    readonly feature_processing_time: number;
    readonly predict_time: number;
  };
}

interface Waiting {
  readonly sees: (seen: CommittedPrediction) => boolean;
  readonly resolve: (at_ms: number) => void;
}

export interface CommittedWait {
  readonly what: string;
  readonly deadline_ms: number;
  readonly signal: AbortSignal;
}

export class Committed {
  readonly #stop = new AbortController();
  readonly #waiting = new Set<Waiting>();
  readonly #following: Promise<void>;
  #error: unknown = null;
  count = 0;

  constructor(kafka: Kafka, registry: Registry, names: Names, contract: Contract) {
    this.#following = this.#follow(kafka, registry, names, contract).catch((error: unknown) => {
      this.#error = error;
    });
  }

  async #follow(kafka: Kafka, registry: Registry, names: Names, contract: Contract): Promise<void> {
    const decoder = new Decoder<CommittedPrediction & Readonly<Record<string, unknown>>>(
      schemaOf(contract, "predictions"),
      (id) => registry.schemaById(id),
    );
    const reader = kafka.read(topicOf(names, "predictions").topic, {
      from: "beginning",
      until: "never",
      signal: this.#stop.signal,
      wait_ms: 50,
    });
    try {
      for await (const records of reader) {
        for (const { value } of records) {
          const decoded = await decoder.decode(value);
          if (!decoded.ok) throw new Error(`a prediction cannot be read: ${decoded.detail}`);
          this.count++;
          for (const waiting of this.#waiting)
            if (waiting.sees(decoded.record)) {
              this.#waiting.delete(waiting);
              waiting.resolve(Date.now());
            }
        }
      }
    } finally {
      await reader.close();
    }
  }

  /** Wall time, epoch ms, at which the first prediction that `sees` wants was read. Errors: `job_timed_out`. */
  async until(
    sees: (seen: CommittedPrediction) => boolean,
    { what, deadline_ms, signal }: CommittedWait,
  ): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const waiting: Waiting = { sees, resolve };
    this.#waiting.add(waiting);
    const timer = setInterval(() => {
      if (this.#error !== null) reject(this.#error);
    }, 500);
    const late = setTimeout(
      () =>
        reject(
          new PipelineError(
            "job_timed_out",
            `Cannot see ${what}: expected it within ${deadline_ms / 1000} s, ${this.count} predictions were read`,
          ),
        ),
      deadline_ms,
    );
    const aborted = () => reject(signal.reason);
    signal.addEventListener("abort", aborted, { once: true });
    if (signal.aborted) aborted();
    try {
      return await promise;
    } finally {
      clearInterval(timer);
      clearTimeout(late);
      signal.removeEventListener("abort", aborted);
      this.#waiting.delete(waiting);
    }
  }

  /** Resolves once so many more are committed. */
  async more(count: number, options: Omit<CommittedWait, "what">): Promise<void> {
    const from = this.count;
    await this.until(() => this.count >= from + count, { ...options, what: `${count} more predictions` });
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#following;
  }
}
