// Live sources under the supervisor on a real broker, two at once: each reports how it fares, one is killed and comes back, keeps its
// distance to the round before, and every observation is there once.

import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { Decoder } from "../../contract/index.ts";
import { members } from "../../ground/process.ts";
import { until } from "../../ground/until.ts";
import { readAll } from "../../kafka/kafka.ts";
import { streamSchema, topicOf } from "../../pipelines/index.ts";
import { type Namespace, openNamespace, removeNamespace, uniqueName } from "../../rehearse/line/namespace.ts";
import { settingsPath } from "../../settings/settings.ts";
import { followProgress, type ProgressReader } from "../../supervise/progress.ts";
import { readRecords } from "../../supervise/run.ts";
import { submitJobs, untilEnded, untilRunning, withdrawJobs } from "../../supervise/submit.ts";
import * as answer from "../feeds/server.ts";

const DEADLINE_MS = 180_000;
const NWS = "weather-nws";
const OPEN_METEO = "weather-open_meteo";

let ground: Namespace;
let server: answer.FeedServer;
let progress: ProgressReader;
const asked: { readonly path: string; readonly at_ms: number }[] = [];

beforeAll(async () => {
  ground = await openNamespace(inject("engines"), uniqueName("feeds"));
  server = await answer.feedServer();
  server.answers((response, request) => {
    const path = request.url!;
    asked.push({ path, at_ms: Date.now() });
    const code = /^\/stations\/(\w+)\//.exec(path)?.[1];
    if (code === undefined) {
      const time = new Date(Math.floor(Date.now() / 900_000) * 900_000).toISOString().slice(0, 16);
      const current = { time, temperature_2m: 20 };
      answer.json({ latitude: 38.75, longitude: -9.125, utc_offset_seconds: 0, current })(response, request);
      return;
    }
    // A reading every five seconds, the last six of them: each comes in several answers.
    const newest = Math.floor(Date.now() / 5_000) * 5_000;
    const features = Array.from({ length: 6 }, (_, i) => ({
      properties: {
        station: `https://api.weather.gov/stations/${code}`,
        timestamp: new Date(newest - i * 5_000).toISOString(),
        temperature: { unitCode: "wmoUnit:degC", value: 20, qualityControl: "V" },
      },
    }));
    answer.json({ type: "FeatureCollection", features })(response, request);
  });
  const { kafka, registry, names, contract } = ground;
  progress = followProgress({
    kafka,
    registry,
    topic: names.topics.progress.topic,
    schema: contract.schemas.progress,
  });
});
afterAll(async () => {
  await progress.close();
  await removeNamespace(ground);
  await server.close();
});

const submissionOf = (job: string) => readRecords(ground.settings)[job]?.submission?.submission ?? null;

/** Waits for a report of a job's present submission that has sent so many rows. */
async function sends(job: string, rows: number) {
  const { done, seen } = await until(
    () => {
      const seen = progress.latest(job);
      const ours = seen !== null && seen.submission === submissionOf(job);
      return { done: ours && (seen.counters["rows"] ?? 0) >= rows, seen };
    },
    { deadline_ms: DEADLINE_MS },
  );
  expect(done, JSON.stringify(seen)).toBe(true);
  return seen!;
}

it("several sources run at once, each with its lag; one that is killed loses nothing and sends nothing twice", async () => {
  const { settings, kafka, contract, names } = ground;
  const start = async (job: string, ...words: readonly string[]) => {
    const desired = await submitJobs(settings, kafka, [job], { words: [...words, "--url", server.url] });
    await untilRunning(settings, desired, { deadline_ms: DEADLINE_MS, onState: () => {} });
  };
  await start("nws", "--place", "KAAA", "--place", "KBBB", "--every", "15");
  await start("open_meteo", "--place", "lisbon=38.72,-9.14");
  const first = await sends(NWS, 12);
  expect(first.counters["lag_ms"]).toBeLessThan(60_000);
  expect((await sends(OPEN_METEO, 1)).counters["every_ms"]).toBe(900_000);

  const words = ["produce", "nws", "--source", "hand", "--place", "KCCC", "--url", server.url, "--once"];
  const hand = await execa(join(settings.root, "bin", "millrace"), [
    ...words,
    "--pipeline",
    "weather",
    "--settings",
    settingsPath(settings),
  ]);
  expect(hand.stderr).toMatch(
    /sent 6, the newest of .*\nSent 6 observations, 0 were sent before, 0 refused; 1 requests, 0 failed$/,
  );

  const before = submissionOf(NWS)!;
  for (const { pid } of members({ pid: -1, mark: `job=${before};` })) process.kill(pid, "SIGKILL");
  await until(() => ({ done: submissionOf(NWS) !== before && submissionOf(NWS) !== null, seen: null }), {
    deadline_ms: DEADLINE_MS,
  });
  await sends(NWS, 1);
  await withdrawJobs(settings, [NWS, OPEN_METEO]);
  await untilEnded(settings, [NWS, OPEN_METEO], { deadline_ms: DEADLINE_MS });

  const decoder = new Decoder<{ station_id: string; timestamp: number }>(streamSchema(contract), (id) =>
    ground.registry.schemaById(id),
  );
  const times = new Map<string, number[]>();
  for (const { value } of await readAll(kafka, topicOf(names, "raw").topic)) {
    const decoded = await decoder.decode(value);
    if (!decoded.ok) throw new Error(decoded.reason);
    const { station_id, timestamp } = decoded.record;
    times.set(station_id, [...(times.get(station_id) ?? []), timestamp]);
  }
  expect([...times.keys()].sort()).toEqual(["kaaa", "kbbb", "kccc", "lisbon"]);
  for (const list of times.values()) expect(list).toEqual([...new Set(list)].sort((a, b) => a - b));
  const rounds = asked.filter(({ path }) => path.includes("KAAA")).map(({ at_ms }) => at_ms);
  expect(rounds.length).toBeGreaterThanOrEqual(2);
  // A timer may be some milliseconds early against the clock it is read by.
  for (const [i, at_ms] of rounds.slice(1).entries()) expect(at_ms - rounds[i]!).toBeGreaterThan(14_900);
});
