// Records of a stream as JSON Lines on a real HDFS, written by the process the supervisor would run, which is killed in the middle. A
// reader that never stops sees whole lines only; NameNode and DataNode may go and come back. What the hourly batch then makes of them
// on a real Spark, and the API of that, against a naive oracle.

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
import { days } from "../../lines/days.ts";
import { hourFile } from "../../lines/layout.ts";
import { readPosition } from "../../lines/position.ts";
import { LinesReader, type Row } from "../../lines/reader.ts";
import { webHdfs } from "../../lines/webhdfs.ts";
import { namesOf, pipelineOf } from "../../pipelines/index.ts";
import { sendCities } from "../../rehearse/line/cities.ts";
import type { Settings } from "../../settings/settings.ts";
import { settingsPath } from "../../settings/settings.ts";
import { apply } from "../../supervise/apply.ts";
import { writeSettings } from "../../supervise/namespace.ts";
import { stopNamespace } from "../../supervise/stop.ts";
import { submitJobs, untilRunning } from "../../supervise/submit.ts";
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
  await stopNamespace(settings);
  await kafka.admin.remove(Object.values(names.topics).flatMap((topic) => (topic ? [topic.topic] : [])));
  await kafka.close();
  await down(settings);
  rmSync(home, { recursive: true, force: true });
});

async function linesNow() {
  const found: { readonly path: string; readonly text: string }[] = [];
  for await (const { folder } of days(files))
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

/** Every third minute of these hours, an hour a transaction. */
async function send(hours: readonly number[]): Promise<void> {
  const signal = AbortSignal.timeout(60_000);
  for (const hour of hours) {
    const moments = { from_ms: DAY + hour * 60 * MINUTE_MS, step_ms: 3 * MINUTE_MS, count: 20 };
    await sendCities({ kafka, registry, names, contract }, moments, { signal, at_once: 20 });
  }
}

async function firstLine(stream: AsyncIterable<unknown>): Promise<string> {
  let text = "";
  for await (const chunk of stream) {
    text += String(chunk);
    if (text.includes("\n")) return text.slice(0, text.indexOf("\n"));
  }
  throw new Error(`the server ended without a line: ${text}`);
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

type Line = Readonly<Record<"city" | "timestamp", string | number>> & Readonly<Record<string, unknown>>;

/** Mean, and sample standard deviation by its definition; null where there is none. */
function spread(values: readonly number[]) {
  const mean = values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - (mean ?? 0)) ** 2, 0);
  return { mean, std: values.length < 2 ? null : Math.sqrt(squares / (values.length - 1)) };
}

const numbers = (rows: readonly Line[], field: string) =>
  rows.flatMap((row) => (typeof row[field] === "number" ? [row[field]] : []));

it("the hourly batch sums them up on HDFS as a naive oracle does, and the API answers with that", async () => {
  const to_ms = DAY + 9 * 60 * MINUTE_MS;
  const desired = await submitJobs(settings, kafka, ["analytics"], {
    now: true,
    span: { from_ms: DAY, to_ms },
  });
  await untilRunning(settings, desired, { deadline_ms: 120_000 });
  const reader = new LinesReader(files, "weather", { nowMs: () => Date.now() });
  const look = await until(
    async () => {
      const seen = await reader.version("analytics");
      return { done: seen !== null, seen };
    },
    { deadline_ms: 120_000, interval_ms: 500 },
  );
  expect(look.seen).toMatchObject({ from_ms: DAY, to_ms, observations: 900 });

  const lines = (await linesNow()).flatMap(({ text }) =>
    text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Line),
  );
  const cities = Object.keys(contract.stations).sort();
  const statistics = (await reader.table("analytics", "city_statistics"))!.rows;
  expect(statistics.map(({ city }) => city)).toEqual(cities);
  for (const row of statistics) {
    const own = lines.filter(({ city }) => city === row["city"]);
    const temperatures = numbers(own, "temperature");
    const { mean, std } = spread(temperatures);
    expect(row["count"]).toBe(own.length);
    expect(row["temperature_mean"]).toBeCloseTo(mean!, 9);
    expect(row["temperature_std"]).toBeCloseTo(std!, 9);
    expect(row["temperature_min"]).toBe(Math.min(...temperatures));
    expect(row["temperature_max"]).toBe(Math.max(...temperatures));
    expect(row["humidity_mean"]).toBeCloseTo(spread(numbers(own, "humidity")).mean!, 9);
  }
  const trends = (await reader.table("analytics", "hourly_trends"))!.rows;
  expect(trends).toHaveLength(cities.length * 9);
  for (const row of trends) {
    const hour = Date.parse(String(row["hour"]));
    const own = lines.filter(
      ({ city, timestamp }) =>
        city === row["city"] && Number(timestamp) >= hour && Number(timestamp) < hour + 3_600_000,
    );
    expect(row["count"]).toBe(own.length);
    expect(row["wind_speed_mean"]).toBeCloseTo(spread(numbers(own, "wind_speed")).mean!, 9);
  }
  const far = cities
    .flatMap((city) =>
      ["temperature", "humidity", "pressure", "wind_speed"].flatMap((field) => {
        const own = lines.filter((line) => line.city === city && typeof line[field] === "number");
        const { mean, std } = spread(numbers(own, field));
        return own
          .filter((line) => Math.abs(Number(line[field]) - mean!) > 3 * std!)
          .map(({ timestamp }) => `${city} ${field} ${timestamp}`);
      }),
    )
    .sort();
  const found = (await reader.table("analytics", "anomalies"))!.rows;
  expect(
    found.map((row) => `${row["city"]} ${row["field"]} ${Date.parse(String(row["time"]))}`).sort(),
  ).toEqual(far);

  const words = [
    "serve",
    "--settings",
    settingsPath(settings),
    "--pipeline",
    "city",
    "--port",
    "0",
    "--json",
  ];
  const serving = execa(join(settings.root, "bin", "millrace"), words, { reject: false, all: true });
  try {
    const { url } = JSON.parse(await firstLine(serving.stdout!)) as { url: string };
    const get = async <T>(path: string) => (await (await fetch(`${url}${path}`)).json()) as T;
    const answered = await get<{ cities: Row[]; simulated: boolean }>("/api/city-statistics");
    expect(answered.simulated).toBe(true);
    expect(answered.cities.map(({ temperature_mean }) => temperature_mean)).toEqual(
      statistics.map(({ temperature_mean }) => temperature_mean),
    );
    const seen: Row[] = [];
    for (let cursor = ""; ; ) {
      const page = await get<{ records: Row[]; next: string | null }>(`/api/raw-data?limit=400${cursor}`);
      seen.push(...page.records);
      if (page.next === null) break;
      cursor = `&cursor=${page.next}`;
    }
    const nameOf = (row: Row) => `${row["city"]} ${new Date(row["timestamp"] as string).toISOString()}`;
    expect(seen.map(nameOf).sort()).toEqual(lines.map((line) => nameOf(line)).sort());
  } finally {
    serving.kill("SIGINT");
    await serving;
  }
}, 300_000);
