// Four tiers of TypeScript tests. Unit needs nothing running; cluster starts one real set of engines for all its
// files on ports of its own; browser drives a real Chromium; compose has the line in containers, where Docker answers. Order and counting live in ts/test/suite.ts.

import { defineConfig } from "vitest/config";
import { LongestFirst } from "./ts/test/sequence.ts";

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    tags: [{ name: "slow", description: "not part of make test-quick" }],
    projects: [
      {
        test: {
          name: "unit",
          include: ["ts/**/*.test.ts"],
          exclude: ["ts/test/cluster/**", "ts/test/browser/**", "ts/test/compose/**"],
          globalSetup: ["ts/test/temp.ts"],
          testTimeout: 20_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "cluster",
          include: ["ts/test/cluster/**/*.test.ts"],
          globalSetup: ["ts/test/cluster/setup.ts"],
          // Half of a file's time is waiting for Spark and Ray to start; the other half needs the cores.
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
      {
        test: {
          name: "browser",
          include: ["ts/test/browser/**/*.test.ts"],
          fileParallelism: false,
          sequence: { groupOrder: 2 },
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: "compose",
          include: ["ts/test/compose/**/*.test.ts"],
          fileParallelism: false,
          sequence: { groupOrder: 3 },
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
