// The one table from what went wrong to what the API answers: status, title, and what the reader should do.
// Covers the API's own refusals and every error code of the contract. Builds no response; problem.ts does.

import type { ErrorCode } from "../contract/index.ts";

export interface Answer {
  readonly status: 400 | 404 | 405 | 409 | 422 | 500 | 502 | 503 | 504;
  readonly title: string;
  /** What the reader should do. */
  readonly next: string;
}

/** Refusals that arise in the API itself. */
export const REFUSAL = {
  unknown_station: {
    status: 404,
    title: "No such station",
    next: "GET /stations lists the stations; an id is one path segment, percent-encoded",
  },
  no_prediction: {
    status: 404,
    title: "No forecast for this station yet",
    next: "Wait for its first window, or look at GET /health for a job that does not run",
  },
  unknown_route: {
    status: 404,
    title: "No such route",
    next: "GET /openapi.json describes every route",
  },
  method_not_allowed: {
    status: 405,
    title: "Method not allowed",
    next: "Use a method named in the Allow header",
  },
  bad_parameter: {
    status: 400,
    title: "Parameter refused",
    next: "GET /openapi.json gives the limits of every parameter",
  },
  too_many_clients: {
    status: 503,
    title: "Too many clients",
    next: "Try again after the seconds that Retry-After says, or follow one stream for several readers",
  },
  catching_up: {
    status: 503,
    title: "Still reading the latest predictions",
    next: "Try again when GET /health/ready answers 200",
  },
  internal: {
    status: 500,
    title: "The API failed",
    next: "Look at the server's log; the request was not at fault",
  },
} as const satisfies Record<string, Answer>;

export type Refusal = keyof typeof REFUSAL;

/** Errors of the contract (schemas/avro/records/error_code.avsc) as a caller of the API sees them. */
export const FAILURE = {
  config_invalid: { status: 500, title: "A setting is wrong", next: "Run: millrace doctor" },
  contract_rejected: {
    status: 409,
    title: "The registry refused a schema",
    next: "Run: millrace apply --dry-run",
  },
  contract_mismatch: {
    status: 409,
    title: "Job and contract differ",
    next: "Run: millrace generate, then millrace apply",
  },
  model_refused: {
    status: 409,
    title: "The model does not fit the contract",
    next: "Run: millrace train, or move the alias back",
  },
  uncertified: {
    status: 409,
    title: "No certificate stands for this",
    next: "Run: millrace certify",
  },
  kafka_unreachable: { status: 503, title: "Kafka does not answer", next: "Run: millrace up" },
  registry_unreachable: {
    status: 503,
    title: "The schema registry does not answer",
    next: "Run: millrace up",
  },
  spark_unreachable: { status: 503, title: "Spark does not answer", next: "Run: millrace up" },
  spark_rejected: { status: 502, title: "Spark refused a job", next: "Run: millrace logs <job>" },
  ray_unreachable: { status: 503, title: "Ray does not answer", next: "Run: millrace up" },
  ray_rejected: { status: 502, title: "Ray refused a job", next: "Run: millrace logs <job>" },
  store_unreachable: { status: 503, title: "The store does not answer", next: "Run: millrace doctor" },
  job_failed: { status: 502, title: "A job failed", next: "Run: millrace logs <job>" },
  job_timed_out: { status: 504, title: "A job did not finish in time", next: "Run: millrace logs <job>" },
} as const satisfies Record<ErrorCode, Answer>;
