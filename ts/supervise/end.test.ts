import { expect, it } from "vitest";
import { PipelineError } from "../contract/index.ts";
import { fakeRunner } from "../engines/fake.ts";
import type { JobStatus } from "../engines/job.ts";
import { toEnd } from "./end.ts";

const HOUR_MS = 3_600_000;

async function started() {
  const runner = fakeRunner("ray");
  const handle = await runner.submit({
    name: "train",
    submission: "train-1",
    params_path: "p.json",
    launch: { engine: "ray", entrypoint: "train", code: "/nowhere" },
  });
  let stopped = 0;
  const stop = async () => {
    stopped += 1;
  };
  return { runner, look: () => runner.status(handle), stop, stopped: () => stopped };
}

it("an engine that is silent for a while does not end the wait", async () => {
  const { runner, look, stop, stopped } = await started();
  const states: string[] = [];
  let looks = 0;
  const status = await toEnd(
    () => {
      looks += 1;
      runner.unreachable = looks === 2 || looks === 3;
      if (looks === 5) runner.set("train-1", { state: "succeeded" });
      return look();
    },
    stop,
    {
      signal: new AbortController().signal,
      deadline_ms: HOUR_MS,
      look_ms: 1,
      onState: (s) => states.push(s),
    },
  );
  expect(status).toEqual({ state: "succeeded" } satisfies JobStatus);
  expect(states).toEqual(["running", "the engine does not answer; asked again", "running", "succeeded"]);
  expect(stopped()).toBe(0);
});

it("an engine that stays silent is named, and its job left alone", async () => {
  const { runner, look, stop, stopped } = await started();
  runner.unreachable = true;
  const options = { signal: new AbortController().signal, deadline_ms: HOUR_MS, look_ms: 1, silent_ms: 20 };
  await expect(toEnd(look, stop, options)).rejects.toMatchObject({ code: "ray_unreachable" });
  expect(stopped()).toBe(0);
});

it("any other error ends it at once", async () => {
  const { stop } = await started();
  let looks = 0;
  const look = async () => {
    looks += 1;
    throw new PipelineError("ray_rejected", "no");
  };
  const options = { signal: new AbortController().signal, deadline_ms: HOUR_MS, look_ms: 1 };
  await expect(toEnd(look, stop, options)).rejects.toMatchObject({ code: "ray_rejected" });
  expect(looks).toBe(1);
});

it("a missed deadline stops the job", async () => {
  const { look, stop, stopped } = await started();
  const signal = new AbortController().signal;
  expect(await toEnd(look, stop, { signal, deadline_ms: 5, look_ms: 1 })).toBeNull();
  expect(stopped()).toBe(1);
});
