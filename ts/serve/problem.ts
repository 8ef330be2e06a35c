// RFC 9457 problem documents: every error the API answers, in one shape. Takes status and advice from status.ts.

import { type ErrorCode, PipelineError } from "../contract/index.ts";
import { integer, said, text, z } from "./schema.ts";
import { answerOf, type Refusal } from "./status.ts";

export const Problem = said(
  z.object({
    type: text("urn:millrace:problem:<code>; described in docs/api.md."),
    title: text("What went wrong, in general."),
    status: integer("HTTP status."),
    detail: text("What went wrong here."),
    instance: text("The path that was asked for."),
    code: text("For programs."),
    next: text("What to do."),
  }),
  "RFC 9457 problem document.",
).openapi("Problem");
export type Problem = z.infer<typeof Problem>;

/** Longest part of what was asked that a problem repeats. */
const SHOWN_LENGTH_MAX = 1_000;

/** `next`: what to do in this case, where that is known better. */
export function problem(code: Refusal | ErrorCode, detail: string, instance: string, next?: string): Problem {
  const answer = answerOf(code);
  return {
    type: `urn:millrace:problem:${code}`,
    title: answer.title,
    status: answer.status,
    detail: detail.slice(0, SHOWN_LENGTH_MAX * 2),
    instance: instance.slice(0, SHOWN_LENGTH_MAX),
    code,
    next: next ?? answer.next,
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
  if (error instanceof PipelineError) {
    const { next } = error.context;
    return problem(error.code, error.message, instance, typeof next === "string" ? next : undefined);
  }
  return problem("internal", "An assumption of the server did not hold", instance);
}
