// HTTP as it goes wrong: a real server on this machine that closes kept connections, cuts answers short, is late, busy or away.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { join } from "node:path";
import { execa } from "execa";
import { afterEach, describe, expect, it } from "vitest";
import { wallClock } from "./clock.ts";
import { type Http, httpOf } from "./http.ts";
import type { Pace } from "./repeat.ts";

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

const servers: Server[] = [];

/** Serves each request by the next answer, the last one for all that follow. */
async function server(...answers: Answer[]) {
  const seen: { method: string; url: string; body: string; socket: Socket }[] = [];
  const listening = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const answer = answers[Math.min(seen.length, answers.length - 1)]!;
      seen.push({
        method: request.method!,
        url: request.url!,
        body: Buffer.concat(chunks).toString(),
        socket: request.socket,
      });
      answer(request, response);
    });
  });
  servers.push(listening);
  await new Promise<void>((resolve) => listening.listen(0, "127.0.0.1", resolve));
  const { port } = listening.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/x`, seen, listening, port };
}
afterEach(async () => {
  await Promise.all(
    servers.splice(0).map(
      (listening) =>
        new Promise((resolve) => {
          listening.closeAllConnections();
          listening.close(resolve);
        }),
    ),
  );
});

const ok: Answer = (_, response) => response.end('{"well":true}');
const says =
  (status: number): Answer =>
  (_, response) =>
    response.writeHead(status).end("Traceback\nnot now");
const resets: Answer = (request) => request.socket.resetAndDestroy();
const cutsShort: Answer = (_, response) => {
  response.writeHead(200, { "Content-Length": "100" });
  response.write("half");
  setImmediate(() => response.destroy());
};
const silent: Answer = () => {};

const QUICK: Pace = { tries: 4, first_ms: 1, most_ms: 1, deadline_ms: 60_000 };
const quick: Http = httpOf("store_unreachable", { pace: QUICK });
const action = "read a thing";

describe("httpOf()", () => {
  it.each([
    ["a connection reset", resets, 200],
    ["an answer cut short", cutsShort, 200],
    ["HTTP 502", says(502), 200],
    ["HTTP 503", says(503), 200],
    ["HTTP 504", says(504), 200],
  ] as const)("asks again after %s", async (_, fault, status) => {
    const { url, seen } = await server(fault, fault, ok);
    expect((await quick({ action, url })).status).toBe(status);
    expect(seen).toHaveLength(3);
  });

  it("asks again after a kept connection that the server closed", async () => {
    const { url, seen } = await server(ok, resets, ok);
    await quick({ action, url });
    expect((await quick({ action, url })).text).toBe('{"well":true}');
    expect(seen[1]!.socket).toBe(seen[0]!.socket);
    expect(seen).toHaveLength(3);
  });

  it("asks again after an answer that does not come", async () => {
    const { url, seen } = await server(silent, ok);
    expect((await quick({ action, url, limit_ms: 50 })).status).toBe(200);
    expect(seen).toHaveLength(2);
  });

  it.each(["GET", "POST"] as const)("waits for a server that is started again (%s)", async (method) => {
    const { port, listening, url } = await server(ok);
    await new Promise((resolve) => listening.close(resolve));
    const back = createServer(ok);
    servers.push(back);
    let refusals = 0;
    const http = httpOf("store_unreachable", {
      pace: QUICK,
      effects: {
        random: Math.random,
        clock: {
          nowMs: wallClock.nowMs,
          // The server is back after the second refusal.
          until: async () => {
            refusals++;
            if (refusals === 2) await new Promise<void>((resolve) => back.listen(port, "127.0.0.1", resolve));
          },
        },
      },
    });
    expect((await http({ action, url, method, ...(method === "POST" ? { body: {} } : {}) })).status).toBe(
      200,
    );
    expect(refusals).toBe(2);
  });

  it.each([
    ["reset", resets, "lost", "none"],
    ["busy", says(503), "busy", "HTTP 503"],
    ["late", silent, "late", "none"],
  ] as const)("never asks twice for a POST that was %s", async (_, fault_, fault, got) => {
    const { url, seen } = await server(fault_, ok);
    await expect(quick({ action, url, method: "POST", body: { n: 1 }, limit_ms: 50 })).rejects.toMatchObject({
      code: "store_unreachable",
      message: `Cannot read a thing at "${url}": expected an answer, got ${got}`,
      context: { fault },
    });
    expect(seen).toHaveLength(1);
  });

  it("asks twice for a POST that only reads", async () => {
    const { url, seen } = await server(resets, ok);
    await quick({ action, url, method: "POST", body: { n: 1 }, repeatable: true });
    expect(seen.map(({ body }) => body)).toEqual(['{"n":1}', '{"n":1}']);
  });

  it("gives a change a connection of its own", async () => {
    const { url, seen } = await server(ok);
    await quick({ action, url });
    await quick({ action, url, method: "POST", body: {} });
    expect(seen[1]!.socket).not.toBe(seen[0]!.socket);
  });

  it.each([200, 404, 409, 500])("takes HTTP %i for an answer", async (status) => {
    const { url, seen } = await server(says(status));
    expect((await quick({ action, url })).status).toBe(status);
    expect(seen).toHaveLength(1);
  });

  it("gives up after its tries, and says how many, what it got and the server's last word", async () => {
    const { url, seen } = await server(says(503));
    await expect(quick({ action, url })).rejects.toMatchObject({
      code: "store_unreachable",
      message: `Cannot read a thing at "${url}": expected an answer, got HTTP 503 in 4 tries`,
      cause: new Error("not now"),
      context: { url, fault: "busy", got: "HTTP 503" },
    });
    expect(seen).toHaveLength(4);
  });

  it("does not ask again for what no time mends", async () => {
    const { url, seen } = await server((request) => request.socket.end("this is not HTTP\r\n\r\n"));
    await expect(quick({ action, url })).rejects.toMatchObject({ context: { fault: null } });
    expect(seen).toHaveLength(1);
  });

  it("reaches an engine directly whatever the environment says of proxies", async () => {
    const proxy = await server(says(418));
    const { url } = await server(ok);
    const address = `http://127.0.0.1:${proxy.port}`;
    // A process of its own: Node reads these variables when it starts.
    const script = `
      import { httpOf } from ${JSON.stringify(join(import.meta.dirname, "http.ts"))};
      const http = httpOf("store_unreachable");
      for (const method of ["GET", "POST"])
        console.log((await http({ action: "look", method, url: ${JSON.stringify(url)} })).status);`;
    const { stdout } = await execa(process.execPath, ["--input-type=module", "-e", script], {
      env: {
        HTTP_PROXY: address,
        http_proxy: address,
        ALL_PROXY: address,
        NODE_USE_ENV_PROXY: "1",
        NO_PROXY: "",
        no_proxy: "",
      },
    });
    expect(stdout).toBe("200\n200");
    expect(proxy.seen).toHaveLength(0);
  });
});
