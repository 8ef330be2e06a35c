// RFC 9457 problem documents: every error the API answers, in one shape. Takes status and advice from status.ts.

import { type ErrorCode, PipelineError } from "../contract/index.ts";
import { type Answer, FAILURE, REFUSAL, type Refusal } from "./status.ts";

export interface Problem {
  /** `urn:millrace:problem:<code>`; described in docs/api.md. */
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly instance: string;
  readonly code: string;
  readonly next: string;
}

export function problem(code: Refusal | ErrorCode, detail: string, instance: string): Problem {
  const answer: Answer = code in REFUSAL ? REFUSAL[code as Refusal] : FAILURE[code as ErrorCode];
  return {
    type: `urn:millrace:problem:${code}`,
    title: answer.title,
    status: answer.status,
    detail,
    instance,
    code,
    next: answer.next,
  };
}

/** A problem as a response. `headers` are added (Allow, Retry-After). */
export function respond(body: Problem, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(`${JSON.stringify(body)}\n`, {
    status: body.status,
    headers: { "content-type": "application/problem+json", "cache-control": "no-store", ...headers },
  });
}

/** Any error as a problem: ours keeps its code and message, any other is `internal` and tells nothing of itself. */
export function fromError(error: unknown, instance: string): Problem {
  if (error instanceof PipelineError) return problem(error.code, error.message, instance);
  return problem("internal", "An assumption of the server did not hold", instance);
}
