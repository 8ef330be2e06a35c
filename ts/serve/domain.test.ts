import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Validator } from "@seriousme/openapi-schema-validator";
import { describe, expect, it } from "vitest";
import type { Pipeline } from "../pipelines/index.ts";
import { app, contract } from "../test/served/weather.ts";
import { documentOf } from "./app.ts";
import { type Domain, domainOf } from "./domain.ts";

/** What a domain's module looks like, in a folder that is nobody's: no import that runs. */
const MODULE = `export const routes = ({ schema: { z, text, wholeNumber }, defineRoute, problem, respond, served, clock }) => [
  defineRoute({
    name: "buses",
    path: "/api/buses/{bus_id}",
    tag: "domain",
    summary: "One bus",
    description: "Where it was last.",
    params: z.object({ bus_id: text("Its id.").max(20) }),
    query: z.object({ limit: wholeNumber("Stops.", { min: 1, max: 9, usual: 3 }) }),
    schema: z.object({ bus: z.string(), limit: z.number(), of: z.string(), at: z.number() }).openapi("Bus"),
    refusals: ["unknown_station", "bad_parameter"],
    answer: ({ params, query, path }) =>
      params.bus_id === "none"
        ? respond(problem("unknown_station", "No such bus", path))
        : { body: { bus: params.bus_id, limit: query.limit, of: served.contract.pipeline, at: clock.nowMs() } },
  }),
];
`;

function registered(text: string | null, routes: readonly string[] = ["/api/buses/{bus_id}"]) {
  const folder = mkdtempSync(join(tmpdir(), "millrace-domain-"));
  mkdirSync(join(folder, "weather"));
  if (text !== null) writeFileSync(join(folder, "weather", "serve.ts"), text);
  const pipeline = { name: "weather", streams: {}, serve: { silent_ms: 1, routes } } as unknown as Pipeline;
  return { pipeline, folder };
}

describe("routes of a domain", () => {
  it("answer beside the general ones and below the pipeline's name, checked and described as they are", async () => {
    const domain = domainOf(registered(MODULE))!;
    const { app: api, effects } = app({ domain });
    for (const path of ["/api/buses/7", "/weather/api/buses/7"]) {
      const response = await api.request(path);
      expect([response.status, await response.json()]).toMatchObject([
        200,
        { bus: "7", limit: 3, of: "weather" },
      ]);
    }
    expect((await api.request("/api/buses/none")).status).toBe(404);
    expect((await api.request("/api/buses/7?limit=10")).status).toBe(400);
    expect((await api.request("/api/buses/7", { method: "POST" })).status).toBe(405);
    const document = documentOf(api, effects);
    expect(Object.keys(document["paths"] as object)).toEqual(
      expect.arrayContaining(["/api/buses/{bus_id}", "/weather/api/buses/{bus_id}"]),
    );
    expect((await new Validator().validate(structuredClone(document))).errors ?? []).toEqual([]);
  });

  it("that are not those which were claimed are not mounted, and cost nobody else the server", async () => {
    const domain = domainOf(registered(MODULE, ["/api/trams"]));
    const { app: api, errors } = app({ domain });
    expect((await api.request("/api/buses/7")).status).toBe(404);
    expect((await api.request("/stations")).status).toBe(200);
    expect(String(errors[0])).toContain(
      "those that its definition claims, /api/trams, got /api/buses/{bus_id}",
    );
  });

  it("a pipeline without them has no module", () => {
    expect(domainOf({ ...registered(null, []) })).toBeNull();
  });

  it.each([
    [null, "got no file"],
    ["export const other = 1;", "got other"],
    ["throw new Error('x');", "got an error"],
  ])("a module that is none is refused: %s", async (text, words) => {
    const { app: api, errors } = app({ domain: domainOf(registered(text))! });
    expect(String(errors[0])).toContain(words);
    expect((await api.request("/stations")).status).toBe(200);
  });

  it("have the pipeline's contract and store", () => {
    let seen: unknown;
    const domain: Domain = {
      paths: [],
      routes: ({ served }) => {
        seen = served.contract;
        return [];
      },
    };
    app({ domain });
    expect(seen).toBe(contract);
  });
});
