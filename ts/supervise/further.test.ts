// A pipeline of another shape in a folder outside the checkout: copied to an empty place, generated, applied, planned and described
// there, and gone with its folder.

import { execFileSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { jobNamed } from "../cli/jobs/submit.ts";
import { generate } from "../codegen/generate.ts";
import { jobsOf, jobTypeOf } from "../jobs/index.ts";
import { addPipelines, pipelineNames, pipelineOf } from "../pipelines/index.ts";
import { settingsFrom } from "../settings/environment.ts";
import { type Settings, stateDir } from "../settings/settings.ts";
import { fakeKafka } from "../test/fakes/kafka.ts";
import { memoryRegistry } from "../test/fakes/registry.ts";
import { apply } from "./apply.ts";
import { writeSettings } from "./namespace.ts";
import { codeOf, settingOf } from "./submit.ts";

const root = join(import.meta.dirname, "..", "..");
let place = "";
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), "further-"));
  cpSync(join(root, "ts/test/pipelines/works"), join(place, "mine", "works"), { recursive: true });
});
afterEach(() => {
  addPipelines(null);
  rmSync(place, { recursive: true, force: true });
});

const mine = () => join(place, "mine");
const make = (check = false) => generate({ root, check, pipelines: mine() });
const settings = (flags: object = { pipelines: mine(), pipeline: "works" }): Settings =>
  settingsFrom(root, { MILLRACE_HOME: join(place, "home") }, { namespace: "x", ...flags });

