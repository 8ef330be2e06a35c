import { describe, expect, it } from "vitest";
import { belonging, costs, descendants, parseStat } from "./processes.ts";

describe("parseStat()", () => {
  it("splits after the last bracket of the name", () => {
    const rest = ["S", "7", ...Array.from({ length: 9 }, () => "0"), "30", "12", "0"].join(" ");
    expect(parseStat(`42 (a) b (c)) ${rest}`)).toEqual({ pid: 42, ppid: 7, ticks: 42 });
  });
});

describe("descendants()", () => {
  it("walks down from the roots and nowhere else", () => {
    const all = [
      { pid: 1, ppid: 0 },
      { pid: 2, ppid: 1 },
      { pid: 3, ppid: 2 },
      { pid: 4, ppid: 1 },
    ];
    expect([...descendants(all, [2, 99])].sort()).toEqual([2, 3]);
  });
});

describe("belonging()", () => {
  it("finds a process by a folder in its command line, and not by another", () => {
    expect(belonging(process.execPath)).toContain(process.pid);
    expect(belonging("/no/such/folder/of/ours")).not.toContain(process.pid);
  });
});

describe("costs()", () => {
  it("sees this very process", () => {
    const [own] = costs([process.pid]);
    expect(own!.pss_bytes).toBeGreaterThan(10_000_000);
  });
});
