// What goes wrong inside kafkajs, in our words: one place reads its error types.
// Sits under reader, producer and admin. Decides nothing: whether to try again is the caller's.

import { PipelineError } from "../contract/errors.ts";
import { type Fault, type Pace, type Repeat, repeat } from "../ground/repeat.ts";
import { refusalOf } from "./refusal.ts";

interface KafkajsError {
  readonly name?: string;
  readonly type?: string;
  readonly code?: number | string;
  readonly message?: string;
  readonly host?: string;
  readonly port?: number;
  readonly cause?: unknown;
  readonly retriable?: boolean;
  /** Of several topics at once, one each. */
  readonly errors?: readonly unknown[];
}

/** Kafka's protocol error, `UNKNOWN_TOPIC_OR_PARTITION`; null for other errors. Looks through kafkajs's retry wrapper. */
export function protocolType(error: unknown): string | null {
  for (let e = error as KafkajsError | undefined, depth = 0; e && depth < 5; depth++) {
    // 2.2.4 has no row for PRODUCER_FENCED, so it comes as an unknown error.
    if (e.code === 90 || /Unknown error code 90\b/.test(e.message ?? "")) return "PRODUCER_FENCED";
    if (typeof e.type === "string") return e.type;
    e = (e.errors?.[0] ?? e.cause) as KafkajsError | undefined;
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
export const settled = <T>(work: () => Promise<T>): Promise<T> => passed(work, SETTLING);

/** Tries again while a broker does not know a topic that was just made. Other errors pass at once. */
export const untilTopicKnown = <T>(work: () => Promise<T>): Promise<T> => passed(work, UNHEARD);

function passed<T>(work: () => Promise<T>, passing: ReadonlySet<string>): Promise<T> {
  return repeat(work, {
    passes: (error) => passing.has(protocolType(error) ?? ""),
    pace: { tries: Number.POSITIVE_INFINITY, first_ms: 100, most_ms: 100, deadline_ms: SETTLING_MS },
  });
}

/** Codes of the system for "nobody listens there". */
const REFUSED: ReadonlySet<unknown> = new Set([
  "ECONNREFUSED",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOTFOUND",
  "EAI_AGAIN",
]);
const LOST: ReadonlySet<unknown> = new Set(["KafkaJSConnectionError", "KafkaJSConnectionClosedError"]);

/** What went wrong between us and the brokers; null for what a broker has answered, a refusal too, and for errors of ours. */
export function faultOf(error: unknown): Fault | null {
  if (error instanceof PipelineError) return (error.context["fault"] as Fault | undefined) ?? null;
  if (refusalOf(error, protocolType(error)) !== null) return null;
  for (let e = error as KafkajsError | undefined, depth = 0; e && depth < 5; depth++) {
    if (REFUSED.has(e.code)) return "refused";
    if (e.name === "KafkaJSRequestTimeoutError") return "late";
    // A login that the broker refused was told apart above: this one broke off.
    if (LOST.has(e.name) || e.name === "KafkaJSSASLAuthenticationError") return "lost";
    e = e.cause as KafkajsError | undefined;
  }
  return null;
}

/** kafkajs tries each connection for a second itself; with four tries a command says after some eight that nobody answers. */
const KAFKA_PACE: Pace = { tries: 4, first_ms: 500, most_ms: 2_000, deadline_ms: 30_000 };

/** Does again what may be done twice, after a connection that was refused, lost or late. What Kafka answers passes at once. */
export const retryConnection = <T>(work: () => Promise<T>, more: Partial<Repeat> = {}): Promise<T> =>
  repeat(work, { passes: (error) => faultOf(error) !== null, pace: KAFKA_PACE, ...more });

/** The broker address in a connection error, to forget that connection. */
export function lostBroker(error: unknown): { host: string; port: number } | null {
  const { name, host, port } = error as KafkajsError;
  if (name !== "KafkaJSConnectionClosedError" && name !== "KafkaJSConnectionError") return null;
  return typeof host === "string" && typeof port === "number" ? { host, port } : null;
}

/** What was seen, in few words, for the "got" of a message. */
export function describeFault(error: unknown): string {
  return protocolType(error) ?? (error as KafkajsError).name ?? "an unknown error";
}

/** `what` as in `read topic "weather-raw"`. Where Kafka does not let us in it is `config_invalid`, which nobody tries again. */
export function unreachable(what: string, address: string, error: unknown): PipelineError {
  if (error instanceof PipelineError) return error;
  const refusal = refusalOf(error, protocolType(error));
  if (refusal !== null)
    return new PipelineError(
      "config_invalid",
      `Cannot ${what} at "${address}": expected Kafka to let us in, got ${refusal.seen}; ${refusal.change}`,
      { cause: error, context: { address, fault: null } },
    );
  return new PipelineError(
    "kafka_unreachable",
    `Cannot ${what} at "${address}": expected an answer from Kafka, got ${describeFault(error)}`,
    { cause: error, context: { address, fault: faultOf(error) } },
  );
}

export function missingTopic(what: string, topic: string, address: string, error: unknown): PipelineError {
  return new PipelineError(
    "config_invalid",
    `Cannot ${what} at "${address}": expected topic "${topic}" to exist, got none; "millrace apply" creates it`,
    { cause: error, context: { address, topic } },
  );
}
