import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { PROOF_FOLDERS, PROOF_NAMES, type ProofRequest, proofDigest, proved, type Written } from "./code.ts";

const root = join(import.meta.dirname, "..", "..", "..");
const asked: ProofRequest = { proof: "windows", code: "c1", seed: 1, count: 10 };
const result: Written = { ...asked, whole: true, wrong: 0 };

it("every folder of a proof is there, and two proofs have two digests", () => {
  for (const folder of Object.values(PROOF_FOLDERS).flat())
    expect(existsSync(join(root, folder)), folder).toBe(true);
  expect(new Set(PROOF_NAMES.map((proof) => proofDigest(root, proof))).size).toBe(PROOF_NAMES.length);
});

it("proved() is of this code, seed and count, whole and without a fault", () => {
  expect(proved(asked, result)).toBe(true);
  expect(proved(asked, null)).toBe(false);
  for (const other of [{ code: "c2" }, { seed: 2 }, { count: 20 }, { whole: false }, { wrong: 1 }])
    expect(proved(asked, { ...result, ...other }), JSON.stringify(other)).toBe(false);
});
