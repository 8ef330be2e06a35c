// What a route is, and how it is put into an app: one schema says what may be asked and what is answered. Beside the check of
// parameters this knows what all routes have in common: problem documents, ETags, the latency that is measured.

import { createHash } from "node:crypto";
import { createRoute, type OpenAPIHono, type RouteConfig } from "@hono/zod-openapi";
import type { Context } from "hono";
import { ENTITY_ID_LENGTH_MAX, type ErrorCode } from "../contract/index.ts";
import type { PartName } from "../pipelines/index.ts";
import { Problem } from "./problem.ts";
import { text, z } from "./schema.ts";
import { answerOf, type Refusal } from "./status.ts";

export type Params = z.ZodObject;

/** What is answered: a body that fits the route's schema, or a response that a problem or a page is. */
export type Answer<B> =
  | Response
  | {
      readonly body: B;
      readonly status?: number;
      /** Names this state of the resource; the same again is answered with 304 to whoever has it. Clocks are no part of it. */
      readonly etag?: string;
      readonly headers?: Readonly<Record<string, string>>;
    };

export interface Asked<P, Q> {
  readonly params: P;
  readonly query: Q;
  readonly request: Request;
  /** The path that was asked for, for problem documents. */
  readonly path: string;
  /** For an answer that is written as it comes. */
  readonly context: Context;
}

export interface Route<
  P extends Params = Params,
  Q extends Params = Params,
  S extends z.ZodType = z.ZodType,
> {
  readonly name: string;
  /** Parts without which there is no such route. */
  readonly needs: readonly PartName[];
  /** In OpenAPI's form, without the pipeline. */
  readonly path: string;
  readonly tag: Tag;
  readonly summary: string;
  readonly description: string;
  readonly params: P;
  readonly query: Q;
  /** Of a 200; text where the type is no JSON. */
  readonly schema: S;
  readonly type: string;
  /** Further types of the same answer, with their schemas. */
  readonly types?: Readonly<Record<string, z.ZodType>>;
  /** Status codes beside 200 that carry the same body. */
  readonly also: readonly number[];
  readonly refusals: readonly (Refusal | ErrorCode)[];
  readonly answer: (
    asked: Asked<z.output<P>, z.output<Q>>,
  ) => Promise<Answer<z.input<S>>> | Answer<z.input<S>>;
}

export const TAGS = {
  forecasts: "What a pipeline computed.",
  domain: "What a domain answers of its own.",
  operation: "How the pipelines run.",
  description: "For people and clients.",
} as const;
export type Tag = keyof typeof TAGS;

const NOTHING = z.object({});

/** A route with what most of them have; its types follow from its schemas. */
export function defineRoute<
  S extends z.ZodType,
  P extends Params = typeof NOTHING,
  Q extends Params = typeof NOTHING,
>(
  route: Omit<Route<P, Q, S>, "needs" | "params" | "query" | "type" | "also" | "refusals"> &
    Partial<Pick<Route<P, Q, S>, "needs" | "params" | "query" | "type" | "also" | "refusals">>,
): Route {
  return {
    needs: [],
    params: NOTHING,
    query: NOTHING,
    type: "application/json",
    also: [],
    refusals: [],
    ...route,
  } as unknown as Route;
}

/** The path's parameter that names what a forecast is of, under the domain's word for it. */
export function entityParam(key: string) {
  return z.object({
    [key]: text("Its id, percent-encoded.").max(ENTITY_ID_LENGTH_MAX).min(1),
  });
}

/** What OpenAPI says of a route, with the pipeline before its path where there is one. */
export function configOf(route: Route, prefix: string, operation: string): RouteConfig {
  const refusals = new Map<number, (Refusal | ErrorCode)[]>();
  for (const refusal of route.refusals) {
    const { status } = answerOf(refusal);
    refusals.set(status, [...(refusals.get(status) ?? []), refusal]);
  }
  const content = { [route.type]: { schema: route.schema } };
  for (const [type, schema] of Object.entries(route.types ?? {})) content[type] = { schema };
  const problem = { "application/problem+json": { schema: Problem } };
  return createRoute({
    method: "get",
    path: `${prefix}${route.path}`,
    operationId: operation,
    tags: [route.tag],
    summary: route.summary,
    description: route.description,
    request: { params: route.params, query: route.query },
    responses: {
      200: { description: route.summary, content },
      ...Object.fromEntries(
        route.also.map((status) => [status, { description: `${route.summary}; not well`, content }]),
      ),
      ...Object.fromEntries(
        [...refusals].map(([status, codes]) => [
          status,
          {
            description: codes.map((c) => `${c}: ${answerOf(c).title}. ${answerOf(c).next}`).join("; "),
            content: problem,
          },
        ]),
      ),
      default: { description: "Any other failure", content: problem },
    },
  }) as RouteConfig;
}

/** A weak tag: two bodies of one tag say the same, though their ages differ. */
export const weakTag = (...parts: readonly (string | number | boolean | null)[]): string =>
  `W/"${parts.join("-")}"`;

/** 132 bits of a text, for a tag. */
export const digestOf = (content: string | Buffer): string =>
  createHash("sha256").update(content).digest("base64url").slice(0, 22);

/** A strong tag of a text that never changes without another tag. */
export const textTag = (content: string): string => `"${digestOf(content)}"`;

/** Whether whoever asks has this state already. Comparison is weak. Source: RFC 9110, 13.1.2. */
export function isKnown(header: string | null, etag: string): boolean {
  if (header === null) return false;
  const bare = (tag: string) => tag.trim().replace(/^W\//, "");
  return header.trim() === "*" || header.split(",").some((tag) => bare(tag) === bare(etag));
}

/** The response of an answer. With a tag it may be kept and must be asked about again, else it is kept by nobody. */
export function responseOf(answer: Answer<unknown>, request: Request, type: string): Response {
  if (answer instanceof Response) return answer;
  const { body, status = 200, etag, headers = {} } = answer;
  const shared = {
    "cache-control": etag === undefined ? "no-store" : "no-cache",
    ...(etag === undefined ? {} : { etag }),
    ...headers,
  };
  if (etag !== undefined && isKnown(request.headers.get("if-none-match"), etag))
    return new Response(null, { status: 304, headers: shared });
  return new Response(typeof body === "string" ? body : `${JSON.stringify(body)}\n`, {
    status,
    headers: { "content-type": type, ...shared },
  });
}

/** Puts a route into the app. `onAnswer` hears status and time of each. */
export function mount(
  app: OpenAPIHono,
  route: Route,
  {
    prefix,
    operation,
    answer,
  }: {
    readonly prefix: string;
    readonly operation: string;
    answer(c: Context, work: () => Promise<Response>): Promise<Response>;
  },
): void {
  app.openapi(configOf(route, prefix, operation), ((c: Context) =>
    answer(c, async () => {
      const asked = {
        params: c.req.valid("param" as never) as Record<string, unknown>,
        query: c.req.valid("query" as never) as Record<string, unknown>,
        request: c.req.raw,
        path: c.req.path,
        context: c,
      };
      return responseOf(await route.answer(asked), c.req.raw, route.type);
    })) as never);
}
