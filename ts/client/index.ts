// The API for other programs, with types: openapi-fetch over what is generated from the API's own description. A path, its parameters
// and its answer are checked by the compiler. Example: docs/api.md. Copy this folder, or import it; it imports nothing of Millrace.

import createClient from "openapi-fetch";
import type { components, paths } from "./generated/api.ts";

export type { components, paths } from "./generated/api.ts";

/** What every refusal says. */
export type Problem = components["schemas"]["Problem"];

export interface ClientOptions {
  /** Of a server that other machines reach: `millrace keys add` makes one. */
  readonly key?: string;
  readonly fetch?: typeof globalThis.fetch;
}

/** A client of the server at an address. `GET(path, …)` resolves to `data` or to `error`, a problem document. */
export function millrace(url: string, { key, fetch }: ClientOptions = {}) {
  return createClient<paths>({
    baseUrl: url,
    ...(key === undefined ? {} : { headers: { authorization: `Bearer ${key}` } }),
    ...(fetch === undefined ? {} : { fetch: (request: Request) => fetch(request) }),
  });
}
