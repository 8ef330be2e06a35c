// Members of one application as jobs, over a fake Spark: what is started, what is shared, and who else hears of an end. The real
// thing passes the same suite in test/cluster/jobs.test.ts.

import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { until } from "../ground/until.ts";
import { FAKE_LAUNCH, type FakeApplications, fakeApplications } from "../test/fakes/application.ts";
import { fakeRunner } from "../test/fakes/runner.ts";
import { jobRunnerSuite } from "../test/suites/runner.ts";
import { applicationRunner, driverOf, memberStatus } from "./application.ts";
import { abortMarker, type JobHandle, stopMarker } from "./job.ts";

let place = "";
let fake: FakeApplications;
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), "application-"));
  fake = fakeApplications(join(place, "applications"));
});
afterEach(() => {
  fake.end();
  rmSync(place, { recursive: true, force: true });
});

let unique = 0;
const spec = (name: string, launch: typeof FAKE_LAUNCH = FAKE_LAUNCH) => {
  const submission = `${name}-${unique++}`;
  return { name, submission, params_path: join(place, `${submission}.json`), launch };
};
const submit = (name: string) => fake.runner.submit(spec(name));
const state = async (handle: JobHandle) => (await fake.runner.status(handle)).state;
const becomes = (handle: JobHandle, wanted: string) =>
  until(
    async () => {
      const seen = await state(handle);
      return { done: seen === wanted, seen };
    },
    { deadline_ms: 2_000, interval_ms: 5 },
  ).then(({ seen }) => expect(seen).toBe(wanted));
const applications = () => fake.spark.submissions.map(({ handle }) => handle.submission);
const listed = async () => (await fake.runner.list()).map(({ handle }) => handle.submission);

describe("members of one application", () => {
  jobRunnerSuite(async () => {
    const spark = fakeRunner("spark");
    spark.unreachable = true;
    return {
      runner: fake.runner,
      spec: (task, submission) => ({
        ...spec(`suite-${task}`),
        submission,
        params_path: join(place, `${submission}.json`),
      }),
      start_ms: 2_000,
      unreachable: applicationRunner(spark, join(place, "elsewhere")),
    };
  });
});

