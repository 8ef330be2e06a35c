// A feed's server on this machine that fails in every way a server can, one answer after the other as a test says.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";

export type Answer = (response: ServerResponse, request: IncomingMessage) => void;

export interface FeedServer {
  readonly url: string;
  readonly requests: { readonly path: string; readonly headers: IncomingMessage["headers"] }[];
  /** Answers by their turn; the last one goes on for ever. */
  answers(...list: readonly Answer[]): void;
  close(): Promise<void>;
}

export async function feedServer(): Promise<FeedServer> {
  const requests: FeedServer["requests"] = [];
  let turns: readonly Answer[] = [status(500)];
  const server = createServer((request, response) => {
    // Tests have a time of their own.
    response.sendDate = false;
    requests.push({ path: request.url ?? "", headers: request.headers });
    const [answer, ...rest] = turns;
    if (rest.length > 0) turns = rest;
    answer!(response, request);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    answers: (...list) => {
      turns = list;
    },
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

type Headers = Readonly<Record<string, string>>;

export const json =
  (value: unknown, headers: Headers = {}): Answer =>
  (response) => {
    response.writeHead(200, { "content-type": "application/json", ...headers }).end(JSON.stringify(value));
  };

export const bytes =
  (body: Buffer, headers: Headers = {}): Answer =>
  (response) => {
    response.writeHead(200, { "content-type": "application/octet-stream", ...headers }).end(body);
  };

export const status =
  (code: number, headers: Headers = {}, body = ""): Answer =>
  (response) => {
    response.writeHead(code, headers).end(body);
  };

/** 304 to whoever says that it has this version, the value to everybody else. */
export const versioned =
  (etag: string, value: unknown): Answer =>
  (response, request) => {
    if (request.headers["if-none-match"] === etag) response.writeHead(304, { etag }).end();
    else json(value, { etag, "last-modified": "Mon, 01 Jun 2026 12:00:00 GMT" })(response, request);
  };

/** Begins, and goes on a byte at a time without an end. */
export const slow: Answer = (response) => {
  response.writeHead(200, { "content-type": "application/json", "content-length": "1000000" });
  const timer = setInterval(() => response.write(" "), 20);
  response.on("close", () => clearInterval(timer));
};

/** Ends in the middle of what its length promised. */
export const cut =
  (value: unknown): Answer =>
  (response) => {
    const text = JSON.stringify(value);
    response.writeHead(200, { "content-type": "application/json", "content-length": String(text.length) });
    response.write(text.slice(0, text.length / 2), () => response.destroy());
  };

export const html: Answer = (response) => {
  response
    .writeHead(200, { "content-type": "text/html" })
    .end("<!DOCTYPE html><html><body>Maintenance</body></html>");
};

/** Says gzip and is none. */
export const notGzip = (value: unknown): Answer => json(value, { "content-encoding": "gzip" });

export const gzip =
  (value: unknown): Answer =>
  (response) => {
    response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync(JSON.stringify(value)));
  };

/** No answer at all. */
export const hangUp: Answer = (response) => {
  response.destroy();
};
