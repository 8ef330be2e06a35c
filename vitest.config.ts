// Three tiers of TypeScript tests. Unit needs nothing running; cluster starts one real set of engines for all its
// files on ports of its own; browser drives a real Chromium. Order and counting live in ts/test/suite.ts.

import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["ts/**/*.test.ts"],
          exclude: ["ts/test/cluster/**", "ts/test/browser/**"],
          globalSetup: ["ts/test/temp.ts"],
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: "cluster",
          include: ["ts/test/cluster/**/*.test.ts"],
          globalSetup: ["ts/test/cluster/setup.ts"],
          fileParallelism: false,
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
      {
        test: {
          name: "browser",
          include: ["ts/test/browser/**/*.test.ts"],
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