describe("applicationRunner()", () => {
  it("starts one application for members that come together, and a later one joins it", async () => {
    const [a, b] = await Promise.all([submit("weather-features"), submit("weather-archive")]);
    const c = await submit("weather-peaks");
    expect(applications()).toHaveLength(1);
    expect(applications()[0]).toMatch(/^x-weather-streams-01234567-/);
    for (const handle of [a, b, c]) {
      expect(driverOf(handle).submission).toBe(applications()[0]);
      await becomes(handle, "running");
    }
    expect(await listed()).toEqual([a, b, c].map(({ submission }) => submission).sort());
  });

  it("never lets a member join what was started otherwise", async () => {
    await submit("weather-features");
    const other = { ...FAKE_LAUNCH, shared: { ...FAKE_LAUNCH.shared, hash: "76543210" as "01234567" } };
    await fake.runner.submit(spec("weather-features", other));
    expect(applications()).toHaveLength(2);
  });

  it("leaves what has an application of its own to Spark", async () => {
    const { shared: _, ...launch } = FAKE_LAUNCH;
    const handle = await fake.runner.submit({ ...spec("weather-backfill"), launch });
    expect(fake.spark.submissions.map((one) => one.handle)).toEqual([handle]);
    expect(driverOf(handle)).toBe(handle);
    expect(await listed()).toEqual([handle.submission]);
  });

  it("lets one fail and one be stopped, and the others go on in the same driver", async () => {
    const features = await submit("weather-features");
    const fails = await submit("weather-fails");
    const archive = await submit("weather-archive");
    await becomes(fails, "failed");
    expect(await fake.runner.status(fails)).toEqual({ state: "failed", reason: "exit code 3 (job_failed)" });
    await becomes(archive, "running");
    await fake.runner.stop(archive, { deadline_ms: 1_000 });
    expect(await state(archive)).toBe("stopped");
    expect(await state(features)).toBe("running");
    expect(await listed()).toEqual([features.submission]);
    expect(fake.spark.alive()).toHaveLength(1);
  });

  it("asks a member that does not end to leave its batch before it kills the driver", async () => {
    const slow = await submit("weather-slow");
    await becomes(slow, "running");
    await fake.runner.stop(slow, { deadline_ms: 20 });
    expect(existsSync(abortMarker(slow.params_path))).toBe(true);
    expect(await state(slow)).toBe("stopped");
    expect(fake.spark.alive()).toHaveLength(1);
  });

  it("kills the driver where that does not help, and the others learn why they ended", async () => {
    const features = await submit("weather-features");
    const stubborn = await submit("weather-stubborn");
    await becomes(stubborn, "running");
    await becomes(features, "running");
    await fake.runner.stop(stubborn, { deadline_ms: 0 });
    expect(fake.spark.alive()).toEqual([]);
    expect(await fake.runner.status(features)).toEqual({
      state: "failed",
      reason: `its application has ended: it was killed, ${stubborn.submission} neither began nor ended when it was asked to`,
    });
    // The next one begins another application.
    expect(driverOf(await submit("weather-features")).submission).not.toBe(driverOf(features).submission);
  });

  it("fails all members of a driver that dies, and finds none of them", async () => {
    const features = await submit("weather-features");
    await becomes(features, "running");
    fake.spark.set(applications()[0]!, { state: "failed", reason: "exit code 137" });
    expect(await fake.runner.status(features)).toEqual({
      state: "failed",
      reason: "its application has ended: exit code 137",
    });
    expect(await fake.runner.find(features.submission)).toBeNull();
  });

  it("begins another application where the one there is takes no member any more", async () => {
    await submit("weather-features");
    fake.shut(applications()[0]!);
    fake.looking = false;
    const archive = await submit("weather-archive");
    expect(applications()).toHaveLength(2);
    expect(driverOf(archive).submission).toBe(applications()[1]);
  });

  it("asks the one that closes while it is asked no second time: the member begins once", async () => {
    const features = await submit("weather-features");
    await becomes(features, "running");
    fake.looking = false;
    const asked = submit("weather-archive");
    await until(
      () => ({ done: readdirSync(join(place, "applications", applications()[0]!)).length > 3, seen: 0 }),
      {
        deadline_ms: 1_000,
        interval_ms: 5,
      },
    );
    fake.shut(applications()[0]!);
    const archive = await asked;
    expect(driverOf(archive).submission).toBe(applications()[1]);
    fake.looking = true;
    await becomes(archive, "running");
    expect(await listed()).toContain(archive.submission);
    expect((await listed()).filter((name) => name.startsWith("weather-archive"))).toHaveLength(1);
  });

  it("takes a member back that has not begun, and ends a driver that waits for nobody else", async () => {
    fake.looking = false;
    const features = await submit("weather-features");
    const archive = await submit("weather-archive");
    fake.spark.set(applications()[0]!, { state: "waiting", reason: "no worker has room for the driver yet" });
    expect(await state(archive)).toBe("waiting");
    await fake.runner.stop(archive, { deadline_ms: 60_000 });
    expect(await state(archive)).toBe("stopped");
    expect(existsSync(stopMarker(archive.params_path))).toBe(false);
    expect(fake.spark.alive()).toHaveLength(1);
    await fake.runner.stop(features, { deadline_ms: 60_000 });
    expect(fake.spark.alive()).toEqual([]);
  });

  it("kills a driver that runs and begins nobody, where a member has waited too long", async () => {
    fake.looking = false;
    const features = await submit("weather-features");
    await fake.runner.stop(features, { deadline_ms: 0 });
    expect(fake.spark.alive()).toEqual([]);
    expect(await state(features)).toBe("stopped");
  });

  it("finds a member again whose application's answer was lost, for whoever comes after", async () => {
    fake.spark.loseNextAnswer = true;
    const lost = spec("weather-features");
    await expect(fake.runner.submit(lost)).rejects.toThrow(/lost/);
    const successor = applicationRunner(fake.spark, join(place, "applications"));
    const handle = await successor.find(lost.submission);
    expect(handle).toMatchObject({ submission: lost.submission, params_path: lost.params_path });
    await becomes(handle!, "running");
    expect(await successor.list()).toMatchObject([{ handle, status: { state: "running" } }]);
  });

  it("keeps what is known of a bounded number of applications", async () => {
    for (let round = 0; round < 25; round++) {
      const handle = await submit("weather-features");
      fake.spark.set(driverOf(handle).submission, { state: "stopped" });
    }
    const folders = readdirSync(join(place, "applications")).filter((name) => !name.includes(".turn."));
    expect(folders.length).toBeLessThanOrEqual(21);
  });
});

describe("memberStatus()", () => {
  const running = { state: "running", reason: null, error_code: null } as const;
  it("is the member's own word once it has ended, whatever its driver does", () => {
    const stopped = { ...running, state: "stopped" } as const;
    expect(memberStatus({ state: "failed", reason: "x" }, stopped)).toEqual({ state: "stopped" });
  });
  it("waits for its driver, and in it for its turn", () => {
    const waiting = { state: "waiting", reason: "no cores" } as const;
    expect(memberStatus(waiting, null)).toBe(waiting);
    expect(memberStatus({ state: "running" }, null).state).toBe("waiting");
    expect(memberStatus({ state: "running" }, running)).toEqual({ state: "running" });
  });
  it("has failed with a driver that ended under it, however that ended", () => {
    for (const state of ["succeeded", "stopped"] as const)
      expect(memberStatus({ state }, running)).toEqual({
        state: "failed",
        reason: `its application has ended: ${state}`,
      });
  });
});
