// The order in which test files are taken. Decides nothing about what runs in them.

import { basename } from "node:path";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Cluster files that take a minute or more, the longest first. */
const LONG = [
  "line",
  "windows",
  "infer",
  "repeats",
  "certify",
  "supervisor",
  "hdfs",
  "evolution",
  "jobs",
  "pipelines",
];

/** Long files first, so that two workers end at about the same time; the rest as Vitest orders them. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification) => {
      const found = LONG.indexOf(basename(moduleId, ".test.ts"));
      return moduleId.includes("/cluster/") && found >= 0 ? found : LONG.length;
    };
    return (await super.sort(files)).sort((a, b) => place(a) - place(b));
  }
}
