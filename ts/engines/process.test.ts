// How a process of ours ended, from its exit note. Real processes are in test/cluster/jobs.test.ts.

import { expect, it } from "vitest";
import { processStatus } from "./process.ts";

it("processStatus() reads every exit note", () => {
  expect(processStatus("0\n")).toEqual({ state: "succeeded" });
  expect(processStatus("stopped\n")).toEqual({ state: "stopped" });
  expect(processStatus("3\n")).toEqual({ state: "failed", reason: "it ended with exit code 3" });
  expect(processStatus("137\n")).toEqual({ state: "failed", reason: "it was killed (SIGKILL)" });
  expect(processStatus("").state).toBe("failed");
});
