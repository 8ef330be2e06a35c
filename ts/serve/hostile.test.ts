// What strangers send: a problem document or a closed connection each, and nothing else changes. Real sockets; only Kafka is in memory.

import { connect, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { sendOnce } from "../kafka/kafka.ts";
import { fakeKafka } from "../test/fakes/kafka.ts";
import { NOW_MS, prediction, SERVED, SERVER } from "../test/served/weather.ts";
import { type Serving, startApi } from "./start.ts";

const CONNECTIONS = 40;
let serving: Serving;
let port: number;
const logged: unknown[] = [];
const sockets: Socket[] = [];

beforeAll(async () => {
  const kafka = fakeKafka(() => NOW_MS);
  await kafka.admin.ensure([{ topic: "weather-predictions", partitions: 1, config: {} }]);
  const value = Buffer.from(JSON.stringify({ station_id: "denver", ...prediction() }));
  await sendOnce(kafka, "test", [{ topic: "weather-predictions", key: "denver", value }]);
  serving = await startApi({
    ...SERVER,
    pipelines: [{ ...SERVED, topics: { "weather-predictions": "predictions" } }],
    kafka,
    connections_max: CONNECTIONS,
    log: (error) => logged.push(error),
  });
  await serving.caught_up;
  port = Number(new URL(serving.url).port);
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  // Whatever was sent: the next one is served, and no assumption broke.
  expect((await fetch(`${serving.url}/predictions/denver`)).status).toBe(200);
  expect(logged).toEqual([]);
});
afterAll(() => serving.close());

function open(): Socket {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => undefined);
  sockets.push(socket);
  return socket;
}

/** Everything a socket says until it is closed, or the time is over. */
function until(socket: Socket, limit_ms: number): Promise<{ text: string; closed: boolean }> {
  return new Promise((resolve) => {
    let text = "";
    const late = setTimeout(() => resolve({ text, closed: false }), limit_ms);
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
    });
    socket.on("close", () => {
      clearTimeout(late);
      resolve({ text, closed: true });
    });
  });
}

/** A request as bytes, and its whole answer. */
function raw(lines: readonly string[], limit_ms = 5_000) {
  const socket = open();
  socket.write(`${lines.join("\r\n")}\r\n\r\n`);
  return until(socket, limit_ms);
}

const get = (target: string) => raw([`GET ${target} HTTP/1.1`, "host: 127.0.0.1", "connection: close"]);

describe("an odd station id", () => {
  it.each([
    "../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "..%5c..%5cwindows",
    "%00",
    "denver%00",
    "%E0%A4%A",
    "%ff%fe",
    "%F0%9F%8C%A7",
    "%E2%80%AE%D8%B9",
    "e%CC%81",
    "%0d%0aset-cookie:%20a=b",
    "__proto__",
    "constructor",
    "denver;drop",
    "%3Cscript%3E",
    "denver%2F..",
    "DENVER",
    "%20denver",
    "x".repeat(10_000),
    "%41".repeat(3_000),
  ])("is a problem document: %.40s", async (id) => {
    const { text, closed } = await get(`/predictions/${id}`);
    expect(closed).toBe(true);
    expect(text).toMatch(/^HTTP\/1\.1 404 /);
    expect(text).toContain("application/problem+json");
    expect(text.toLowerCase()).not.toContain("\r\nset-cookie:");
    expect(text).not.toMatch(/root:|node_modules|\n\s+at /);
  });
});

