// What the features job has committed is what its checkpoint says, batch by batch.

import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { writeJson } from "../ground/json.ts";
import { settingsOf, stateDir } from "../settings/settings.ts";
import { committedOffsets, readCertificate } from "./certify.ts";

it("committedOffsets() reads the newest batch that was written, not one that has only begun", () => {
  const settings = settingsOf(join(import.meta.dirname, "..", ".."), {
    home: mkdtempSync(join(tmpdir(), "certify-")),
    namespace: "x",
  });
  expect(committedOffsets(settings)).toBeNull();
  writeJson(join(stateDir(settings), "epochs.json"), {
    "weather-features": { plan_hash: "0123456789abcdef", plan_epoch: 2, starting_offsets: "earliest" },
  });
  expect(committedOffsets(settings)).toBeNull();
  const checkpoint = join(stateDir(settings), "checkpoints", "weather-features-0123456789ab-e2", "features");
  mkdirSync(join(checkpoint, "offsets"), { recursive: true });
  mkdirSync(join(checkpoint, "commits"));
  const offsets = (batch: number, end: number) =>
    writeFileSync(
      join(checkpoint, "offsets", String(batch)),
      `v1\n{"batchWatermarkMs":0}\n{"x-weather-raw":{"1":${end + 1},"0":${end}}}`,
    );
  for (const batch of [9, 10, 11]) offsets(batch, batch * 10);
  expect(committedOffsets(settings)).toBeNull();
  for (const name of ["9", "10", ".10.crc"]) writeFileSync(join(checkpoint, "commits", name), "v1\n{}");
  expect(committedOffsets(settings)).toEqual({ "0": 100, "1": 101 });
});

it("readCertificate() takes the one that the run itself names, whatever else lies there", () => {
  const folder = mkdtempSync(join(tmpdir(), "certificates-"));
  mkdirSync(join(folder, "runs"));
  for (const [name, verdict] of [
    ["a".repeat(64), "failed"],
    ["b".repeat(64), "passed"],
  ] as const)
    writeFileSync(join(folder, `${name}.json`), JSON.stringify({ verdict }));
  expect(() => readCertificate(folder, "weather-certify-1", "weather-certify")).toThrow(
    /weather-certify-1.*there is none/,
  );
  writeFileSync(join(folder, "runs", "weather-certify-1"), "b".repeat(64));
  expect(readCertificate(folder, "weather-certify-1", "weather-certify")).toEqual({
    sha256: "b".repeat(64),
    path: join(folder, `${"b".repeat(64)}.json`),
    certificate: { verdict: "passed" },
  });
});
