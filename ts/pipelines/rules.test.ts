import { describe, expect, it } from "vitest";
import { settingsFrom } from "../settings/environment.ts";
import { namesOf } from "./names.ts";
import { NAMESPACE, PIPELINE } from "./rules.ts";

const takes = (attempt: () => unknown): string | true => {
  try {
    attempt();
    return true;
  } catch (error) {
    return (error as Error).message;
  }
};
const pipeline = { name: "weather", streams: { raw: { partitions: 1 } } };

describe("NAMESPACE", () => {
  it.each([
    ["a", true],
    ["a-1", true],
    ["a".repeat(32), true],
    ["a".repeat(33), false],
    ["1a", false],
    ["a-", false],
    ["-a", false],
    ["A", false],
    ["a_b", false],
    ["a\n", false],
    ["engines", false],
    ["default", false],
  ])("is one rule: the command line and the names both say of %j: %j", (name, fine) => {
    expect(NAMESPACE.holds(name)).toBe(fine);
    for (const verdict of [
      takes(() => settingsFrom("/repo", {}, { namespace: name })),
      takes(() => namesOf(pipeline, name)),
    ])
      expect(verdict).toEqual(fine ? true : expect.stringContaining(`expected ${NAMESPACE.words}`));
  });

  it("may be empty, which means none", () => expect(namesOf(pipeline, "").prefix).toBe(""));
});

describe("PIPELINE", () => {
  it.each([
    ["weather", true],
    ["gtfs2", true],
    ["a-b", false],
    ["", false],
    ["2a", false],
    ["a".repeat(33), false],
  ])("of %j: %j", (name, fine) => expect(PIPELINE.holds(name)).toBe(fine));
});
