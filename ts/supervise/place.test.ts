import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { PipelineError } from "../contract/index.ts";
import { tables } from "../jobs/plan/tables.ts";
import { freePorts } from "../rehearse/line/ports.ts";
import { type Settings, settingsOf } from "../settings/settings.ts";
import { requirePlace } from "./place.ts";

const home = mkdtempSync(join(tmpdir(), "place-"));
afterAll(() => rmSync(home, { recursive: true, force: true }));
let settings: Settings;
beforeAll(async () => {
  settings = settingsOf("/repo", { home, namespace: "x", ports: await freePorts() });
});

const requireArchive = (archive: string | null) => {
  const at = { ...settings, archive };
  return requirePlace(at, tables(at).archive);
};

async function refusal(archive: string): Promise<string> {
  const error = await requireArchive(archive).catch((e: unknown) => e);
  if (!(error instanceof PipelineError)) throw error ?? new Error("not refused");
  expect(error.code).toBe("store_unreachable");
  return error.message;
}

it("asks nothing about folders and s3a:", async () => {
  for (const archive of [null, "/archive", "file:/archive", "s3a://bucket/archive"])
    await requireArchive(archive);
});

it("names each part of our HDFS that is not there, its address, and the next step", async () => {
  const { host, ports, hdfsUrl } = settings;
  expect(await refusal("hdfs:/archive")).toBe(
    `Cannot reach archive "${hdfsUrl}/archive/x/weather-archive": expected HDFS to work, "hdfs-namenode" at "${hdfsUrl}" is not running, "hdfs-datanode" at "${host}:${ports.hdfsData}" is not running; start it with "millrace up --with hdfs"`,
  );
});

it("finds another HDFS by its address", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as { port: number };
  const archive = `hdfs://127.0.0.1:${port}/archive`;
  await requireArchive(archive);
  await new Promise((resolve) => server.close(resolve));
  expect(await refusal(archive)).toContain(
    `expected a NameNode at "127.0.0.1:${port}", got ECONNREFUSED; start that HDFS, or correct MILLRACE_ARCHIVE`,
  );
});
