import { createServer } from "node:net";
import { describe, expect, it } from "vitest";
import {
  commandOf,
  environmentOf,
  familyOf,
  listenerOn,
  memoryOf,
  readProcess,
  rowOf,
  threadOf,
  threadsOf,
} from "./proc.ts";

describe("rowOf()", () => {
  it("splits after the last bracket of the name", () => {
    const fields = Array.from({ length: 50 }, (_, i) => String(i));
    const row = rowOf(42, `42 (a) b (c)) S 7 ${fields.slice(2).join(" ")}`);
    expect(row).toMatchObject({ pid: 42, state: "S", parent: 7, session: 3, threads: 17, cpu_ms: 230 });
    expect(row.start).toMatch(/ 19$/);
  });
});

describe("threadOf()", () => {
  const stat = (name: string) => `42 (${name}) S ${Array.from({ length: 50 }, (_, i) => i + 1).join(" ")}`;
  it.each([
    ["C2 CompilerThre", "C2 CompilerThre"],
    ["Executor task l", "Executor task l"],
    ["shuffle-client-7-1", "shuffle-client"],
    ["GC Thread#0", "GC Thread"],
    ["data-plane-kafka-request-handler-3", "data-plane-kafka-request-handler"],
    ["rdk:broker1", "rdk:broker"],
    ["python3.11", "python"],
  ])("%s is of the kind %s", (name, kind) => expect(threadOf(42, stat(name)).kind).toBe(kind));
});

describe("familyOf()", () => {
  it("walks down from the roots that are there and nowhere else", () => {
    const rows = [
      { pid: 1, parent: 0 },
      { pid: 2, parent: 1 },
      { pid: 3, parent: 2 },
      { pid: 4, parent: 1 },
    ];
    expect([...familyOf(rows, [2, 99])].sort()).toEqual([2, 3]);
  });
});

describe("this process", () => {
  it("is in the table, with command, environment and memory", () => {
    expect(readProcess(process.pid)).toMatchObject({ pid: process.pid, parent: process.ppid });
    expect(commandOf(process.ppid)).toContain("node");
    expect(environmentOf(process.pid)).toContain("PATH=");
    expect(memoryOf(process.pid)).toBeGreaterThan(10_000_000);
    expect(threadsOf(process.pid).map(({ tid }) => tid)).toContain(process.pid);
  });
  it("is named for a port on which it listens, and nobody for a free one", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen({ port: 0, host: "127.0.0.1" }, resolve));
    const { port } = server.address() as { port: number };
    expect(listenerOn(port)).toMatch(new RegExp(`\\(pid ${process.pid}\\)$`));
    await new Promise((resolve) => server.close(resolve));
    expect(listenerOn(port)).toBe(null);
  });
});

it("nothing is known of a pid that cannot be", () => {
  expect([
    readProcess(2 ** 30),
    commandOf(2 ** 30),
    environmentOf(2 ** 30),
    memoryOf(2 ** 30),
    threadsOf(2 ** 30),
  ]).toEqual([null, "", "", null, []]);
});