describe("a folder of pipelines outside the checkout", () => {
  it("gets its generated files, and nothing else in it is touched", () => {
    const paths = make().map(({ path }) => path);
    expect(paths).toEqual([
      "generated/pyspark/spark_jobs/generated/works_contract.py",
      "generated/pyspark/spark_jobs/generated/works_streams.py",
      "generated/schemas/works_notice.json",
      "generated/schemas/works_notice.proto",
      "generated/schemas/works_rejects.avsc",
      "generated/works.ts",
    ]);
    expect(make(true)).toEqual([]);
    expect(readdirSync(join(mine(), "works")).sort()).toEqual(["pipeline.ts", "works_notice.avsc"]);
    expect(generate({ root, check: true })).toEqual([]);
  });

  it("is found by its name alone, and says what to run before it was generated", () => {
    settings();
    expect(pipelineNames()).toEqual(["city", "meters", "weather", "works"]);
    // The others are no worse for it.
    expect(jobNamed(settings(), "weather-features").job).toBe("features");
    expect(() => pipelineOf("works")).toThrow(`run "millrace generate --pipelines ${mine()}"`);
    make();
    const { pipeline, contract } = pipelineOf("works");
    expect(contract).toMatchObject({ pipeline: "works", entity: "site", parts: ["archive"] });
    expect([...jobsOf(pipeline)].sort()).toEqual(["archive", "refuse", "replay"]);
    expect(jobNamed(settings(), "works-archive").job).toBe("archive");
    expect(() => jobNamed(settings({ pipelines: mine() }), "works-features")).toThrow(
      "expected one of works-replay, works-archive",
    );
  });

  it("is applied: the topics and subjects of its parts, and no other", async () => {
    make();
    const kafka = fakeKafka();
    const report = await apply({ settings: settings(), kafka, registry: memoryRegistry() });
    expect(report.subjects.map(({ subject }) => subject)).toEqual([
      "x-works-raw-value",
      "x-works-cursors-value",
      "x-works-rejects-value",
      "x-job-progress-value",
    ]);
    expect((await kafka.admin.topics()).sort()).toEqual([
      "x-job-progress",
      "x-works-cursors",
      "x-works-raw",
      "x-works-rejects",
    ]);
    // Whoever comes next to this namespace finds them without being told.
    addPipelines(null);
    expect(settings({ pipeline: "works" }).pipelines).toBe(mine());
    expect(pipelineNames()).toContain("works");
  });

  it("may claim paths of the API that nobody else does: a second claim is refused, naming both", async () => {
    const file = (name: string) => join(mine(), name, "pipeline.ts");
    const served = readFileSync(file("works"), "utf8").replace(
      "archive:",
      'serve: { silent_ms: 60_000, routes: ["/api/sites/{site_id}"] },\n  archive:',
    );
    writeFileSync(file("works"), served);
    cpSync(join(mine(), "works"), join(mine(), "digs"), { recursive: true });
    const second = (path: string) =>
      writeFileSync(
        file("digs"),
        served.replaceAll(/\bworks\b(?!_)/g, "digs").replace("/api/sites/{site_id}", path),
      );
    second("/api/sites/all");
    make();
    const kafka = fakeKafka();
    const registry = memoryRegistry();
    await apply({ settings: settings(), kafka, registry });
    const before = (await kafka.admin.topics()).sort();
    const both = { pipelines: mine(), pipeline: "digs" };
    await expect(apply({ settings: settings(both), kafka, registry })).rejects.toThrow(
      'Cannot apply pipeline "digs" with its route "/api/sites/all": expected a path that no other pipeline claims, got "/api/sites/{site_id}" of pipeline "works"',
    );
    expect((await kafka.admin.topics()).sort()).toEqual(before);
    second("/stations/all");
    // A definition is loaded once a process: from another place it is another one.
    cpSync(mine(), join(place, "moved"), { recursive: true });
    const moved = { pipelines: join(place, "moved"), pipeline: "digs" };
    await expect(apply({ settings: settings(moved), kafka, registry })).rejects.toThrow(
      'one that the general routes "/stations" have',
    );
  });

  it("brings its Python between the checkout's, under one digest of both", {
    timeout: 30_000,
    tags: ["slow"],
  }, async () => {
    make();
    const kafka = fakeKafka();
    const at = settings();
    await apply({ settings: at, kafka, registry: memoryRegistry() });
    const setting = settingOf(at);
    const { launch, code } = jobTypeOf(setting.pipeline, "archive").plan(setting, {});
    if (launch.engine !== "spark") throw new Error("not on Spark");
    expect(launch.entrypoint).toBe(
      join(stateDir(at), "code", "pyspark", code, "spark_jobs", "generated", "works_streams.py"),
    );
    const said = execFileSync(join(root, ".venv/bin/python"), [launch.entrypoint, "--describe"], {
      encoding: "utf8",
    });
    const made = {
      fingerprint: setting.contract.fingerprint,
      fields: { site_id: null, state: null, until: null },
    };
    expect(JSON.parse(said)).toMatchObject({
      application: "works-streams",
      members: [
        { ...made, job: "works-archive" },
        { ...made, job: "works-refuse" },
      ],
    });
    // Another file of its own is other code; the checkout's pipelines run theirs as it lies.
    mkdirSync(join(mine(), "works", "pyspark", "spark_jobs", "works"), { recursive: true });
    writeFileSync(join(mine(), "works", "pyspark", "spark_jobs", "works", "own.py"), "");
    const { code: after, folders } = codeOf(at);
    expect(after.spark).not.toBe(code);
    expect(existsSync(join(folders.spark, "spark_jobs", "works", "own.py"))).toBe(true);
    expect(existsSync(launch.entrypoint)).toBe(true);
    expect(codeOf(settings({ pipeline: "weather" })).folders.spark).toBe(join(root, "jobs", "pyspark"));
  });

  it("is gone with its folder, and a supervisor of the namespace goes on", () => {
    make();
    const at = settings();
    writeSettings(at);
    rmSync(mine(), { recursive: true });
    settingsFrom(root, {}, { settings: join(stateDir(at), "settings.json") });
    expect(pipelineNames()).toEqual(["city", "meters", "weather"]);
    expect(() => settings()).toThrow(`Cannot read pipelines in "${mine()}"`);
    expect(settings({}).pipelines).toBe(mine());
    expect(settings({ pipelines: "" }).pipelines).toBeNull();
  });

  it.each([
    [
      "another name",
      'export const roads = { name: "roads" };',
      'export the pipeline "works" under that name, got roads',
    ],
    ["one that calls itself otherwise", 'export const works = { name: "roads" };', 'calls itself "roads"'],
    ["no TypeScript", "export const works = ;", "got an error"],
  ])("refuses a file with %s", (_, text, words) => {
    writeFileSync(join(mine(), "works", "pipeline.ts"), text);
    expect(() => make()).toThrow(words);
  });

  it("refuses a contract that is not there, and a name of the checkout", () => {
    rmSync(join(mine(), "works", "works_notice.avsc"));
    expect(() => make()).toThrow(
      'Cannot use pipeline "works" at streams.raw.observation: expected its contract in',
    );
    cpSync(join(root, "ts/pipelines/meters"), join(mine(), "meters"), { recursive: true });
    expect(() => make()).toThrow('expected names that the checkout does not have, got "meters"');
    settings();
    expect(() => pipelineNames()).toThrow('expected names that the checkout does not have, got "meters"');
  });
});
