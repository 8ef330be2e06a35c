// Puts an app on a port of this machine and takes it off again. Knows no route.

import { readFileSync } from "node:fs";
import { type Server, STATUS_CODES } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, BlockList, isIP } from "node:net";
import { serve } from "@hono/node-server";
import { PipelineError } from "../contract/index.ts";
import { problem } from "./problem.ts";
import type { Refusal } from "./status.ts";

export interface Listening {
  readonly url: string;
  /** Answers what is under way, then ends every connection. */
  close(): Promise<void>;
}

/** Addresses that only this machine reaches: 127.0.0.0/8 and ::1, also the former as IPv6. Source: RFC 6890. */
const LOOPBACK = new BlockList();
LOOPBACK.addSubnet("127.0.0.0", 8, "ipv4");
LOOPBACK.addAddress("::1", "ipv6");

/** Whether only this machine can reach a server on this host. A name other than localhost may be any address, and an empty one is all. */
export function isLoopback(host: string): boolean {
  const version = isIP(host);
  return version === 0 ? host === "localhost" : LOOPBACK.check(host, version === 4 ? "ipv4" : "ipv6");
}

/** How long requests under way may still take when the server ends, wall time. */
const CLOSE_MS = 2_000;

/** Sockets at once: as many streams as there may be, and some to ask beside them. A further one is closed at once. */
export const CONNECTIONS_MAX = 1_500;

/** What is too large or too slow is not a request: Node ends it before a route is looked for. */
const LIMITS = {
  /** Address and headers together: an id of 1,000 letters is 12,000 bytes when it is encoded. */
  maxHeaderSize: 16_384,
  headersTimeout: 10_000,
  requestTimeout: 15_000,
  keepAliveTimeout: 5_000,
  connectionsCheckingInterval: 1_000,
};

/** Node's names for what was no request, in ours. */
const UNFIT: Readonly<Record<string, Refusal>> = {
  HPE_HEADER_OVERFLOW: "headers_too_large",
  ERR_HTTP_REQUEST_TIMEOUT: "too_slow",
};

/** The whole answer to what is no request, as bytes: no route and no response object is there yet. */
function unfit(code: string | undefined): string {
  const body = problem(UNFIT[code ?? ""] ?? "bad_request", "The request was ended before it was read", "");
  const text = `${JSON.stringify(body)}\n`;
  return [
    `HTTP/1.1 ${body.status} ${STATUS_CODES[body.status]}`,
    "content-type: application/problem+json",
    `content-length: ${Buffer.byteLength(text)}`,
    "connection: close",
    "",
    text,
  ].join("\r\n");
}

/** Certificate and key, each a file in PEM. */
export interface Tls {
  readonly cert: string;
  readonly key: string;
}

/** Errors: `config_invalid` for a file that cannot be read. */
function readPem(path: string, setting: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new PipelineError("config_invalid", `Cannot read ${setting} "${path}": expected a file in PEM`, {
      cause,
    });
  }
}

/** Port 0 takes any free one. Errors: `config_invalid` for a port in use, naming the setting that moves it, and for a certificate that is none. */
export async function listen(
  app: { fetch(request: Request, env?: unknown): Response | Promise<Response> },
  {
    host,
    port,
    setting,
    tls = null,
    connections_max = CONNECTIONS_MAX,
  }: { host: string; port: number; setting: string; tls?: Tls | null; connections_max?: number },
): Promise<Listening> {
  const fetch = (request: Request, env: unknown) => app.fetch(request, env);
  const server = (
    tls === null
      ? serve({ fetch, hostname: host, port, serverOptions: LIMITS })
      : serve({
          fetch,
          hostname: host,
          port,
          createServer: createTlsServer,
          serverOptions: {
            ...LIMITS,
            minVersion: "TLSv1.2",
            cert: readPem(tls.cert, "MILLRACE_API_TLS_CERT"),
            key: readPem(tls.key, "MILLRACE_API_TLS_KEY"),
          },
        })
  ) as Server;
  server.maxConnections = connections_max;
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    if (error.code === "ECONNRESET" || !socket.writable) return socket.destroy();
    // A client that does not read its answer keeps no socket either.
    socket.end(unfit(error.code), () => socket.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("listening", resolve);
    server.once("error", (error: NodeJS.ErrnoException) => {
      const seen = error.code === "EADDRINUSE" ? "a port in use" : (error.code ?? "an error");
      reject(
        new PipelineError(
          "config_invalid",
          `Cannot serve on "${host}:${port}": expected a free port, got ${seen}; ${setting} moves it`,
          { cause: error },
        ),
      );
    });
  });
  const { port: bound } = server.address() as AddressInfo;
  return {
    url: `${tls === null ? "http" : "https"}://${isIP(host) === 6 ? `[${host}]` : host}:${bound}`,
    close: () =>
      new Promise((resolve) => {
        const force = setTimeout(() => server.closeAllConnections(), CLOSE_MS);
        server.close(() => {
          clearTimeout(force);
          resolve();
        });
        server.closeIdleConnections();
      }),
  };
}
