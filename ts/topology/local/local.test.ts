import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { until } from "../../ground/until.ts";
import { enginesDir, type Settings, settingsOf } from "../../settings/settings.ts";
import { SERVICES } from "../services.ts";
import { checkHealth } from "./health.ts";
import { rayFolder } from "./hooks/ray.ts";
import { engineNames, status } from "./index.ts";
import { prepare } from "./prepare.ts";
import { writeRecord } from "./record.ts";
import { hookOf, localService, TOPOLOGY } from "./topology.ts";

const serviceOf = (name: string) => SERVICES.find((service) => service.name === name)!;
/** What is run of a service, once all is there that it needs. */
const prepared = (settings: Settings, name: string) => {
  const service = serviceOf(name);
  return prepare(localService(settings, service), hookOf(TOPOLOGY, service));
};

describe("the Kafka check", () => {
  it("says in one line that nobody listens, without asking twice", async () => {
    const settings = settingsOf("/repo", { ports: { kafka: 1 } });
    const { done, seen } = await checkHealth(localService(settings, serviceOf("kafka")));
    expect(done).toBe(false);
    expect(seen).toMatch(/^127\.0\.0\.1:1: .*ECONNREFUSED/);
  });
});

describe("rayFolder()", () => {
  it("stays below the engines' folder while sockets fit", () => {
    expect(rayFolder("/repo/.millrace/engines/ray")).toBe("/repo/.millrace/engines/ray/t");
  });
  it("moves to the temporary folder when they would not, one folder a home", () => {
    const deep = `/a/${"deep/".repeat(10)}ray`;
    expect(rayFolder(deep, "/tmp")).toMatch(/^\/tmp\/millrace-ray-[0-9a-f]{8}$/);
    expect(rayFolder(deep, "/tmp")).not.toBe(rayFolder(`${deep}2`, "/tmp"));
  });
  it.each([
    [
      "/people/runner/work/weather-pipeline/weather-pipeline/.millrace",
      "/people/runner/work/_temp/_github_home/tmp",
    ],
    [
      "/people/somebody/projects/weather/.millrace",
      "/net/cluster/people/somebody/slurm_jobdir/1355700/tmp.t0016",
    ],
    // 43 characters, but more bytes.
    [`/${"ü".repeat(32)}`, `/${"ü".repeat(20)}`],
    ["/ho me", "/t #1"],
  ])("is short and plain for any home and TMPDIR: %s, %s", (home, temporary) => {
    const folder = rayFolder(`${home}/engines/ray`, temporary);
    // Source: unix(7): 108 bytes with the zero at the end; Ray's own part of the path has 64.
    expect(Buffer.byteLength(folder) + 64).toBeLessThan(108);
    expect(folder).toMatch(/^[\w./-]+$/);
  });
  it("names TMPDIR when its folder cannot be made", async () => {
    const home = mkdtempSync(join(tmpdir(), "ray-"));
    const deep = join(home, "a".repeat(60));
    const temporary = process.env["TMPDIR"];
    // A file where a folder is wanted.
    process.env["TMPDIR"] = "/dev/null";
    try {
      await expect(prepared(settingsOf("/repo", { home: deep }), "ray")).rejects.toThrow(/TMPDIR/);
    } finally {
      if (temporary === undefined) delete process.env["TMPDIR"];
      else process.env["TMPDIR"] = temporary;
      rmSync(home, { recursive: true, force: true });
    }
  });
});

describe("a home with a blank, a # and a letter outside ASCII", () => {
  const root = join(import.meta.dirname, "..", "..", "..");
  const home = mkdtempSync(join(tmpdir(), "ho me #1 ü, "));
  const settings = settingsOf(root, { home });
  afterAll(() => rmSync(home, { recursive: true, force: true }));

  it.each(["spark-master", "spark-worker", "registry", "mlflow", "ray"])(
    "stands in no option, URL or list of %s: whole arguments only",
    async (name) => {
      const { args, env } = await prepared(settings, name);
      for (const text of [...args, ...Object.values(env)])
        if (text.includes(home)) expect(text.startsWith(home)).toBe(true);
      expect(env["SPARK_MASTER_OPTS"] ?? "").not.toContain(home);
    },
  );

  it("is where Kafka formats its storage", { timeout: 60_000, tags: ["slow"] }, async () => {
    await prepared(settings, "kafka");
    expect(existsSync(join(enginesDir(settings), "kafka", "data", "meta.properties"))).toBe(true);
  });
});

describe("what is optional", () => {
  const home = mkdtempSync(join(tmpdir(), "engines-"));
  const settings = settingsOf("/repo", { home });
  const HDFS = ["hdfs-namenode", "hdfs-datanode"];
  const named = (asked?: "hdfs"[]) => engineNames(settings, asked).filter((name) => HDFS.includes(name));
  const wanted = async (given: Settings = settings) =>
    (await status(given, "hdfs")).map((engine) => engine.wanted);
  afterAll(() => rmSync(home, { recursive: true, force: true }));

  it("is started when it is asked for, and is no fault before", async () => {
    expect(named()).toEqual([]);
    expect(named(["hdfs"])).toEqual(HDFS);
    expect(await wanted()).toEqual([false, false]);
  });

  it("is a fault while an archive's path leads there", async () => {
    expect(await wanted({ ...settings, archive: "hdfs:/archive" })).toEqual([true, true]);
    expect(await wanted({ ...settings, archive: "hdfs://elsewhere:8020/archive" })).toEqual([false, false]);
  });

  it("comes back with every up once it was started", async () => {
    mkdirSync(enginesDir(settings), { recursive: true });
    for (const name of ["hdfs-namenode", "hdfs-datanode"] as const)
      writeRecord(settings, { name, pid: 0, start: "", mark: "", ports: {}, log: "", started_ms: 0 });
    expect(named()).toEqual(HDFS);
    expect((await status(settings, "hdfs")).map(({ state, wanted }) => [state, wanted])).toEqual([
      ["died", true],
      ["died", true],
    ]);
  });
});

describe("until()", () => {
  it("looks once even when the deadline has passed, and hands back what it saw", async () => {
    expect(await until(() => ({ done: false, seen: "closed" }), { deadline_ms: 0 })).toEqual({
      done: false,
      seen: "closed",
    });
  });
  it("stops when the signal fires", async () => {
    const stop = new AbortController();
    const waiting = until(() => ({ done: false, seen: 0 }), {
      deadline_ms: 60_000,
      interval_ms: 1,
      signal: stop.signal,
    });
    stop.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
  });
});
