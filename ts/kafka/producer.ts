// One transactional writer over kafkajs. Sits between a source (or a command that writes seldom) and the topics.
// Knows nothing of records' meaning, and never decides to try a failed transaction again: after an error its outcome is
// unknown, so the caller opens a new producer, which settles the old transaction, and looks at what was committed.

import { createRequire } from "node:module";
import kafkajs, { type Kafka as Kafkajs, type Message, type Transaction as Raw } from "kafkajs";
import { PipelineError } from "../contract/errors.ts";
import { isFenced, isMissingTopic, missingTopic, retryConnection, settled, unreachable } from "./fault.ts";
import type { OutRecord, Producer, ProducerOptions, Transaction } from "./kafka.ts";
import { partitionOf } from "./partition.ts";

// Node finds the names of a CommonJS module by reading it, and stops before these two.
const { CompressionCodecs, CompressionTypes } = kafkajs;
// Required, not imported: the package has no types of its own.
CompressionCodecs[CompressionTypes.Snappy] = createRequire(import.meta.url)(
  "kafkajs-snappy",
) as () => unknown;

export const TRANSACTION_TIMEOUT_MS = 10_000;

/**
 * Ten retries, and short ones: every transaction pays one, because the broker still writes the markers of the last
 * (CONCURRENT_TRANSACTIONS). With kafkajs's own pause a transaction takes 210 ms, with this one 10 to 15 ms.
 */
export const RETRY = { initialRetryTime: 5, maxRetryTime: 200, retries: 10 } as const;

/** Opens a producer and with it a transaction: from here on an older one of the same id is fenced. */
export async function openProducer(
  client: Kafkajs,
  address: string,
  { transactional_id, timeout_ms = TRANSACTION_TIMEOUT_MS }: ProducerOptions,
): Promise<Producer> {
  let turn = 0;
  const producer = client.producer({
    transactionalId: transactional_id,
    transactionTimeout: timeout_ms,
    idempotent: true,
    maxInFlightRequests: 1,
    allowAutoTopicCreation: false,
    retry: RETRY,
    createPartitioner:
      () =>
      ({ partitionMetadata, message }) => {
        const count = partitionMetadata.length;
        if (message.partition !== undefined) return message.partition;
        if (message.key === null || message.key === undefined) return turn++ % count;
        return partitionOf(typeof message.key === "string" ? Buffer.from(message.key) : message.key, count);
      },
  });
  const fault = (
    what: string,
    error: unknown,
    opened_ms: number,
    topics: readonly string[] = [],
  ): PipelineError => {
    if (isFenced(error)) {
      const expired = Date.now() - opened_ms >= timeout_ms;
      return new PipelineError(
        expired ? "kafka_unreachable" : "job_failed",
        expired
          ? `Cannot ${what} as "${transactional_id}" at "${address}": expected it within ${timeout_ms} ms, got a transaction given up by the broker`
          : `Cannot ${what} as "${transactional_id}" at "${address}": expected to be the only writer of that name, got fenced by a newer one`,
        { cause: error, context: { address, transactional_id } },
      );
    }
    if (isMissingTopic(error)) return missingTopic(what, topics.join('", "'), address, error);
    return unreachable(`${what} as "${transactional_id}"`, address, error);
  };
  let first: Raw | null;
  const started_ms = Date.now();
  try {
    first = await retryConnection(async () => {
      await producer.connect();
      return settled(() => producer.transaction());
    });
  } catch (error) {
    await producer.disconnect().catch(() => {});
    throw fault("open a producer", error, started_ms);
  }

  // kafkajs rolls back sequence numbers when a send fails; two sends at once would mix them up.
  let tail: Promise<unknown> = Promise.resolve();
  const serialised = <T>(work: () => Promise<T>): Promise<T> => {
    const result = tail.then(work, work);
    tail = result.catch(() => {});
    return result;
  };

  const begin = async (): Promise<Transaction> => {
    const opened_ms = Date.now();
    let raw: Raw;
    try {
      raw = first ?? (await producer.transaction());
    } catch (error) {
      throw fault("begin a transaction", error, opened_ms);
    }
    first = null;
    return {
      send: (records) =>
        serialised(async () => {
          const topicMessages = byTopic(records);
          if (topicMessages.length === 0) return;
          try {
            await raw.sendBatch({
              acks: -1,
              timeout: timeout_ms,
              compression: CompressionTypes.Snappy,
              topicMessages,
            });
          } catch (error) {
            throw fault(
              "send records",
              error,
              opened_ms,
              topicMessages.map(({ topic }) => topic),
            );
          }
        }),
      commit: () =>
        serialised(() => raw.commit().catch((e) => Promise.reject(fault("commit", e, opened_ms)))),
      abort: () => serialised(() => raw.abort().catch((e) => Promise.reject(fault("abort", e, opened_ms)))),
    };
  };
  return { begin: () => serialised(begin), close: () => serialised(() => producer.disconnect()) };
}

function byTopic(records: readonly OutRecord[]): { topic: string; messages: Message[] }[] {
  const topics = new Map<string, Message[]>();
  for (const { topic, key, value, headers, partition } of records) {
    const messages = topics.get(topic) ?? [];
    if (messages.length === 0) topics.set(topic, messages);
    const message: Message = { key, value };
    if (headers !== undefined) message.headers = headers;
    if (partition !== undefined) message.partition = partition;
    messages.push(message);
  }
  return [...topics].map(([topic, messages]) => ({ topic, messages }));
}
