// Nothing moves on the wire unless a commit says so: the contract, the source's records and what is sent again, byte for
// byte. jobs/pyspark/tests/test_golden.py and jobs/ray/tests/test_golden.py hold the other stages.

import { describe, expect, it } from "vitest";
import { goldenText, PARTS, type Part, textOf } from "./golden.ts";

describe("golden files of weather", () => {
  it.each(Object.keys(PARTS) as Part[])("%s is what this code makes", async (part) => {
    expect(textOf(await PARTS[part]()), "moved: make golden, and say in the commit what moved and why").toBe(
      goldenText(part),
    );
  });

  it("notices one byte of a value, one header, one partition and one digest", async () => {
    const first = <T>(list: readonly T[]): T => list[0]!;
    const [source, contract] = [await PARTS.source(), await PARTS.contract()];
    const raw = first(source.raw);
    const value = `${raw.value.slice(0, -1)}${raw.value.endsWith("0") ? "1" : "0"}`;
    for (const changed of [
      { value },
      { headers: { ...raw.headers, clock: "1" } },
      { partition: raw.partition + 1 },
    ])
      expect(textOf({ ...source, raw: [{ ...raw, ...changed }, ...source.raw.slice(1)] })).not.toBe(
        goldenText("source"),
      );
    expect(textOf({ ...contract, plan_hash: contract.plan_hash.replace(/^./, "x") })).not.toBe(
      goldenText("contract"),
    );
  });
});
