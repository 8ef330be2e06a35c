// decide() case by case, and the whole supervisor against fake engines that lose answers, jobs and memory, with the
// supervisor itself killed at any effect: never two submissions of one job, and running again once the trouble ends.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { JobStatus } from "../engines/job.ts";
import { type FakeRunner, fakeRunner } from "../test/fakes/runner.ts";
import { decide, type JobView, LIMITS, nextAttemptMs, type SubmissionView } from "./decide.ts";
import type { Desired, DesiredJob } from "./desired.ts";
import { type Heartbeats, type Records, Supervisor, type SupervisorEffects } from "./supervisor.ts";

const NOW = 1_000_000_000;
const running: JobStatus = { state: "running" };

function submission(change: Partial<SubmissionView> = {}): SubmissionView {
  return {
    submission: "a-1",
    hash: "h",
    taken: true,
    submitted_ms: NOW - 60_000,
    running_ms: NOW - 50_000,
    status: running,
    unknown_ms: null,
    heartbeat_ms: NOW - 1_000,
    warm: true,
    ending: null,
    ...change,
  };
}
const job = (change: Partial<JobView> = {}): JobView => ({
  submission: null,
  failures: [],
  gave_up: null,
  done: null,
  busy: false,
  ...change,
});
const want = new Map([["a", { hash: "h", heartbeat_ms: 30_000, finite: false }]]);
const judge = (view: JobView, wanted = want) => decide(wanted, new Map([["a", view]]), NOW)[0] ?? null;
const judged = (change: Partial<SubmissionView>, wanted = want) =>
  judge(job({ submission: submission(change) }), wanted);

