import { copyFileSync, mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { breaches } from "../contract/index.ts";
import { pipelineOf } from "../pipelines/index.ts";
import { settingsOf, stateDir } from "../settings/settings.ts";
import { readApplied, requireApplied } from "./applied.ts";

const root = join(import.meta.dirname, "..", "..");

/** A namespace as an earlier commit left it: schemas/golden/before. */
function before() {
  const settings = settingsOf(root, { home: mkdtempSync(join(tmpdir(), "millrace-applied-")) });
  mkdirSync(stateDir(settings), { recursive: true });
  const file = "applied-weather.json";
  copyFileSync(
    join(root, "schemas", "golden", "before", "state", "default", file),
    join(stateDir(settings), file),
  );
  return { settings, applied: readApplied(settings)!, contract: pipelineOf("weather").contract };
}

it("requireApplied() refuses a namespace of another contract and names the command that carries it over", () => {
  const { settings, applied, contract } = before();
  expect(applied.fingerprint).not.toBe(contract.fingerprint);
  expect(() => requireApplied(settings, contract.fingerprint)).toThrow(
    `expected contract ${contract.fingerprint} to be applied, ${applied.fingerprint} is; run "millrace apply"`,
  );
});

it("the raw schema that an earlier commit registered may be followed by today's, which has supports", () => {
  const { applied, contract } = before();
  const [registered] = Object.values(applied.tables["raw"]!);
  expect(registered).not.toContain("support");
  expect(contract.schemas.observation).toContain('"support":[0,100]');
  expect(breaches(registered!, contract.schemas.observation)).toEqual([]);
});
