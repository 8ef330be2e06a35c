import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import { http, kept, probe } from "./probe.ts";

const about = { name: "spark", address: "127.0.0.1", needed: true, next: "Run: millrace up spark" };

async function serving(status: number, body: string, ask: (url: string) => Promise<void>): Promise<void> {
  const server = createServer((_, response) => response.writeHead(status).end(body));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await ask(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

describe("probe()", () => {
  it("says what an engine answered", () =>
    serving(200, '{"workers":1}', async (url) => {
      const asked = http(about, url, (body) => `${JSON.parse(body).workers} worker`);
      expect(await probe([asked])).toEqual([
        { name: "spark", address: "127.0.0.1", needed: true, up: true, detail: "1 worker", next: null },
      ]);
    }));

  it("an engine that answers with a fault is down, and says what to do", () =>
    serving(500, "", async (url) => {
      expect(await probe([http(about, url)])).toMatchObject([
        { up: false, detail: `Expected 200 from "${url}", got HTTP 500`, next: "Run: millrace up spark" },
      ]);
    }));

  it("an engine that is not there is down", async () => {
    let gone = "";
    await serving(200, "", async (url) => {
      gone = url;
    });
    expect(await probe([http(about, gone)])).toMatchObject([{ up: false, detail: "connection refused" }]);
  });

  it("one that is down hides no other", async () => {
    const up = { ...about, name: "ray", ask: async () => "answers" };
    const down = { ...about, ask: () => Promise.reject(new Error("no")) };
    expect((await probe([down, up])).map((p) => p.up)).toEqual([false, true]);
  });
});

describe("kept()", () => {
  it("asks once for all who come within the time, and again after it, end exclusive", async () => {
    let [now_ms, asked] = [0, 0];
    const ask = kept(async () => ++asked, { nowMs: () => now_ms }, 1_000);
    expect(await Promise.all([ask(), ask()])).toEqual([1, 1]);
    now_ms = 999;
    expect(await ask()).toBe(1);
    now_ms = 1_000;
    expect(await ask()).toBe(2);
  });

  it("does not keep a failure", async () => {
    let asked = 0;
    const ask = kept(() => (++asked === 1 ? Promise.reject(new Error("no")) : Promise.resolve(asked)), {
      nowMs: () => 0,
    });
    await expect(ask()).rejects.toThrow("no");
    expect(await ask()).toBe(2);
  });
});