describe("decide()", () => {
  it("submits what is wanted and not there, and leaves what runs alone", () => {
    expect(decide(want, new Map(), NOW)).toEqual([{ kind: "submit", job: "a" }]);
    expect(judged({})).toBeNull();
    expect(judge(job({ busy: true }))).toBeNull();
  });
  it("does nothing about a job whose engine does not answer", () => {
    expect(judged({ status: null, heartbeat_ms: null })).toBeNull();
  });
  it("looks for a submission nobody knows to be taken, after its request cannot be on its way any more", () => {
    expect(judged({ taken: false, submitted_ms: NOW - 10 })).toBeNull();
    expect(judged({ taken: false, submitted_ms: NOW - LIMITS.settle_ms })).toEqual({
      kind: "find",
      job: "a",
    });
  });
  it("stops what is not wanted or runs another way", () => {
    expect(judged({}, new Map())).toEqual({ kind: "stop", job: "a", reason: "not wanted", kill: false });
    expect(judged({ hash: "old" })).toEqual({ kind: "stop", job: "a", reason: "changed", kill: false });
  });
  it("kills what is silent longer than its limit: exactly at the limit it still lives", () => {
    expect(judged({ heartbeat_ms: NOW - 30_000 })).toBeNull();
    expect(judged({ heartbeat_ms: NOW - 30_001 })).toEqual({
      kind: "stop",
      job: "a",
      reason: "silent",
      kill: true,
    });
    const running_ms = NOW - LIMITS.start_ms;
    expect(judged({ heartbeat_ms: null, warm: false, running_ms })).toBeNull();
    expect(judged({ heartbeat_ms: null, warm: false, running_ms: running_ms - 1 })).toMatchObject({
      reason: "silent",
    });
  });
  it("never calls a job silent that sends no heartbeats", () => {
    expect(
      judged(
        { heartbeat_ms: null },
        new Map([["a", { hash: "h", heartbeat_ms: null as never, finite: false }]]),
      ),
    ).toBeNull();
  });
  it("ends a submission that never gets to run", () => {
    const status: JobStatus = { state: "waiting", reason: "no cores" };
    const never = { status, running_ms: null };
    expect(judged({ ...never, submitted_ms: NOW - LIMITS.start_ms })).toBeNull();
    expect(judged({ ...never, submitted_ms: NOW - LIMITS.start_ms - 1 })).toMatchObject({
      reason: "never ran",
    });
  });
  it("leaves one alone that has run and waits again, as a driver whose application has ended, while it reports", () => {
    const status: JobStatus = { state: "waiting", reason: "no cores" };
    const ran = { status, submitted_ms: NOW - 10 * LIMITS.start_ms, running_ms: NOW - 9 * LIMITS.start_ms };
    expect(judged({ ...ran, heartbeat_ms: NOW, warm: true })).toBeNull();
    expect(judged({ ...ran, heartbeat_ms: NOW - 9 * LIMITS.start_ms, warm: true })).toMatchObject({
      reason: "silent",
    });
  });
  it("counts an end nobody asked for as a failure, and one we asked for not", () => {
    const failed: JobStatus = { state: "failed", reason: "exit code 1" };
    expect(judged({ status: failed })).toEqual({
      kind: "close",
      job: "a",
      failure: "exit code 1",
      done: false,
    });
    expect(judged({ status: failed, ending: "changed" })).toEqual({
      kind: "close",
      job: "a",
      failure: null,
      done: false,
    });
    expect(judged({ status: { state: "succeeded" } })).toMatchObject({
      failure: expect.stringMatching(/by itself/),
    });
    expect(judged({ status: { state: "stopped" }, ending: "silent" })).toMatchObject({
      failure: expect.any(String),
    });
  });
  it("lets a finite job be done, and starts it again only another way", () => {
    const finite = new Map([["a", { hash: "h", heartbeat_ms: 30_000, finite: true }]]);
    expect(judged({ status: { state: "succeeded" } }, finite)).toMatchObject({ failure: null, done: true });
    expect(judge(job({ done: "h" }), finite)).toBeNull();
    expect(judge(job({ done: "another" }), finite)).toEqual({ kind: "submit", job: "a" });
  });
  it("gives a job that its engine forgot no successor while it shows signs of life", () => {
    const status: JobStatus = { state: "unknown", reason: "?" };
    expect(judged({ status, unknown_ms: NOW - 5_000, heartbeat_ms: null })).toBeNull();
    expect(judged({ status, unknown_ms: NOW - 20_000, heartbeat_ms: NOW - 500 })).toBeNull();
    expect(judged({ status, unknown_ms: NOW - 20_000, heartbeat_ms: NOW - 15_000 })).toMatchObject({
      kind: "close",
    });
  });
  it("waits twice as long after each failure and gives up after five in ten minutes", () => {
    const gaps = [1, 2, 3, 4].map((n) => {
      const failures = Array.from({ length: n }, () => NOW);
      return nextAttemptMs(failures, NOW, LIMITS) - NOW;
    });
    expect(gaps).toEqual([1_000, 2_000, 4_000, 8_000]);
    const five = [4, 3, 2, 1, 0].map((minutes) => NOW - minutes * 60_000);
    expect(judge(job({ failures: five }))).toEqual({ kind: "give_up", job: "a" });
    expect(judge(job({ failures: five, gave_up: "h" }))).toBeNull();
    expect(judge(job({ failures: five, gave_up: "another" }))).toEqual({ kind: "submit", job: "a" });
    const old = five.map((at) => at - LIMITS.failures_window_ms);
    expect(judge(job({ failures: old }))).toEqual({ kind: "submit", job: "a" });
  });
});

/** Thrown at an effect to kill a supervisor in the middle of what it does; everything it still tries fails too. */
class Killed extends Error {}

class World {
  /** Parameters of each submission, in order. */
  readonly written: object[] = [];
  now_ms = NOW;
  readonly engine: FakeRunner = fakeRunner("spark");
  desired: Desired = {};
  records: Records | null = null;
  names = 0;
  supervisor: Supervisor | null = null;
  /** What was finished, in order. */
  finished: string[] = [];
  /** Effects until the next kill; null for none. */
  fuse: number | null = null;
  violations: string[] = [];
  heartbeats: Heartbeats = { of: () => null, caughtUp: async () => true };
  /** True: a killed supervisor's records are lost with it, and only the engine knows what runs. */
  forgetful = false;

