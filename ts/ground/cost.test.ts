import { describe, expect, it } from "vitest";
import { belonging, costs } from "./cost.ts";

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
