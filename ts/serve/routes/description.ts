// GET /openapi.json and GET /docs: the description of the API, for programs and for people.

import { guide } from "../guide.ts";
import { defineRoute, textTag } from "../route.ts";
import { said, z } from "../schema.ts";

/** `document` is asked for once all routes are there. */
export function descriptionRoutes(document: () => Readonly<Record<string, unknown>>) {
  let made: { readonly json: string; readonly html: string } | null = null;
  const texts = () => {
    made ??= { json: `${JSON.stringify(document())}\n`, html: guide(document()) };
    return made;
  };
  return [
    defineRoute({
      name: "openapi",
      path: "/openapi.json",
      tag: "description",
      summary: "This document",
      description: "OpenAPI 3.1, made from the contracts and the schemas of the routes.",
      schema: said(z.record(z.string(), z.unknown()), "An OpenAPI document."),
      answer: () => ({ body: texts().json as never, etag: textTag(texts().json) }),
    }),
    defineRoute({
      name: "docs",
      path: "/docs",
      tag: "description",
      summary: "The description for people",
      description: "Every route with its parameters, answers and problems, as a page without scripts.",
      type: "text/html",
      schema: z.string(),
      answer: () => ({
        body: texts().html,
        etag: textTag(texts().html),
        headers: { "content-type": "text/html; charset=utf-8" },
      }),
    }),
  ];
}