  start(): Supervisor {
    let dead = false;
    const effect = <T>(work: () => T): T => {
      if (dead) throw new Killed();
      if (this.fuse !== null && this.fuse-- <= 0) {
        dead = true;
        this.fuse = null;
        this.supervisor = null;
        if (this.forgetful) this.records = null;
        throw new Killed();
      }
      return work();
    };
    const runner = new Proxy(this.engine, {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key);
        if (typeof value !== "function") return value;
        return async (...given: unknown[]) => {
          const result = await effect(() => Reflect.apply(value, target, given) as Promise<unknown>);
          // The engine has done it, and we may be dead before the answer.
          return effect(() => result);
        };
      },
    });
    const effects: SupervisorEffects = {
      runners: { spark: runner, ray: runner, process: runner },
      heartbeats: {
        of: (job) => this.heartbeats.of(job),
        caughtUp: () => this.heartbeats.caughtUp(),
      },
      clock: { nowMs: () => this.now_ms },
      desired: () => this.desired,
      store: {
        load: () => this.records,
        save: (records) =>
          effect(() => {
            this.records = structuredClone(records);
          }),
      },
      params: {
        path: (name) => `/p/${name}`,
        write: (_, params) => effect(() => void this.written.push(params)),
        remove: () => {},
      },
      log: () => {},
      finish: async ({ name, due_ms }) =>
        effect(() => {
          this.finished.push(`${name} ${due_ms}`);
        }),
      prefix: "ns-",
      unique: () => `u${(this.names++).toString(36)}`,
    };
    this.supervisor = new Supervisor(effects);
    return this.supervisor;
  }

  async step(): Promise<void> {
    const supervisor = this.supervisor ?? this.start();
    try {
      await supervisor.tick();
      await supervisor.settled();
    } catch (error) {
      if (!(error instanceof Killed)) throw error;
    }
    const alive = new Map<string, number>();
    for (const { spec } of this.engine.alive()) alive.set(spec.name, (alive.get(spec.name) ?? 0) + 1);
    for (const [name, count] of alive) if (count > 1) this.violations.push(`${count} of ${name}`);
  }
}

const desiredJob = (name: string, attempt = 0): DesiredJob => ({
  name,
  pipeline: "weather",
  attempt,
  launch: {
    engine: "spark",
    entrypoint: "/x",
    cores: 1,
    driver_memory: "1",
    executor_memory: "1",
    properties: {},
  },
  params: { a: 1 },
  code: "c",
  heartbeat_ms: null,
  stop_ms: 1_000,
  finite: false,
  restarts: true,
  schedule: null,
  since_ms: 0,
  asked_ms: null,
});

type Trouble =
  | {
      kind:
        | "tick"
        | "crash job"
        | "forget job"
        | "engine down"
        | "engine up"
        | "lose answer"
        | "toggle b"
        | "change a";
    }
  | { kind: "kill supervisor"; after: number }
  | { kind: "time"; ms: number };

const trouble: fc.Arbitrary<Trouble> = fc.oneof(
  { weight: 6, arbitrary: fc.constant<Trouble>({ kind: "tick" }) },
  {
    weight: 5,
    arbitrary: fc.constantFrom<Trouble>(
      { kind: "crash job" },
      { kind: "forget job" },
      { kind: "engine down" },
      { kind: "engine up" },
      { kind: "lose answer" },
      { kind: "toggle b" },
      { kind: "change a" },
    ),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("kill supervisor" as const), after: fc.nat(8) }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("time" as const), ms: fc.integer({ min: 1, max: 60_000 }) }),
  },
);

async function live(world: World, events: readonly Trouble[]): Promise<void> {
  let attempt = 0;
  for (const event of events) {
    const victim = world.engine.alive()[0]?.handle.submission;
    switch (event.kind) {
      case "tick":
        break;
      case "crash job":
        if (victim) world.engine.set(victim, { state: "failed", reason: "killed" });
        break;
      case "forget job":
        if (victim) world.engine.forget(victim);
        break;
      case "engine down":
      case "engine up":
        world.engine.unreachable = event.kind === "engine down";
        break;
      case "lose answer":
        world.engine.loseNextAnswer = true;
        break;
      case "toggle b": {
        const { "job-b": b, ...rest } = world.desired;
        world.desired = b ? rest : { ...rest, "job-b": desiredJob("job-b") };
        break;
      }
      case "change a":
        world.desired = { ...world.desired, "job-a": desiredJob("job-a", ++attempt) };
        break;
      case "kill supervisor":
        world.fuse = event.after;
        break;
      case "time":
        world.now_ms += event.ms;
        break;
    }
    await world.step();
    world.now_ms += 500;
  }
}

