// The inference job's proofs against a real broker and a real Ray head. They are written in Python, beside what they prove; each runs
// here by its name, on the cluster tests' own engines. `--kills` is higher in `make prove`.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";

const engines = inject("engines");
const folder = mkdtempSync(join(engines.home, "infer-"));
const addresses = join(folder, "addresses.json");

const PROOFS = [
  "test_killed_workers_cover_every_feature_once[1]",
  "test_killed_workers_cover_every_feature_once[2]",
  "test_a_slot_that_stays_dead_leaves_its_partitions_to_the_other",
  "test_rows_that_retention_took_are_counted",
  "test_aborted_transactions_are_restored_and_done_again",
  "test_a_record_refused_while_others_are_enqueued_ends_the_transaction_only",
  "test_killed_actor_and_killed_driver_cover_every_feature_once",
];

describe("weather-infer", () => {
  beforeAll(() => {
    const ray = `127.0.0.1:${engines.ports.rayGcs}`;
    writeFileSync(addresses, JSON.stringify({ bootstrap: engines.kafka.bootstrap, ray }));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each(PROOFS)("%s", { timeout: 400_000 }, async (proof) => {
    const run = await execa(
      engines.pythonPath,
      [
        ...["-m", "pytest", "-q", "-rs", "-m", "cluster", "--addresses", addresses],
        `jobs/ray/tests/test_kills.py::${proof}`,
      ],
      { cwd: engines.root, reject: false, all: true },
    );
    expect(run.all).toMatch(/^1 passed/m);
    expect(run.exitCode, run.all).toBe(0);
  });
});
