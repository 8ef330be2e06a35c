// How a process of ours ended, from its exit note. Real processes are in test/cluster/jobs.test.ts.

import { expect, it } from "vitest";
import { statusOf } from "./process.ts";

it("statusOf() reads every exit note", () => {
  expect(statusOf("0\n")).toEqual({ state: "succeeded" });
  expect(statusOf("stopped\n")).toEqual({ state: "stopped" });
  expect(statusOf("3\n")).toEqual({ state: "failed", reason: "it ended with exit code 3" });
  expect(statusOf("137\n")).toEqual({ state: "failed", reason: "it was killed (SIGKILL)" });
  expect(statusOf("").state).toBe("failed");
});
