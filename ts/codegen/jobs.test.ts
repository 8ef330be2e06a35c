// What the generator makes of the files in ts/jobs, and what it refuses.

import { describe, expect, it } from "vitest";
import type { JobType } from "../jobs/plan/type.ts";
import { DECLARED_TYPES, jobsPage, jobTypeIn, tableModule } from "./jobs.ts";

const job: JobType = {
  name: "nap",
  engine: "ray",
  kind: "batch",
  summary: "sleeps",
  module: "naps.nap",
  needs: ["windows"],
  reads: ["raw"],
  writes: [],
  standard: false,
  schedule: "0 3 * * *",
  plan: () => {
    throw new Error("not planned here");
  },
};

describe("typeIn()", () => {
  it("takes the type a file exports under its name", () =>
    expect(jobTypeIn("nap.ts", { nap: job, other: 1 })).toBe(job));
  it.each([
    ["exports it under another name", { rest: job }],
    ["names it otherwise", { nap: { ...job, name: "rest" } }],
    ["has no Python module on an engine", { nap: { ...job, module: null } }],
    ["has a Python module for a process", { nap: { ...job, engine: "process" } }],
    ["has a schedule for a stream", { nap: { ...job, kind: "stream" } }],
    ["says nothing of the application that it shares", { nap: { ...job, engine: "spark", kind: "stream" } }],
    ["shares an application as a batch", { nap: { ...job, share: () => ({}) } }],
  ])("refuses a file that %s, naming it", (_, exported) => {
    expect(() => jobTypeIn("nap.ts", exported)).toThrow("ts/jobs/nap.ts");
  });
});

it("the table and the page hold each type once", () => {
  expect(tableModule([job], ["h"])).toBe(
    '// h\n\nimport { nap } from "../nap.ts";\n\nexport const JOB_TYPES = { nap } as const;\n',
  );
  expect(jobsPage([job], "h").match(/^\| nap \|.*$/m)?.[0]).toBe(
    "| nap | ray | batch | sleeps | windows | raw | – |  | `0 3 * * *` |",
  );
  expect(DECLARED_TYPES.length).toBeGreaterThan(5);
});
