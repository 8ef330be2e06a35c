// The lock: one holder, a dead one taken over, a release that lets the next one in. Also with processes that are killed.

import { mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { describe, expect, it } from "vitest";
import { identify } from "./identity.ts";
import { holderOf, lockWithin, tryLock } from "./lock.ts";
import { until } from "./until.ts";

const path = () => join(mkdtempSync(join(tmpdir(), "millrace-lock-")), "supervisor");
const dead = { pid: process.pid, start: "an earlier boot 1" };

describe("tryLock()", () => {
  it("gives the lock to one and names it to the others", () => {
    const lock = path();
    expect("lock" in tryLock(lock)).toBe(true);
    expect(tryLock(lock)).toEqual({ holder: identify(process.pid) });
    expect(holderOf(lock)).toEqual(identify(process.pid));
  });

  it("lets the next one in after a release, any number of times, and leaves few files", () => {
    const lock = path();
    for (let i = 0; i < 20; i++) {
      const taken = tryLock(lock);
      expect("lock" in taken).toBe(true);
      if ("lock" in taken) taken.lock.release();
      expect(holderOf(lock)).toBeNull();
    }
    expect(readdirSync(join(lock, "..")).length).toBeLessThan(10);
  });

  it("takes over from a holder that is dead, also when its pid is somebody else's now", () => {
    const lock = path();
    writeFileSync(`${lock}.7`, JSON.stringify(dead));
    expect(holderOf(lock)).toBeNull();
    expect("lock" in tryLock(lock)).toBe(true);
    expect(readdirSync(join(lock, "..")).sort()).toEqual(["supervisor.7", "supervisor.8"]);
  });

  it("never has two holders among processes that are killed while they hold it", async () => {
    const lock = path();
    const script = `
      import { tryLock } from ${JSON.stringify(join(import.meta.dirname, "lock.ts"))};
      for (;;) {
        const taken = tryLock(${JSON.stringify(lock)});
        if ("lock" in taken) { console.log("held"); setInterval(() => {}, 1000); break; }
        await new Promise((resolve) => setTimeout(resolve, 5));
      }`;
    const children = Array.from({ length: 4 }, () =>
      execa(process.execPath, ["--input-type=module", "-e", script], { reject: false, buffer: false }),
    );
    const held = new Set<number>();
    for (const child of children) child.stdout.on("data", () => held.add(child.pid!));
    try {
      for (let round = 1; round <= children.length; round++) {
        await until(() => ({ done: held.size >= round, seen: null }), {
          deadline_ms: 15_000,
          interval_ms: 20,
        });
        expect(held.size).toBe(round);
        const holder = holderOf(lock);
        expect(held.has(holder!.pid)).toBe(true);
        process.kill(holder!.pid, "SIGKILL");
      }
    } finally {
      for (const child of children) child.kill("SIGKILL");
    }
  });
});

describe("lockWithin()", () => {
  it("is null when the lock is not free in time", async () => {
    const lock = path();
    tryLock(lock);
    expect(await lockWithin(lock, 50)).toBeNull();
  });
});
