// The commands about jobs where nothing runs: what they print, what they refuse, and that a missing engine is named with its
// address and the next step, without a stack. With engines they are in test/cluster.

import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { describe, expect, it } from "vitest";
import { typesOf } from "../../jobs/index.ts";
import { isShared, pipelineOf } from "../../pipelines/index.ts";
import { settingsOf } from "../../settings/settings.ts";
import { changeDesired, type DesiredJob, readDesired } from "../../supervise/desired.ts";
import { writeRecords } from "../../supervise/run.ts";
import { countersLine, forPipeline } from "../batch.ts";
import { parseInteger, parseTime, positive, timesOf } from "../flags.ts";
import { allJobs } from "./jobs.ts";
import { fresh } from "./logs.ts";
import { jobNamed } from "./submit.ts";

const root = join(import.meta.dirname, "..", "..", "..");
const home = () => mkdtempSync(join(tmpdir(), "millrace-cli-"));

/** Ports where nobody listens: below 1100 nothing of a normal machine does. */
const NOBODY = {
  MILLRACE_KAFKA_PORT: "1027",
  MILLRACE_REGISTRY_PORT: "1028",
  MILLRACE_SPARK_UI_PORT: "1029",
  MILLRACE_SPARK_REST_PORT: "1030",
  MILLRACE_RAY_DASHBOARD_PORT: "1031",
};

async function millrace(words: readonly string[], env: Record<string, string> = {}) {
  const { stdout, stderr, exitCode } = await execa(join(root, "bin", "millrace"), words, {
    env: { ...NOBODY, MILLRACE_HOME: home(), MILLRACE_NAMESPACE: "", ...env },
    reject: false,
  });
  return { stdout, stderr, exitCode };
}

// Each asks a port where nobody listens several times over some seconds before it gives up.
describe("an engine that is down", { timeout: 60_000, tags: ["slow"] }, () => {
  // Side by side: each is asked a few times before the command gives up.
  it.concurrent.each([
    [["apply"], "schema registry", "http://127.0.0.1:1028"],
    [["stop", "weather-features"], "master", "http://127.0.0.1:1029"],
    [["stop", "weather-infer"], "Ray", "http://127.0.0.1:1031"],
  ])(
    "millrace %s names it, its address and the next step, and exits with 3",
    async (words, engine, address) => {
      const { stderr, exitCode } = await millrace(words);
      expect(exitCode).toBe(3);
      expect(stderr).toContain(engine);
      expect(stderr).toContain(address);
      expect(stderr).toContain("millrace up");
      expect(stderr).not.toMatch(/^\s+at /m);
    },
  );
});

describe("what makes no sense", { tags: ["slow"] }, () => {
  it.each([
    [["submit", "weather-nonsense"], 2, /weather-nonsense.*expected one of weather-/],
    [["submit", "weather-train"], 1, /apply/],
    [["submit"], 1, /millrace apply/],
    [["submit", "weather-replay"], 2, /expected its file/],
    [["seed", "--cutover", "yesterday"], 2, /--cutover/],
    [["train", "--cut", "2016-12-01T00:00:00Z", "--learning-rate", "2"], 2, /--learning-rate "2"/],
    [["logs", "weather-infer", "--tail", "none"], 2, /--tail "none"/],
    [["apply", "--observation", "/nowhere.avsc"], 2, /nowhere\.avsc/],
  ])("millrace %s is refused", async (words, code, message) => {
    const { stderr, exitCode } = await millrace(words);
    expect(stderr).toMatch(message);
    expect(exitCode).toBe(code);
  });
});

it("every job is listed, also where nothing was ever started", { tags: ["slow"] }, async () => {
  const { stdout, exitCode } = await millrace(["submit", "--list", "--json"]);
  expect(exitCode).toBe(0);
  const rows = JSON.parse(stdout) as { name: string; engine: string; state: string }[];
  expect(rows.map(({ name, engine }) => `${name} ${engine}`)).toEqual(
    typesOf(pipelineOf("weather").pipeline).map(
      ({ name, engine }) => `${isShared(name) ? name : `weather-${name}`} ${engine}`,
    ),
  );
  expect(new Set(rows.map(({ state }) => state))).toEqual(new Set(["stopped"]));
});

const job: DesiredJob = {
  name: "serve",
  pipeline: "",
  launch: { engine: "process", command: "/bin/false", arguments: [] },
  params: null,
  code: "",
  heartbeat_ms: null,
  stop_ms: 1,
  finite: false,
  restarts: true,
  schedule: null,
  since_ms: 0,
  asked_ms: null,
  attempt: 0,
};

