// The engines themselves: a private set on ports of its own comes up, each answers through its own API, a killed one is
// named and comes back, and nothing is left after `down`. Uses no shared set, because it kills.

import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import axios from "axios";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { unwell } from "../../cli/engines/status.ts";
import { PipelineError } from "../../contract/errors.ts";
import { alive } from "../../ground/identity.ts";
import { members } from "../../ground/process.ts";
import { startEngines } from "../../rehearse/line/engines.ts";
import { freePorts } from "../../rehearse/line/ports.ts";
import type { Settings } from "../../settings/settings.ts";
import { sharedClasses } from "../../topology/local/hooks/spark.ts";
import { down, type EngineEvent, startedSettings, status, up } from "../../topology/local/index.ts";
import { readRecord } from "../../topology/local/record.ts";

const root = join(import.meta.dirname, "..", "..", "..");
const NAMES = ["kafka", "registry", "spark-master", "spark-worker", "ray", "mlflow", "postgres"] as const;

const get = async <T>(url: string): Promise<T> => (await axios.get<T>(url, { proxy: false })).data;

describe("a private set of engines", () => {
  const home = mkdtempSync(join(tmpdir(), "mr-"));
  const events: EngineEvent[] = [];
  let settings: Settings;

  beforeAll(async () => {
    settings = await startEngines({ root, home, ports: await freePorts() }, { on: (e) => events.push(e) });
  });
  afterAll(async () => {
    if (settings) await down(settings);
    rmSync(home, { recursive: true, force: true });
  });

  /** What was not asked for is not there. */
  const wanted = async () => (await status(settings)).filter((engine) => engine.wanted);

  it("tells each engine's start and when it is ready, the worker after its master", () => {
    const order = events.map(({ engine, state }) => `${engine} ${state}`);
    for (const name of NAMES)
      expect(order.indexOf(`${name} ready`)).toBeGreaterThan(order.indexOf(`${name} starting`));
    expect(order.indexOf("spark-worker starting")).toBeGreaterThan(order.indexOf("spark-master ready"));
  });

  it("answers through each engine's own API", async () => {
    expect((await wanted()).map(({ name, state }) => [name, state])).toEqual(
      NAMES.map((name) => [name, "up"]),
    );
    expect(await get(`${settings.registryUrl}/subjects`)).toEqual([]);
    const master = await get<{ workers: { cores: number }[]; status: string }>(
      `${settings.sparkUiUrl}/json/`,
    );
    expect(master).toMatchObject({ status: "ALIVE", workers: [{ cores: 16 }] });
    expect(await get(`${settings.rayUrl}/api/jobs/`)).toEqual([]);
    expect(await get(`${settings.mlflowUrl}/api/2.0/mlflow/experiments/search?max_results=1`)).toMatchObject({
      experiments: [{ artifact_location: expect.stringMatching(/^mlflow-artifacts:/) }],
    });
  });

  it("opens every fixed port on loopback only", () => {
    const open = readFileSync("/proc/net/tcp", "utf8") + readFileSync("/proc/net/tcp6", "utf8");
    const ours = new Set(Object.values(settings.ports));
    const wide = open
      .split("\n")
      .map((line) => line.trim().split(/\s+/))
      .filter((field) => field[3] === "0A" && /^0+:/.test(field[1]!))
      .map((field) => Number.parseInt(field[1]!.split(":")[1]!, 16))
      .filter((port) => ours.has(port));
    expect(wide).toEqual([]);
  });

  it("shares the archive of Spark's classes that set-up made, which a JVM would do without in silence", () => {
    const archive = sharedClasses(settings);
    for (const name of ["spark-master", "spark-worker"]) {
      const maps = readFileSync(`/proc/${readRecord(settings, name)!.pid}/smaps`, "utf8");
      const mapped = maps.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m).filter((part) => part.includes(archive));
      expect([name, mapped.length > 0]).toEqual([name, existsSync(archive)]);
      const kilobytes = (what: string) =>
        mapped.reduce((sum, part) => sum + Number(new RegExp(`^${what}: +(\\d+) kB`, "m").exec(part)![1]), 0);
      // A JVM that moved it has written to nearly all of it; one that did not, to the part that is its own.
      expect(kilobytes("Private_Dirty")).toBeLessThanOrEqual(kilobytes("Rss") / 2);
    }
  });

  it("leaves settings from which another process can use the set", () => {
    expect(startedSettings(home)).toEqual(settings);
  });

  it("refuses a second set on the same ports, naming holder and setting", async () => {
    const other = mkdtempSync(join(tmpdir(), "mr-"));
    try {
      const error = await up({ ...settings, home: other }).catch((e: unknown) => e);
      expect(error).toBeInstanceOf(PipelineError);
      expect((error as PipelineError).code).toBe("config_invalid");
      expect((error as Error).message).toMatch(
        new RegExp(
          `port ${settings.ports.kafka} for "kafka" is in use by java \\(pid \\d+\\), set MILLRACE_KAFKA_PORT`,
        ),
      );
    } finally {
      rmSync(other, { recursive: true, force: true });
    }
  });

  it("names an engine that was killed, and up starts that one alone", async () => {
    const registry = readRecord(settings, "registry")!;
    process.kill(registry.pid, "SIGKILL");
    const killed = await expect
      .poll(() => status(settings), { timeout: 10_000 })
      .toSatisfy((rows: Awaited<ReturnType<typeof status>>) => rows.some(({ state }) => state === "died"))
      .then(() => status(settings));
    const broken = killed.filter(({ state, wanted }) => wanted && state !== "up");
    expect(broken.map(({ name, state }) => [name, state])).toEqual([["registry", "died"]]);
    expect(unwell(broken)).toMatchObject({
      code: "registry_unreachable",
      message: `Cannot use the engines: "registry" at "${settings.registryUrl}" has died; start the engines with "millrace up"`,
    });
    const again: string[] = [];
    await up(settings, { on: ({ engine, state }) => state === "starting" && again.push(engine) });
    expect(again).toEqual(["registry"]);
    expect((await wanted()).every(({ state }) => state === "up")).toBe(true);
  });

  it("leaves no process, and only stops what it started", async () => {
    const records = NAMES.map((name) => readRecord(settings, name)!);
    const all = records.flatMap((record) => members(record));
    expect(all.length).toBeGreaterThan(NAMES.length);
    expect(await down(settings)).toHaveLength(NAMES.length);
    expect(all.filter(alive)).toEqual([]);
    expect(records.flatMap((record) => members(record))).toEqual([]);
    expect((await wanted()).map(({ state }) => state)).toEqual(NAMES.map(() => "stopped"));
    expect(await down(settings)).toEqual([]);
  });
});
