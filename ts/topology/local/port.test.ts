import { createServer, type Server } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { free } from "./port.ts";

let server: Server | null = null;
const close = () =>
  new Promise<void>((resolve) => (server ? server.close(() => resolve()) : resolve())).then(() => {
    server = null;
  });
afterEach(close);

async function listen(host: string): Promise<number> {
  const opened = createServer();
  server = opened;
  await new Promise<void>((resolve) => opened.listen({ port: 0, host }, resolve));
  const address = opened.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

describe("free()", () => {
  it.each(["127.0.0.1", "0.0.0.0"])(
    "sees a listener on %s, and leaves a free port as it was",
    async (host) => {
      const port = await listen(host);
      expect(await free(port)).toBe(false);
      await close();
      expect(await free(port)).toBe(true);
      expect(await free(port)).toBe(true);
    },
  );
});
