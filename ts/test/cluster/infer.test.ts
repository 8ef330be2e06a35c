// The inference job's proofs against a real broker. They are written in Python, beside what they prove; each runs
// here by its name, on the cluster tests' own engines.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";

const engines = inject("engines");
const folder = mkdtempSync(join(engines.home, "infer-"));
const addresses = join(folder, "addresses.json");

const PROOFS = [
  "test_killed_workers_cover_every_feature_once",
  "test_a_slot_that_stays_dead_leaves_its_partitions_to_the_other",
  "test_rows_that_retention_took_are_counted",
  "test_aborted_transactions_are_restored_and_done_again",
  "test_a_record_refused_while_others_are_enqueued_ends_the_transaction_only",
];

describe("weather-infer", () => {
  beforeAll(() => {
    writeFileSync(addresses, JSON.stringify({ bootstrap: engines.kafka.bootstrap }));
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
