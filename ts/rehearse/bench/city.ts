// What the city system bears: how fast its lines are written to HDFS, how long a batch of a hundred takes there, the hourly analytics of a
// week, and its six routes. The values are those of the stand-in: a minute apart instead of ten for the week, so that it is some work, and
// then an hour of them as close as a busy feed has them.

import { randomBytes } from "node:crypto";
import { pause } from "../../ground/pause.ts";
import { until } from "../../ground/until.ts";
import { tables } from "../../jobs/plan/tables.ts";
import { LinesReader } from "../../lines/reader.ts";
import { webHdfs } from "../../lines/webhdfs.ts";
import { LinesWriter } from "../../lines/writer.ts";
import { pipelineOf, requirePart } from "../../pipelines/index.ts";
import type { Settings } from "../../settings/settings.ts";
import { submitJobs, untilRunning } from "../../supervise/submit.ts";
import { type Moments, sendCities } from "../line/cities.ts";
import { closeNamespace, type Namespace, openNamespace } from "../line/namespace.ts";
import { apiReady } from "../line/serving.ts";
import { type Summary, summarizeLatency } from "./latency.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
const WEEK_MS = 7 * DAY_MS;
/** Values of all cities that are sent in one transaction. */
const AT_ONCE = 500;
/** Of the hour that the writer is timed with: twenty thousand records of five cities. */
const CLOSE = { step_ms: 900, count: 4_000 };
const BATCHES = 20;
const BATCH_RECORDS = 100;
const REQUESTS_PER_S = 100;
const REQUESTS_MS = 20_000;
const DEADLINE_MS = 600_000;

export interface CityFigures {
  /** Of an hour of records: what a feed brings as it comes. */
  readonly lines_per_s: number;
  /** Of a week of them that lies there: each batch is of many hours, and each hour a file. */
  readonly week_per_s: number;
  /** Of a batch of a hundred records of one hour: from its first call of HDFS to its last. */
  readonly batch: Summary;
  /** From the submission to the version that counts; of it the driver's start. */
  readonly analytics_s: number;
  readonly observations: number;
  /** Of all six, open loop. */
  readonly routes: Summary & { readonly failed: number };
  readonly by_route: Readonly<Record<string, Summary>>;
}

export async function cityBench(
  settings: Settings,
  { signal, say }: { readonly signal: AbortSignal; readonly say: (line: string) => void },
): Promise<CityFigures> {
  const line = await openNamespace({ ...settings, pipeline: "city" }, settings.namespace, { signal });
  try {
    // A whole hour of the day after it lies behind us too: nothing is sent of a time that has not come.
    const end_ms = Math.floor((Date.now() - 60 * MINUTE_MS) / DAY_MS) * DAY_MS;
    const place = tables(line.settings).lines(requirePart(pipelineOf("city").pipeline, "lines"));
    const files = webHdfs(line.settings, place);
    const week = await send(
      line,
      { from_ms: end_ms - WEEK_MS, step_ms: MINUTE_MS, count: WEEK_MS / MINUTE_MS },
      signal,
    );
    const week_per_s = await written(line, files, 0, week, signal);
    say(`lines of a week: ${week_per_s.toFixed(0)} records/s of ${week}`);
    const rows = week + (await send(line, { from_ms: end_ms, ...CLOSE }, signal));
    const lines_per_s = await written(line, files, week, rows, signal);
    say(`lines of an hour: ${lines_per_s.toFixed(0)} records/s of ${rows - week}`);
    const batch = await batches(line, files, rows, end_ms, signal);
    say(`a batch of ${BATCH_RECORDS}: p50 ${batch.p50_ms.toFixed(0)} ms, most ${batch.max_ms.toFixed(0)} ms`);
    const { seconds: analytics_s, observations } = await analytics(line, files, end_ms, signal);
    say(`analytics of a week: ${observations} observations in ${analytics_s.toFixed(1)} s`);
    const desired = await submitJobs(line.settings, line.kafka, ["serve"]);
    await untilRunning(line.settings, desired, { deadline_ms: DEADLINE_MS, signal });
    await until(() => apiReady(line), { deadline_ms: DEADLINE_MS, signal });
    const { all: routes, by_route } = await requests(line, signal);
    say(`routes: p50 ${routes.p50_ms.toFixed(1)} ms, p99 ${routes.p99_ms.toFixed(1)} ms`);
    await files.remove("");
    return { lines_per_s, week_per_s, batch, analytics_s, observations, routes, by_route };
  } finally {
    await closeNamespace(line);
  }
}

type Files = ReturnType<typeof webHdfs>;

const send = (line: Namespace, moments: Moments, signal: AbortSignal): Promise<number> =>
  sendCities(line, moments, { signal, at_once: AT_ONCE });