describe("what is no request of ours", () => {
  it.each([
    ["an address of 20 kB", [`GET /predictions/${"x".repeat(20_000)} HTTP/1.1`, "host: 127.0.0.1"], 431],
    ["headers of 20 kB", ["GET / HTTP/1.1", "host: 127.0.0.1", `x: ${"x".repeat(20_000)}`], 431],
    ["no host", ["GET / HTTP/1.1"], 400],
    ["no HTTP", ["hello"], 400],
    ["TLS", ["\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"], 400],
    ["two lengths", ["POST / HTTP/1.1", "host: 127.0.0.1", "content-length: 1", "content-length: 2"], 400],
    [
      "length and chunks",
      ["POST / HTTP/1.1", "host: 127.0.0.1", "content-length: 5", "transfer-encoding: chunked"],
      400,
    ],
    ["a foreign host", ["GET /stations HTTP/1.1", "host: evil.example", "connection: close"], 421],
    [
      "another proxy's request",
      ["GET http://evil.example/ HTTP/1.1", "host: evil.example", "connection: close"],
      421,
    ],
    ["a method nobody has", ["BREW / HTTP/1.1", "host: 127.0.0.1", "connection: close"], 400],
    [
      "a method that is not offered",
      ["DELETE /stations HTTP/1.1", "host: 127.0.0.1", "connection: close"],
      405,
    ],
    [
      "a forged Last-Event-ID",
      [
        "GET /stream HTTP/1.1",
        "host: 127.0.0.1",
        "last-event-id: weather-predictions:0=999",
        "connection: close",
      ],
      400,
    ],
  ] as const)("%s is refused and the connection closed", async (_, lines, status) => {
    const { text, closed } = await raw(lines);
    expect(closed).toBe(true);
    expect(text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    if (status !== 400 || text.includes("problem")) expect(text).toContain("application/problem+json");
  });

  it.each(["/", "/stations", "/session"])("a body of 10 MB for %s is not read", async (path) => {
    const socket = open();
    const answer = until(socket, 5_000);
    socket.write(`POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 10000000\r\n\r\n`);
    const chunk = Buffer.alloc(65_536, "a");
    for (let sent = 0; sent < 10_000_000 && !socket.destroyed; sent += chunk.length)
      if (!socket.write(chunk))
        await new Promise((resolve) => socket.once("drain", resolve).once("close", resolve));
    const { text } = await answer;
    // A client that is still sending may see the connection reset before it reads the answer.
    if (text !== "") expect(text).toMatch(/^HTTP\/1\.1 413 [\s\S]*body_too_large/);
  });

  it("a body without a length is not read either", async () => {
    const socket = open();
    const answer = until(socket, 3_000);
    socket.write("POST /stations HTTP/1.1\r\nhost: 127.0.0.1\r\ntransfer-encoding: chunked\r\n\r\n");
    for (let i = 0; i < 50 && !socket.destroyed; i++) socket.write(`10000\r\n${"a".repeat(65_536)}\r\n`);
    socket.write("0\r\n\r\n");
    socket.end();
    expect((await answer).text).toMatch(/^HTTP\/1\.1 405 /);
  });

  it("a head that never ends is ended", { timeout: 20_000 }, async () => {
    const socket = open();
    socket.write("GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nx-slow: ");
    const drip = setInterval(() => socket.writable && socket.write("a"), 500);
    const { text, closed } = await until(socket, 15_000);
    clearInterval(drip);
    expect(closed).toBe(true);
    expect(text).toMatch(/^HTTP\/1\.1 408 [\s\S]*too_slow/);
  });

  it("more connections than there may be are closed, and those that are there go on", async () => {
    const held = await Promise.all(
      Array.from({ length: CONNECTIONS + 20 }, () => {
        const socket = open();
        return new Promise<Socket>((resolve) =>
          socket.once("connect", () => resolve(socket)).once("close", () => resolve(socket)),
        );
      }),
    );
    await expect
      .poll(() => held.filter((socket) => socket.closed).length, { timeout: 5_000 })
      .toBeGreaterThanOrEqual(20);
    const alive = held.find((socket) => !socket.closed)!;
    const answer = until(alive, 5_000);
    alive.write("GET /health/live HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n");
    expect((await answer).text).toMatch(/^HTTP\/1\.1 200 /);
    for (const socket of sockets.splice(0)) socket.destroy();
    await expect
      .poll(
        () =>
          fetch(`${serving.url}/health/live`).then(
            ({ status }) => status,
            () => 0,
          ),
        { timeout: 5_000 },
      )
      .toBe(200);
  });
});
