// Records of a stream as JSON Lines on a real HDFS, written by the process the supervisor would run, which is killed in the middle. A
// reader that never stops sees whole lines only; NameNode and DataNode may go and come back.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { pause } from "../../ground/pause.ts";
import { until } from "../../ground/until.ts";
import { tables } from "../../jobs/plan/tables.ts";
import { connectKafka } from "../../kafka/client.ts";
import { readAll } from "../../kafka/kafka.ts";
import { connectRegistry } from "../../kafka/registry.ts";
import { hourFile } from "../../lines/layout.ts";
import { readPosition } from "../../lines/position.ts";
import { webHdfs } from "../../lines/webhdfs.ts";
import { days } from "../../lines/writer.ts";
import { namesOf, pipelineOf } from "../../pipelines/index.ts";
import type { Settings } from "../../settings/settings.ts";
import { settingsPath } from "../../settings/settings.ts";
import { observerOf } from "../../source/poll/observe.ts";
import { rawRecords, targetOf } from "../../source/send/target.ts";
import { answerAt } from "../../source/simulate/openweathermap.ts";
import { observationOf } from "../../source/simulate/simulate.ts";
import { apply } from "../../supervise/apply.ts";
import { writeSettings } from "../../supervise/namespace.ts";
import { down, up } from "../../topology/local/index.ts";
import { readRecord } from "../../topology/local/record.ts";

const shared = inject("engines");
const home = mkdtempSync(join(tmpdir(), "mr-"));
const settings: Settings = {
  ...shared,
  home,
  namespace: `lines-${Math.random().toString(36).slice(2, 8)}`,
  pipeline: "city",
  external: ["kafka", "registry", "spark", "ray", "mlflow", "postgres"],
};
const { pipeline, contract } = pipelineOf("city");
const names = namesOf(pipeline, settings.namespace);
const kafka = connectKafka(settings.kafka);
const registry = connectRegistry(settings.registryUrl);
const files = webHdfs(settings, tables(settings).lines(pipeline.lines!));
const DAY = Date.UTC(2026, 10, 20);
const MINUTE_MS = 60_000;
const RAW = names.topics["raw"]!.topic;

beforeAll(async () => {
  await up(settings, { with: ["hdfs"] });
  await apply({ settings, kafka, registry, signal: AbortSignal.timeout(60_000), onStep: () => {} });
  writeSettings(settings);
});
afterAll(async () => {
  await kafka.admin.remove(Object.values(names.topics).flatMap((topic) => (topic ? [topic.topic] : [])));
  await kafka.close();
  await down(settings);
  rmSync(home, { recursive: true, force: true });
});

async function linesNow() {
  const found: { readonly path: string; readonly text: string }[] = [];
  for (const folder of await days(files, ""))
    for (const { name } of await files.list(folder))
      if (!name.startsWith("_")) {
        const path = `${folder}/${name}`;
        found.push({ path, text: (await files.read(path)) ?? "" });
      }
  return found;
}

function write() {
  const words = ["lines", "--settings", settingsPath(settings), "--pipeline", "city"];
  return execa(join(settings.root, "bin", "millrace"), words, { reject: false, all: true });
}

async function send(hours: readonly number[]): Promise<void> {
  const target = await targetOf({ kafka, registry, names, contract, source: "test" });
  const observe = observerOf(contract);
  const producer = await kafka.producer({ transactional_id: `${names.prefix}test` });
  for (const hour of hours) {
    const records = Object.entries(contract.stations).flatMap(([key, { latitude, longitude }]) =>
      Array.from({ length: 20 }, (_, n) => {
        const t_ms = DAY + (hour * 60 + n * 3) * MINUTE_MS;
        const answer = answerAt({ seed: 1, latitude: latitude!, longitude: longitude!, t_ms });
        return observationOf(observe, key, answer);
      }),
    );
    const transaction = await producer.begin();
    await transaction.send(rawRecords(target, records));
    await transaction.commit();
  }
  await producer.close();
}

const written = async (lines: number) => {
  const look = await until(
    async () => {
      const seen = (await readPosition(files).catch(() => null))?.lines ?? 0;
      return { done: seen >= lines, seen };
    },
    { deadline_ms: 60_000 },
  );
  expect(look.seen).toBe(lines);
};

it("every record once, over a kill of the writer and of HDFS, and no half line", async () => {
  const stop = new AbortController();
  let reads = 0;
  const watching = (async () => {
    while (!stop.signal.aborted) {
      for (const { text } of await linesNow().catch(() => [])) {
        reads++;
        expect(text === "" || text.endsWith("\n")).toBe(true);
        for (const line of text.trimEnd().split("\n")) JSON.parse(line);
      }
      await pause(20, stop.signal);
    }
  })();
  await send([0, 1, 2]);
  const first = write();
  await until(async () => ({ done: ((await readPosition(files))?.lines ?? 0) > 0, seen: null }), {
    deadline_ms: 60_000,
    interval_ms: 10,
  });
  first.kill("SIGKILL");
  await first;
  await send([3, 4, 5]);
  const second = write();
  await written(600);
  for (const name of ["hdfs-namenode", "hdfs-datanode"])
    process.kill(readRecord(settings, name)!.pid, "SIGKILL");
  await send([6, 7, 8]);
  await up(settings, {});
  await written(900);
  const closed = DAY + 7 * 60 * MINUTE_MS;
  expect((await readPosition(files))!.closed_until_ms).toBe(closed);
  const before = (await linesNow()).filter(({ path }) => path < hourFile("weather", closed));
  expect(before).toHaveLength(7);
  // One of a closed hour.
  await send([1]);
  const late = await until(
    async () => {
      const seen = (await readPosition(files))!.late;
      return { done: seen === 100, seen };
    },
    { deadline_ms: 30_000 },
  );
  expect(late.seen).toBe(100);
  second.kill("SIGINT");
  expect((await second).exitCode, (await second).all).toBe(0);
  stop.abort();
  await watching;
  expect(reads).toBeGreaterThan(0);
  const now = await linesNow();
  for (const { path, text } of before) expect(now.find((one) => one.path === path)?.text).toBe(text);
  const lines = now.flatMap(({ path, text }) =>
    text
      .trimEnd()
      .split("\n")
      .map((line) => {
        const { city, timestamp, temperature } = JSON.parse(line) as Record<string, string | number>;
        expect(path).toBe(hourFile("weather", timestamp as number));
        return `${city} ${timestamp} ${temperature}`;
      }),
  );
  const topic = (await readAll(kafka, RAW)).map(({ value }) => {
    const { city, timestamp, temperature } = JSON.parse(value!.subarray(5).toString("utf8"));
    return `${city} ${timestamp} ${temperature}`;
  });
  // The hour that was sent again came too late; its first records are lines.
  expect(topic).toHaveLength(1_000);
  expect(lines.sort()).toEqual([...new Set(topic)].sort());
  expect(await readAll(kafka, names.topics.rejects.topic)).toHaveLength(100);
  expect((await files.list("_positions")).length).toBeLessThan(4);
}, 240_000);
