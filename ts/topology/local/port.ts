// Whether a port of this machine is free. Looks only; the engines open them.

import { createServer } from "node:net";

/** True if nobody listens on the port, on this address or on all of them. */
export function free(port: number, host = "127.0.0.1"): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.unref();
    server.once("error", () => resolve(false));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