it("millrace stop ends by its name a job whose pipeline's folder is gone, and no other", {
  tags: ["slow"],
}, async () => {
  const settings = settingsOf(root, { home: home() });
  const env = { MILLRACE_HOME: settings.home };
  await changeDesired(settings, () => ({
    "works-replay": { ...job, name: "works-replay", pipeline: "works" },
    "works-tail": { ...job, name: "works-tail", pipeline: "works" },
  }));
  expect(await millrace(["stop", "works-replay", "--json"], env)).toMatchObject({
    stdout: '{"stopped":["works-replay"]}',
    exitCode: 0,
  });
  expect(Object.keys(readDesired(settings))).toEqual(["works-tail"]);
  expect(await millrace(["stop", "works-replay"], env)).toMatchObject({
    stderr: expect.stringContaining("works-replay"),
    exitCode: 2,
  });
});

it("allJobs() says what was given up and why, and what nobody watches", async () => {
  const settings = settingsOf(root, { home: home() });
  await changeDesired(settings, () => ({
    serve: job,
    "weather-infer": { ...job, name: "weather-infer" },
  }));
  writeRecords(settings, {
    serve: {
      engine: "process",
      submission: null,
      status: null,
      failures: [],
      gave_up: "12345678",
      done: null,
      restarts: 4,
      last: { submission: "s", id: "1", at_ms: 0, reason: "it ended with exit code 1" },
    },
  });
  const rows = new Map(allJobs(settings).map((row) => [row.name, row]));
  expect(rows.get("serve")).toMatchObject({
    state: "failed",
    reason: "given up: it ended with exit code 1",
    gave_up: true,
    restarts: 4,
  });
  expect(rows.get("weather-infer")).toMatchObject({
    desired: true,
    state: "unknown",
    reason: expect.stringContaining("no supervisor"),
  });
});

it("jobNamed() takes full names and short ones", () => {
  const settings = settingsOf(root, { home: home(), namespace: "x" });
  const features = { pipeline: "weather", job: "features", name: "weather-features" };
  expect(jobNamed(settings, "weather-features")).toEqual(features);
  expect(jobNamed(settings, "features")).toEqual(features);
  expect(() => jobNamed(settings, "x-weather-features")).toThrow("x-weather-features");
});

it("fresh() gives the lines behind those already printed, and all of a new log", () => {
  expect(fresh(["a", "b"], ["a", "b", "c", "d"])).toEqual(["c", "d"]);
  expect(fresh(["a", "b", "b"], ["b", "b", "c"])).toEqual(["b", "b", "c"]);
  expect(fresh(["a", "b"], ["a", "b"])).toEqual([]);
  expect(fresh(["a"], ["x", "y"])).toEqual(["x", "y"]);
  expect(fresh([""], ["x"])).toEqual(["x"]);
});

it("countersLine() shows whole numbers with separators and leaves out what is no number", () => {
  expect(countersLine({ input_rows: 1_234_567, rate: 0.123456, none: Number.NaN })).toBe(
    "input_rows 1,234,567 · rate 0.1235",
  );
});

describe("what a batch command is asked for", () => {
  it("forPipeline() takes the settings' pipeline, or a known one by name", () => {
    const settings = settingsOf("/repo", { home: "/tmp/x" });
    expect(forPipeline(settings, undefined)).toBe(settings);
    expect(forPipeline(settings, "weather").pipeline).toBe("weather");
    expect(() => forPipeline(settings, "tides")).toThrow(
      'pipeline "tides": expected one of city, meters, weather',
    );
  });

  it.each([
    "0x10",
    "0b1",
    "0o7",
    " 5",
    "5 ",
    "",
    "+",
    "-",
    "1_000",
    "1e",
    "Infinity",
    "NaN",
    "５",
    "1,5",
    "99999999999999999999",
  ])("takes %j for no number", (word) => {
    expect(() => parseInteger("--trees", word)).toThrow("--trees");
    if (!word.startsWith("9")) expect(() => positive("--wait", word)).toThrow("--wait");
  });

  it.each([
    "2016",
    "201612",
    "20161201",
    "1480550400",
    "",
    " ",
    "0x15a",
    "1e12",
    "2016-W48-4",
    "2016-12-01T24:00:00Z",
  ])("timeOf() takes %j for no time: a year, a day or seconds are no epoch milliseconds", (word) =>
    expect(() => parseTime("--from", word)).toThrow("--from"),
  );

  it.each([
    ["2017-01-01", "2016-01-01"],
    ["2017-01-01", "2017-01-01T00:00:00Z"],
  ])("timesOf() refuses %s to %s, which nothing is in", (from, to) => {
    expect(() => timesOf(from, to)).toThrow(`after that of --from "${from}"`);
    expect(timesOf(undefined, to).from_ms).toBeNull();
    expect(timesOf(from, undefined).to_ms).toBeNull();
  });

  it("timeOf() takes a date for its first moment in UTC", () => {
    expect(parseTime("--from", "2016-12-01")).toBe(Date.UTC(2016, 11, 1));
    expect(parseTime("--from", "2016-12-01T01:00:00+01:00")).toBe(Date.UTC(2016, 11, 1));
    expect(() => parseTime("--from", "2016-12-32")).toThrow("--from");
    expect(() => parseTime("--from", "2016-12-01T01:00:00")).toThrow("--from");
  });
});
