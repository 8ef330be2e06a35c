// The registry's client against a server that loses every first answer. A real Apicurio is in test/cluster/registry.test.ts.

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { httpOf } from "../ground/http.ts";
import { connectRegistry } from "./registry.ts";

const SCHEMA = '{"type":"record","name":"r","fields":[]}';
let open: Server | null = null;
afterEach(() => {
  open?.closeAllConnections();
  open?.close();
});

/** Loses the answer of the first request to each route: by a reset after it was carried out, or by HTTP 503. */
async function losing(how: "reset" | "busy") {
  const seen: string[] = [];
  const subjects = new Map<string, string[]>();
  open = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const route = `${request.method} ${request.url!.split("?")[0]}`;
      const first = !seen.includes(route);
      seen.push(route);
      const [, , subject = "", , version = ""] = request.url!.split("/");
      const held = subjects.get(subject);
      let answer: [number, unknown] = [404, { message: "not there" }];
      if (route.startsWith("PUT /config/")) answer = [200, {}];
      else if (/^POST .*\/versions$/.test(route)) {
        const { schema } = JSON.parse(Buffer.concat(chunks).toString()) as { schema: string };
        const all = held ?? [];
        if (!all.includes(schema)) all.push(schema);
        subjects.set(subject, all);
        answer = [200, { id: all.indexOf(schema) + 1 }];
      } else if (/^GET .*\/versions$/.test(route) && held) answer = [200, held.map((_, i) => i + 1)];
      else if (/^GET .*\/versions\/\d+$/.test(route) && held)
        answer = [200, { id: Number(version), schema: held[Number(version) - 1] }];
      if (first && how === "reset") request.socket.resetAndDestroy();
      else if (first) response.writeHead(503).end();
      else response.writeHead(answer[0]).end(JSON.stringify(answer[1]));
    });
  });
  await new Promise<void>((resolve) => open?.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(open.address() as AddressInfo).port}`;
  const pace = { tries: 3, first_ms: 1, most_ms: 1, deadline_ms: 60_000 };
  return { seen, registry: connectRegistry(url, { http: httpOf("registry_unreachable", { pace }) }) };
}

describe("connectRegistry()", () => {
  it.each(["reset", "busy"] as const)(
    "registers once though every first answer is lost (%s)",
    async (how) => {
      const { registry, seen } = await losing(how);
      expect(await registry.register("a-value", SCHEMA, "BACKWARD_TRANSITIVE")).toBe(1);
      expect(await registry.idOf("a-value", SCHEMA)).toBe(1);
      expect(await registry.versions("a-value")).toHaveLength(1);
      // The check of compatibility, the rule, the registration, the list of versions and the version: each asked twice at first.
      expect(new Set(seen).size).toBe(5);
    },
  );
});