describe("Supervisor", () => {
  it("never has two of one job, and runs what is wanted once the trouble ends", {
    tags: ["slow"],
  }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(trouble, { maxLength: 60 }), fc.boolean(), async (events, forgetful) => {
        const world = new World();
        world.forgetful = forgetful;
        world.desired = { "job-a": desiredJob("job-a") };
        await live(world, events);
        world.engine.unreachable = false;
        world.engine.loseNextAnswer = false;
        world.fuse = null;
        // A fresh attempt, as `submit` makes for a job that was given up meanwhile.
        const again = { ...desiredJob("job-a", 1_000) };
        world.desired = { ...world.desired, "job-a": again };
        if (world.desired["job-b"]) world.desired = { ...world.desired, "job-b": desiredJob("job-b", 1_000) };
        for (let i = 0; i < 60; i++) {
          await world.step();
          world.now_ms += 5_000;
        }
        expect(world.violations).toEqual([]);
        // Without records nobody knows of a job that runs and is not wanted any more: its name could be another
        // namespace's.
        const alive = world.engine
          .alive()
          .map(({ spec }) => spec.name)
          .filter((name) => !forgetful || world.desired[name]);
        expect(alive.sort()).toEqual(Object.keys(world.desired).sort());
      }),
      { numRuns: 300 },
    );
  });

  it("gives up after five failures, says so, and tries again when submitted anew", async () => {
    const world = new World();
    world.desired = { "job-a": desiredJob("job-a") };
    for (let i = 0; i < 200; i++) {
      const victim = world.engine.alive()[0];
      if (victim) world.engine.set(victim.handle.submission, { state: "failed", reason: "exit code 1" });
      await world.step();
      world.now_ms += 1_000;
    }
    expect(world.engine.submissions).toHaveLength(LIMITS.failures_max);
    expect(world.records?.["job-a"]).toMatchObject({
      gave_up: expect.any(String),
      last: { reason: "exit code 1" },
      restarts: LIMITS.failures_max - 1,
    });
    world.desired = { "job-a": desiredJob("job-a", 1) };
    await world.step();
    await world.step();
    expect(world.engine.alive()).toHaveLength(1);
    expect(world.records?.["job-a"]).toMatchObject({ gave_up: null, status: { state: "running" } });
  });

  it("a new supervisor that has not read what a job said does not take it for silent", async () => {
    const world = new World();
    world.desired = { "job-a": { ...desiredJob("job-a"), heartbeat_ms: 30_000 } };
    await world.step();
    await world.step();
    const { submission } = world.engine.alive()[0]!.handle;
    world.now_ms += 2 * LIMITS.start_ms;
    const said = { submission, at_ms: world.now_ms - 500, state: "running", error_code: null, message: null };
    // The follower gets there while the supervisor asks whether it has.
    let read = false;
    world.heartbeats = {
      of: () => (read ? said : null),
      caughtUp: async () => {
        read = true;
        return true;
      },
    };
    world.supervisor = null;
    await world.step();
    expect(world.engine.alive().map(({ handle }) => handle.submission)).toEqual([submission]);
    // One that has said nothing since is silent.
    world.now_ms += 60_000;
    await world.step();
    expect(world.records?.["job-a"]?.submission?.ending).toBe("silent");
  });

  it("adopts a job that runs without any record of it, and stops its twin", async () => {
    const world = new World();
    world.desired = { "job-a": desiredJob("job-a") };
    await world.step();
    const first = world.engine.alive()[0]!;
    const twin = `${first.handle.submission}x`;
    await world.engine.submit({ ...first.spec, submission: twin, params_path: `/p/${twin}` });
    world.records = null;
    world.supervisor = null;
    await world.step();
    expect(world.engine.alive().map(({ handle }) => handle.submission)).toEqual([first.handle.submission]);
    expect(world.records).toMatchObject({ "job-a": { submission: { submission: first.handle.submission } } });
  });

  describe("batches", () => {
    const MINUTE_MS = 60_000;
    // NOW is no whole minute: the first due time comes after it.
    const first = Math.ceil(NOW / MINUTE_MS) * MINUTE_MS;
    const batch = (times: Partial<DesiredJob>): DesiredJob => ({
      ...desiredJob("job-a"),
      finite: true,
      restarts: false,
      since_ms: NOW,
      ...times,
    });
    const end = (world: World, status: JobStatus) => {
      for (const { handle } of world.engine.alive()) {
        world.engine.set(handle.submission, status);
        const { submission } = handle;
        const report = {
          submission,
          at_ms: world.now_ms,
          state: status.state,
          error_code: null,
          message: null,
        };
        world.heartbeats = { of: () => report, caughtUp: async () => true };
      }
    };

    it("one by a schedule runs once for each due time, whatever the supervisor goes through", {
      tags: ["slow"],
    }, async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(fc.nat(12), { maxLength: 12 }), async (kills) => {
          const world = new World();
          world.desired = { "job-a": batch({ schedule: "* * * * *" }) };
          for (let second = 0; second < 250; second++) {
            if (second % 30 === 10) world.fuse = kills[Math.floor(second / 30)] ?? null;
            if (second % 7 === 0) end(world, { state: "succeeded" });
            await world.step();
            world.now_ms += 1_000;
          }
          world.fuse = null;
          for (let i = 0; i < 5; i++) {
            end(world, { state: "succeeded" });
            await world.step();
            world.now_ms += 1;
          }
          expect(world.violations).toEqual([]);
          const due = [...new Set(world.finished)];
          const times = Array.from({ length: 9 }, (_, i) => first + i * MINUTE_MS).filter(
            (t) => t <= world.now_ms,
          );
          expect(due).toEqual(times.map((time) => `job-a ${time}`));
          expect(world.engine.submissions).toHaveLength(times.length);
        }),
        { numRuns: 20 },
      );
    });

    it("one that is still at work when the next time comes is left alone, and one run makes up for the missed", async () => {
      const world = new World();
      world.desired = { "job-a": batch({ schedule: "* * * * *" }) };
      world.now_ms = first;
      for (let i = 0; i < 20; i++) {
        await world.step();
        world.now_ms += 10_000;
      }
      expect(world.engine.alive()).toHaveLength(1);
      expect(world.engine.submissions).toHaveLength(1);
      end(world, { state: "succeeded" });
      for (let i = 0; i < 3; i++) await world.step();
      expect(world.engine.submissions).toHaveLength(2);
      expect(world.records?.["job-a"]?.submission?.due_ms).toBe(first + 3 * MINUTE_MS);
    });

    it("one that failed waits for its next time, with the reason kept", async () => {
      const world = new World();
      world.desired = { "job-a": batch({ schedule: "* * * * *" }) };
      world.now_ms = first;
      await world.step();
      end(world, { state: "failed", reason: "exit code 1" });
      for (let i = 0; i < 30; i++) {
        await world.step();
        world.now_ms += 1_000;
      }
      expect(world.engine.submissions).toHaveLength(1);
      expect(world.records?.["job-a"]).toMatchObject({ last: { reason: "exit code 1" }, ran_ms: first });
      world.now_ms = first + MINUTE_MS;
      await world.step();
      expect(world.engine.submissions).toHaveLength(2);
    });

    it("one that its engine has lost is started again for the same time", async () => {
      const world = new World();
      world.desired = { "job-a": batch({ asked_ms: NOW }) };
      await world.step();
      await world.step();
      const { submission } = world.engine.alive()[0]!.handle;
      world.engine.forget(submission);
      for (let i = 0; i < 40; i++) {
        await world.step();
        world.now_ms += 1_000;
      }
      const again = world.engine.alive().map(({ handle }) => handle.submission);
      expect(again).toHaveLength(1);
      expect(again).not.toContain(submission);
      expect(world.records?.["job-a"]?.submission?.due_ms).toBe(NOW);
    });

    it("the event time that one was asked for is that run's, and not of those that the schedule brings", async () => {
      const world = new World();
      const span = { from_ms: 5, to_ms: 9 };
      const params = { due_ms: null, from_ms: null, to_ms: null };
      const job = batch({ schedule: "* * * * *", asked_ms: NOW });
      world.desired = { "job-a": { ...job, params, asked_span: span } };
      await world.step();
      end(world, { state: "succeeded" });
      await world.step();
      world.now_ms = first + MINUTE_MS;
      for (let i = 0; i < 3; i++) await world.step();
      expect(world.written).toMatchObject([
        { due_ms: NOW, ...span },
        { due_ms: first + MINUTE_MS, from_ms: null, to_ms: null },
      ]);
    });

    it("nothing is left to do once what was asked for has ended, and something is while a schedule stands", async () => {
      const world = new World();
      world.desired = { "job-a": batch({ asked_ms: NOW }) };
      const supervisor = world.start();
      const idle = async () => {
        const { idle } = await supervisor.tick();
        await supervisor.settled();
        return idle;
      };
      expect(await idle()).toBe(false);
      expect(await idle()).toBe(false);
      end(world, { state: "succeeded" });
      await idle();
      expect(await idle()).toBe(true);
      expect(world.engine.submissions).toHaveLength(1);
      world.desired = { "job-a": batch({ schedule: "0 0 1 1 *" }) };
      expect(await idle()).toBe(false);
    });
  });
});