/** Runs a writer until that many lines are committed, then ends it. */
async function writing<T>(
  line: Namespace,
  files: Files,
  work: (writer: LinesWriter) => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  const { kafka, registry, names, contract } = line;
  const { prefix, batch_records } = requirePart(pipelineOf("city").pipeline, "lines");
  const writer = new LinesWriter({
    ...{ files, kafka, registry, names, contract, prefix, batch_records, log: () => {} },
    writer: randomBytes(6).toString("hex"),
  });
  const stop = new AbortController();
  const running = writer.run(AbortSignal.any([signal, stop.signal]));
  try {
    return await work(writer);
  } finally {
    stop.abort();
    await running;
  }
}

async function untilLines(writer: LinesWriter, lines: number, signal: AbortSignal): Promise<void> {
  const { done, seen } = await until(
    () => {
      const { lines: seen } = writer.state();
      return { done: seen >= lines, seen };
    },
    { deadline_ms: DEADLINE_MS, interval_ms: 5, signal },
  );
  if (!done) throw new Error(`the writer is too slow: ${seen} of ${lines} lines`);
}

/** Records a second, from the first of them that is committed to the last. */
const written = (
  line: Namespace,
  files: Files,
  held: number,
  rows: number,
  signal: AbortSignal,
): Promise<number> =>
  writing(
    line,
    files,
    async (writer) => {
      await untilLines(writer, held + 1, signal);
      const [begin_ms, before] = [performance.now(), writer.state().lines];
      await untilLines(writer, rows, signal);
      return (1_000 * (rows - before)) / (performance.now() - begin_ms);
    },
    signal,
  );

/** Batches of a hundred records of the newest hour, one after the other. */
const batches = (
  line: Namespace,
  files: Files,
  rows: number,
  end_ms: number,
  signal: AbortSignal,
): Promise<Summary> =>
  writing(
    line,
    files,
    async (writer) => {
      const times: number[] = [];
      for (let i = 0; i < BATCHES; i++) {
        const each = BATCH_RECORDS / Object.keys(line.contract.stations).length;
        await send(line, { from_ms: end_ms + i * MINUTE_MS, step_ms: 1_000, count: each }, signal);
        await untilLines(writer, rows + (i + 1) * BATCH_RECORDS, signal);
        times.push(writer.state().batch_ms);
      }
      return summarizeLatency(times);
    },
    signal,
  );

async function analytics(line: Namespace, files: Files, end_ms: number, signal: AbortSignal) {
  const span = { from_ms: end_ms - WEEK_MS, to_ms: end_ms };
  const begin_ms = performance.now();
  await submitJobs(line.settings, line.kafka, ["analytics"], { now: true, span });
  const reader = new LinesReader(files, "weather", { nowMs: () => Date.now() });
  const { done, seen } = await until(
    async () => {
      const seen = await reader.version("analytics");
      return { done: seen !== null, seen };
    },
    { deadline_ms: DEADLINE_MS, interval_ms: 100, signal },
  );
  if (!done || !seen) throw new Error("the analytics of a week did not end");
  return { seconds: (performance.now() - begin_ms) / 1_000, observations: seen.observations };
}

const ROUTES = [
  "city-statistics",
  "hourly-trends",
  "temperature-chart",
  "humidity-chart",
  "anomalies",
  "raw-data",
] as const;

/** The routes in turn at a fixed rate; a latency runs from the moment a request was meant to be sent. */
async function requests({ settings }: Namespace, signal: AbortSignal) {
  const times = new Map<string, number[]>(ROUTES.map((route) => [route, []]));
  let failed = 0;
  const count = (REQUESTS_PER_S * REQUESTS_MS) / 1_000;
  const begin_ms = performance.now();
  const asked: Promise<void>[] = [];
  for (let i = 0; i < count; i++) {
    const at_ms = begin_ms + (i * 1_000) / REQUESTS_PER_S;
    const wait_ms = at_ms - performance.now();
    if (wait_ms > 0) await pause(wait_ms, signal);
    signal.throwIfAborted();
    const route = ROUTES[i % ROUTES.length]!;
    asked.push(
      fetch(`${settings.apiUrl}/api/${route}`, { signal }).then(
        async (reply) => {
          await reply.arrayBuffer();
          if (!reply.ok) failed++;
          times.get(route)!.push(performance.now() - at_ms);
        },
        () => {
          failed++;
        },
      ),
    );
  }
  await Promise.all(asked);
  return {
    all: { ...summarizeLatency([...times.values()].flat()), failed },
    by_route: Object.fromEntries([...times].map(([route, values]) => [route, summarizeLatency(values)])),
  };
}
