// Puts an app on a port of this machine and takes it off again. Knows no route.

import { type AddressInfo, BlockList, isIP } from "node:net";
import { serve } from "@hono/node-server";
import { PipelineError } from "../contract/index.ts";

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

/** Port 0 takes any free one. Errors: `config_invalid` for a port in use, naming the setting that moves it. */
export async function listen(
  app: { fetch(request: Request, env?: unknown): Response | Promise<Response> },
  { host, port, setting }: { host: string; port: number; setting: string },
): Promise<Listening> {
  const server = serve({ fetch: (request, env) => app.fetch(request, env), hostname: host, port });
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
    url: `http://${isIP(host) === 6 ? `[${host}]` : host}:${bound}`,
    close: () =>
      new Promise((resolve) => {
        const force = setTimeout(
          () => "closeAllConnections" in server && server.closeAllConnections(),
          CLOSE_MS,
        );
        server.close(() => {
          clearTimeout(force);
          resolve();
        });
        if ("closeIdleConnections" in server) server.closeIdleConnections();
      }),
  };
}
