// What goes wrong inside kafkajs, in our words: one place reads its error types.
// Sits under reader, producer and admin. Decides nothing: whether to try again is the caller's.

import { PipelineError } from "../contract/errors.ts";

interface KafkajsError {
  readonly name?: string;
  readonly type?: string;
  readonly code?: number | string;
  readonly message?: string;
  readonly host?: string;
  readonly port?: number;
  readonly cause?: unknown;
  readonly retriable?: boolean;
}

/** Kafka's protocol error, `UNKNOWN_TOPIC_OR_PARTITION`; null for other errors. Looks through kafkajs's retry wrapper. */
export function protocolType(error: unknown): string | null {
  for (let e = error as KafkajsError | undefined, depth = 0; e && depth < 5; depth++) {
    // 2.2.4 has no row for PRODUCER_FENCED, so it comes as an unknown error.
    if (e.code === 90 || /Unknown error code 90\b/.test(e.message ?? "")) return "PRODUCER_FENCED";
    if (typeof e.type === "string") return e.type;
    e = e.cause as KafkajsError | undefined;
  }
  return null;
}

/** True when a newer producer of the same transactional id exists, or the broker gave up on an open transaction. */
export function isFenced(error: unknown): boolean {
  const type = protocolType(error);
  return (
    type === "INVALID_PRODUCER_EPOCH" || type === "PRODUCER_FENCED" || type === "INVALID_PRODUCER_ID_MAPPING"
  );
}

export function isMissingTopic(error: unknown): boolean {
  return protocolType(error) === "UNKNOWN_TOPIC_OR_PARTITION";
}

/** What a broker answers while it still makes or moves a coordinator, or settles an older transaction. */
const SETTLING = new Set([
  "NOT_COORDINATOR_FOR_GROUP",
  "GROUP_COORDINATOR_NOT_AVAILABLE",
  "GROUP_LOAD_IN_PROGRESS",
  "CONCURRENT_TRANSACTIONS",
]);
/** What it answers of a topic that its controller has made and it has not heard of yet. */
const UNHEARD = new Set(["UNKNOWN_TOPIC_OR_PARTITION", "LEADER_NOT_AVAILABLE", "NOT_LEADER_FOR_PARTITION"]);
/** A broker that just started makes its internal topics at the first use; that takes seconds, not more. */
export const SETTLING_MS = 20_000;

/** Tries again while a broker settles. Other errors pass at once. */
export const settled = <T>(work: () => Promise<T>): Promise<T> => again(work, SETTLING);

/** Tries again while a broker does not know a topic that was just made. Other errors pass at once. */
export const heardOf = <T>(work: () => Promise<T>): Promise<T> => again(work, UNHEARD);

async function again<T>(work: () => Promise<T>, passing: ReadonlySet<string>): Promise<T> {
  const deadline_ms = Date.now() + SETTLING_MS;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!passing.has(protocolType(error) ?? "") || Date.now() > deadline_ms) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** The broker address in a connection error, to forget that connection. */
export function lostBroker(error: unknown): { host: string; port: number } | null {
  const { name, host, port } = error as KafkajsError;
  if (name !== "KafkaJSConnectionClosedError" && name !== "KafkaJSConnectionError") return null;
  return typeof host === "string" && typeof port === "number" ? { host, port } : null;
}

/** What was seen, in few words, for the "got" of a message. */
export function seen(error: unknown): string {
  return protocolType(error) ?? (error as KafkajsError).name ?? "an unknown error";
}

/** `what` as in `read topic "weather-raw"`. */
export function unreachable(what: string, address: string, error: unknown): PipelineError {
  if (error instanceof PipelineError) return error;
  return new PipelineError(
    "kafka_unreachable",
    `Cannot ${what} at "${address}": expected an answer from Kafka, got ${seen(error)}`,
    { cause: error, context: { address } },
  );
}

export function missingTopic(what: string, topic: string, address: string, error: unknown): PipelineError {
  return new PipelineError(
    "config_invalid",
    `Cannot ${what} at "${address}": expected topic "${topic}" to exist, got none; "millrace apply" creates it`,
    { cause: error, context: { address, topic } },
  );
}
