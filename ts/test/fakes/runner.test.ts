// The fake passes the suite the real engines pass, but for what its comment in the list says it cannot.

import { expect, it } from "vitest";
import { jobRunnerSuite } from "../suites/runner.ts";
import { fakeRunner } from "./runner.ts";

jobRunnerSuite(
  async () => {
    const unreachable = fakeRunner("ray");
    unreachable.unreachable = true;
    return {
      runner: fakeRunner("ray"),
      spec: (task, submission) => ({
        name: `suite-${task}`,
        submission,
        params_path: `/nowhere/${submission}.json`,
        launch: { engine: "ray", entrypoint: "suite_task", code: "/nowhere" },
      }),
      start_ms: 1_000,
      unreachable,
    };
  },
  {
    "a running job is found by its name, listed, and ends as stopped when it ends by itself after a stop":
      "the fake runs no code, so nothing is printed after a stop",
  },
);

it("fakeRunner() takes a submission whose answer is lost, as a real engine may", async () => {
  const fake = fakeRunner("spark");
  fake.loseNextAnswer = true;
  const spec = {
    name: "a",
    submission: "a-1",
    params_path: "/nowhere/a.json",
    launch: { engine: "ray", entrypoint: "a", code: "/nowhere" },
  } as const;
  await expect(fake.submit(spec)).rejects.toThrow(/lost/);
  expect(await fake.find("a-1")).not.toBeNull();
});
