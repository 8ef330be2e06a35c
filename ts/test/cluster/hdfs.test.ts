// HDFS beside the other engines: it is started only when asked for, and outlives kill -9 with what it held. An archive on it,
// from the first record to a backfill, with kills: `millrace prove --only archive --with hdfs`.

import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import axios from "axios";
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { unwell } from "../../cli/engines/status.ts";
import { tables } from "../../jobs/plan/tables.ts";
import { enginesDir, type Settings } from "../../settings/settings.ts";
import { requirePlace } from "../../supervise/place.ts";
import { down, type EngineEvent, status, up } from "../../topology/local/index.ts";
import { readRecord } from "../../topology/local/record.ts";

const shared = inject("engines");
// A home of its own, to which the others are clusters that exist: up and down touch HDFS alone.
const home = mkdtempSync(join(tmpdir(), "mr-"));
const plain: Settings = {
  ...shared,
  home,
  external: ["kafka", "registry", "spark", "ray", "mlflow", "postgres"],
};
const settings: Settings = { ...plain, archive: "hdfs:/archive" };
const NAMES = ["hdfs-namenode", "hdfs-datanode"] as const;
const web = `http://${shared.host}:${shared.ports.hdfsUi}/webhdfs/v1`;
const version = () =>
  readFileSync(join(enginesDir(plain), "hdfs-namenode", "names", "current", "VERSION"), "utf8");

const events: EngineEvent[] = [];
const parts = async () =>
  (await status(plain, "hdfs")).map(({ name, state, wanted }) => [name, state, wanted]);

beforeAll(async () => {
  expect(await parts()).toEqual(NAMES.map((name) => [name, "stopped", false]));
  await expect(requirePlace(settings, tables(settings).archive)).rejects.toMatchObject({
    code: "store_unreachable",
  });
  await up(plain, { with: ["hdfs"], on: (event) => events.push(event) });
});
afterAll(async () => {
  expect(await down(plain)).toHaveLength(2);
  expect(await parts()).toEqual(NAMES.map((name) => [name, "stopped", false]));
  rmSync(home, { recursive: true, force: true });
});

it("starts NameNode and DataNode alone, on loopback, and says how long it took", async () => {
  expect(events.filter(({ state }) => state === "starting").map(({ engine }) => engine)).toEqual(NAMES);
  for (const { engine, elapsed_ms } of events.filter(({ state }) => state === "ready"))
    console.log(`${engine}: ready after ${elapsed_ms} ms`);
  expect(await parts()).toEqual(NAMES.map((name) => [name, "up", true]));
  const open = readFileSync("/proc/net/tcp", "utf8") + readFileSync("/proc/net/tcp6", "utf8");
  const { hdfs, hdfsUi, hdfsData, hdfsDataUi, hdfsDataIpc } = shared.ports;
  const listening = open
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter((field) => field[3] === "0A")
    .map((field) => field[1]!.split(":") as [string, string])
    .map(([address, port]) => ({ wide: /^0+$/.test(address), port: Number.parseInt(port, 16) }));
  for (const port of [hdfs, hdfsUi, hdfsData, hdfsDataUi, hdfsDataIpc])
    expect(listening.filter((socket) => socket.port === port)).toMatchObject([{ wide: false }]);
});

it("keeps names and bytes over kill -9 of both, and is formatted once", async () => {
  const bytes = "kept ".repeat(1000);
  // Not fetch, which has no patience with the "100 Continue" that comes first.
  expect((await axios.put(`${web}/kept.txt?op=CREATE`, bytes, { proxy: false })).status).toBe(201);
  const formatted = version();
  for (const name of NAMES) process.kill(readRecord(plain, name)!.pid, "SIGKILL");
  const killed = await expect
    .poll(parts, { timeout: 10_000 })
    .toEqual(NAMES.map((name) => [name, "died", true]))
    .then(() => status(plain, "hdfs"));
  expect(unwell(killed).message).toContain('start the engines with "millrace up --with hdfs"');
  // A start that is refused forgets nothing: the next one knows what ran.
  const holder = createServer().listen(plain.ports.hdfsUi, plain.host);
  await once(holder, "listening");
  await expect(up(plain)).rejects.toMatchObject({
    code: "config_invalid",
    message: expect.stringContaining(`port ${plain.ports.hdfsUi} for "hdfs-namenode" is in use`),
  });
  holder.close();
  await once(holder, "close");
  const again: string[] = [];
  // It was started before and nobody stopped it: it comes back without being asked for again.
  const on = ({ engine, state }: EngineEvent) => state === "starting" && again.push(engine);
  await up(plain, { on });
  expect(again).toEqual(NAMES);
  expect((await axios.get<string>(`${web}/kept.txt?op=OPEN`, { proxy: false })).data).toBe(bytes);
  expect(version()).toBe(formatted);
});
