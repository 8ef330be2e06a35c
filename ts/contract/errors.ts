// The one error of Millrace: a code both languages share, and a table that says what each code means.
// Thrown everywhere, shown once at the edge through explain(). Holds no text of any single failure and prints nothing.

import { ERROR_CODES, type ErrorCode } from "./generated/error_code.ts";

export type { ErrorCode };

interface Meaning {
  /** One sentence for a person who has never seen the code. */
  readonly sentence: string;
  /** Whether the same call may succeed later without anyone changing anything. */
  readonly retryable: boolean;
}

/** Every code of schemas/avro/records/error_code.avsc, exhaustive by type: callers look here and never guess from a message. */
export const ERRORS: Readonly<Record<ErrorCode, Meaning>> = {
  config_invalid: { sentence: "A setting or an argument cannot be used as it stands.", retryable: false },
  contract_rejected: {
    sentence: "A contract breaks a rule, or changes what its name already means.",
    retryable: false,
  },
  contract_mismatch: {
    sentence: "Two sides of a run hold different contracts; generate, apply and submit again.",
    retryable: false,
  },
  model_refused: {
    sentence: "A model was made for other inputs, units or targets than the live ones.",
    retryable: false,
  },
  uncertified: {
    sentence: "No certificate shows that stream, backfill and oracle agree on what was asked for.",
    retryable: false,
  },
  kafka_unreachable: { sentence: "Kafka does not answer.", retryable: true },
  registry_unreachable: { sentence: "The schema registry does not answer.", retryable: true },
  spark_unreachable: { sentence: "The Spark master does not answer.", retryable: true },
  spark_rejected: { sentence: "The Spark master answered and refused.", retryable: false },
  ray_unreachable: { sentence: "The Ray head does not answer.", retryable: true },
  ray_rejected: { sentence: "The Ray head answered and refused.", retryable: false },
  store_unreachable: { sentence: "The store of models or rows does not answer.", retryable: true },
  job_failed: {
    sentence: "A job or process of ours ended with an error; its log says which.",
    retryable: false,
  },
  job_timed_out: { sentence: "Something did not happen before its deadline.", retryable: true },
};

export interface ErrorDetails {
  readonly cause?: unknown;
  /** Facts beside the message: addresses, ids, paths. Never secrets. */
  readonly context?: Readonly<Record<string, unknown>>;
}

/**
 * `message` says action, subject in quotes, what was wanted and what was seen, without a period; the cause's own words stay in
 * `cause`: `Cannot submit job "weather-features" to "http://spark:6066": expected a submission id, got HTTP 400`.
 */
export class PipelineError extends Error {
  override readonly name = "PipelineError";
  readonly code: ErrorCode;
  readonly context: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, { cause, context = {} }: ErrorDetails = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.context = context;
  }

  get retryable(): boolean {
    return ERRORS[this.code].retryable;
  }

  /** Ends a catch: one of ours passes unchanged, anything else becomes the cause of an error with this code. */
  static from(error: unknown, code: ErrorCode, message?: string): PipelineError {
    if (error instanceof PipelineError) return error;
    return new PipelineError(code, message ?? "Something failed that was not expected to", { cause: error });
  }
}

/** Whether a word from outside (a job's report, a problem document) is one of the codes. */
export function isErrorCode(word: string): word is ErrorCode {
  return (ERROR_CODES as readonly string[]).includes(word);
}

/** Longest chain of causes that is shown; a cycle ends here too. */
const CAUSES_MAX = 8;

/** The whole chain for a person, one line a link, without stacks. */
export function explain(error: unknown): string {
  const lines: string[] = [];
  let link = error;
  for (let depth = 0; depth < CAUSES_MAX && link !== undefined && link !== null; depth++) {
    lines.push(depth === 0 ? describeCause(link) : `  because: ${describeCause(link)}`);
    link = link instanceof Error ? link.cause : undefined;
  }
  return lines.join("\n");
}

function describeCause(error: unknown): string {
  if (error instanceof PipelineError) return `${error.message} (${error.code})`;
  if (error instanceof AggregateError && error.message === "")
    return error.errors.map(describeCause).join("; ");
  if (error instanceof Error) return error.message === "" ? error.name : error.message;
  return String(error);
}
