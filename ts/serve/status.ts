// The one table from what went wrong to what the API answers: status, title, and what the reader should do.
// Covers the API's own refusals and every error code of the contract. Builds no response; problem.ts does.

import type { ErrorCode } from "../contract/index.ts";

export interface Answer {
  readonly status:
    | 400
    | 401
    | 403
    | 404
    | 405
    | 408
    | 409
    | 413
    | 421
    | 422
    | 429
    | 431
    | 500
    | 502
    | 503
    | 504;
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
  no_figures: {
    status: 503,
    title: "Nothing has been computed yet",
    next: "Wait for the first run of its batch; GET /jobs says when it is due and how it went",
  },
  unknown_anomaly: {
    status: 404,
    title: "No such anomaly",
    next: "GET /anomalies lists them; a late window that moves an anomaly's beginning gives it another id",
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
  wrong_host: {
    status: 421,
    title: "Asked under another name",
    next: "Ask under an address of this machine, or let MILLRACE_API_HOSTS say the name",
  },
  foreign_origin: {
    status: 403,
    title: "A page from elsewhere may not ask",
    next: "Let MILLRACE_API_ORIGINS say the page's origin, or ask from a program instead",
  },
  key_needed: {
    status: 401,
    title: "A key is needed",
    next: "Send Authorization: Bearer <key>; whoever runs the server makes one. Run: millrace keys add",
  },
  too_many_requests: {
    status: 429,
    title: "Too many requests",
    next: "Wait as long as Retry-After says, or let MILLRACE_API_RATE say more",
  },
  body_too_large: {
    status: 413,
    title: "The body is too large",
    next: "Send none: no route reads one but the sign-in",
  },
  bad_request: {
    status: 400,
    title: "This is no HTTP request",
    next: "Speak HTTP/1.1 to this port, over TLS where the address begins with https",
  },
  headers_too_large: {
    status: 431,
    title: "The head of the request is too large",
    next: "Send at most 16 kB of address and headers together",
  },
  too_slow: {
    status: 408,
    title: "The request did not come in time",
    next: "Send the head of a request within ten seconds",
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

/** What is answered to a code, whichever of both it is of. */
export function answerOf(code: Refusal | ErrorCode): Answer {
  return code in REFUSAL ? REFUSAL[code as Refusal] : FAILURE[code as ErrorCode];
}
