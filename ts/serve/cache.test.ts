import { describe, expect, it } from "vitest";
import { cached, withDeadline } from "./cache.ts";

describe("kept()", () => {
  it("asks once for all who come within the time, and again after it, end exclusive", async () => {
    let [now_ms, asked] = [0, 0];
    const ask = cached(async () => ++asked, { nowMs: () => now_ms }, 1_000);
    expect(await Promise.all([ask(), ask()])).toEqual([1, 1]);
    now_ms = 999;
    expect(await ask()).toBe(1);
    now_ms = 1_000;
    expect(await ask()).toBe(2);
  });

  it("does not keep a failure", async () => {
    let asked = 0;
    const ask = cached(() => (++asked === 1 ? Promise.reject(new Error("no")) : Promise.resolve(asked)), {
      nowMs: () => 0,
    });
    await expect(ask()).rejects.toThrow("no");
    expect(await ask()).toBe(2);
  });
});

describe("within()", () => {
  it("gives the result, the error, or that it took too long", async () => {
    expect(await withDeadline(Promise.resolve(1))).toBe(1);
    await expect(withDeadline(Promise.reject(new Error("no")))).rejects.toThrow("no");
    await expect(withDeadline(new Promise(() => undefined), 1)).rejects.toThrow("no answer within 1 ms");
  });
});
