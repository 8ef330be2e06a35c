import { createServer, type Server } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { freePorts } from "./ports.ts";

let server: Server | null = null;
afterEach(async () => {
  await new Promise<void>((resolve) => (server ? server.close(() => resolve()) : resolve()));
  server = null;
});

describe("freePorts()", () => {
  it("gives distinct ports, none among Ray's workers", async () => {
    const { rayWorkerMin, rayWorkerMax, ...named } = await freePorts();
    const numbers = Object.values(named);
    expect(new Set(numbers).size).toBe(numbers.length);
    expect(numbers.filter((n) => n >= rayWorkerMin && n <= rayWorkerMax)).toEqual([]);
    expect(rayWorkerMax - rayWorkerMin).toBe(99);
  });

  it("passes over a block in which a port is taken", async () => {
    const first = await freePorts(() => 0.5);
    const taken = createServer();
    server = taken;
    await new Promise<void>((resolve) => taken.listen({ port: first.kafka, host: "127.0.0.1" }, resolve));
    const picks = [0.5, 0.25];
    const second = await freePorts(() => picks.shift() ?? 0.75);
    expect(second.kafka).not.toBe(first.kafka);
  });
});
