// What store and API bear, with no pipeline running: how fast the sink writes, the newest forecast at a fixed rate of requests, many
// followers of the stream, and a day of history among ten million rows. Open loop: a latency runs from the moment a request was meant
// to be sent, so that a slow answer makes latencies longer and never the load lighter.

import { Agent, get } from "node:http";
import { pause } from "../../ground/pause.ts";
import { memoryOf } from "../../ground/proc.ts";
import { until } from "../../ground/until.ts";
import type { OutRecord } from "../../kafka/kafka.ts";
import type { Settings } from "../../settings/settings.ts";
import { openClient } from "../../store/database.ts";
import { currentRecords } from "../../supervise/run.ts";
import { submitJobs, untilRunning } from "../../supervise/submit.ts";
import { closeNamespace, type Namespace, openNamespace } from "../line/namespace.ts";
import { ownProcesses } from "../line/processes.ts";
import { SENT, windowsOf } from "../line/records.ts";
import { apiReady, sinkLag } from "../line/serving.ts";
import { percentile, type Summary, summarizeLatency } from "./latency.ts";

export interface ServingLoad {
  /** Records of each topic that the sink finds when it starts. */
  readonly sink_records: number;
  readonly stations: number;
  readonly requests_per_s: number;
  readonly requests_ms: number;
  readonly followers: number;
  readonly events_per_s: number;
  readonly events_ms: number;
  readonly history_rows: number;
  readonly history_questions: number;
}

export const SERVING: ServingLoad = {
  sink_records: 200_000,
  stations: 100,
  requests_per_s: 2_000,
  requests_ms: 20_000,
  followers: 500,
  events_per_s: 20,
  events_ms: 30_000,
  history_rows: 10_000_000,
  history_questions: 500,
};

export interface ServingFigures {
  readonly sink_per_s: number;
  readonly latest: Summary & { readonly failed: number };
  readonly stream: {
    readonly sent: number;
    readonly expected: number;
    readonly lost: number;
    readonly delay_p50_ms: number;
    readonly delay_p99_ms: number;
    /** Of the server's process at its most, and before the first follower came. */
    readonly memory_mb: number;
    readonly memory_before_mb: number;
  };
  readonly history: Summary & {
    readonly rows_in_store: number;
    readonly windows_a_day: number;
    readonly fill_s: number;
  };
}

const WARM_MS = 5_000;
const RUNNING_MS = 180_000;
const CAUGHT_UP_MS = 900_000;
const BATCH = 2_000;
const T0_MS = Date.UTC(2016, 0, 1);
/** A window of a station every ten minutes: as many a day as a chart has room for. */
const STEP_MS = 600_000;
const DAY_MS = 86_400_000;
/** Of the fill: a statement of half a million rows takes some seconds. */
const FILL_ROWS = 500_000;

const station = (i: number) => `s-${String(i).padStart(4, "0")}`;
const idOf = (i: number) => i.toString(16).padStart(32, "0");

interface Options {
  readonly load: ServingLoad;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

export async function serving(settings: Settings, { load, signal, say }: Options): Promise<ServingFigures> {
  const line = await openNamespace(settings, settings.namespace, { signal });
  try {
    await send(line, load, signal, say);
    // Before the sink: PostgreSQL cleans up behind its rows for a minute, with a core that client and server need here.
    await start(line, ["serve"], signal);
    await ready(line, signal);
    // Code that has run once, connections that are open: what holds for hours is not what holds for the first seconds.
    await requests(line, { ...load, requests_ms: WARM_MS }, signal);
    const latest = await requests(line, load, signal);
    say(`latest: p50 ${latest.p50_ms.toFixed(2)} ms, p99 ${latest.p99_ms.toFixed(2)} ms`);
    const stream = await followers(line, load, signal);
    say(`stream: ${stream.lost} of ${stream.expected} events lost, ${stream.memory_mb.toFixed(0)} MB`);
    const sink_per_s = await sinkRate(line, signal);
    say(`sink: ${sink_per_s.toFixed(0)} rows/s`);
    const history = await historyOfADay(line, load, signal, say);
    say(`history: p99 ${history.p99_ms.toFixed(1)} ms among ${history.rows_in_store} rows`);
    return { sink_per_s, latest, stream, history };
  } finally {
    await closeNamespace(line);
  }
}

async function start(
  { settings, kafka }: Namespace,
  jobs: readonly ("sink" | "serve")[],
  signal: AbortSignal,
) {
  const desired = await submitJobs(settings, kafka, jobs);
  await untilRunning(settings, desired, { deadline_ms: RUNNING_MS, signal });
}

async function ready(line: Namespace, signal: AbortSignal): Promise<void> {
  const { done, seen } = await until(() => apiReady(line), { deadline_ms: RUNNING_MS, signal });
  if (!done) throw new Error(`the API is not ready: ${seen}`);
}

/** What API and sink find when they start. */
async function send(
  line: Namespace,
  load: ServingLoad,
  signal: AbortSignal,
  say: Options["say"],
): Promise<void> {
  const { kafka, names } = line;
  const windows = windowsOf(line);
  const producer = await kafka.producer({ transactional_id: names.transactionalId("bench", 0) });
  try {
    for (let i = 0; i < load.sink_records; i += BATCH) {
      signal.throwIfAborted();
      const transaction = await producer.begin();
      await transaction.send(
        Array.from({ length: Math.min(BATCH, load.sink_records - i) }, (_, j) => i + j).flatMap(
          (n): OutRecord[] => {
            const at = T0_MS + Math.floor(n / load.stations) * 60_000;
            const of = station(n % load.stations);
            const id = idOf(n);
            return [
              windows.features(of, at, n),
              windows.prediction(of, at, id, n),
              windows.verification(of, at, id),
            ];
          },
        ),
      );
      await transaction.commit();
    }
  } finally {
    await producer.close();
  }
  say(`${load.sink_records} records of each of ${SENT.length} topics sent`);
}

/** Rows a second, from the first row that is in the store to the last one. */
async function sinkRate(line: Namespace, signal: AbortSignal): Promise<number> {
  await start(line, ["sink"], signal);
  // Its start of some seconds is no figure that is to hold for hours: from the first commit on, what was left then.
  let first: { readonly at_ms: number; readonly left: number } | null = null;
  const { done, seen } = await until(
    async () => {
      const { begun, left } = await sinkLag(line);
      if (begun) first ??= { at_ms: performance.now(), left };
      return { done: begun && left === 0, seen: left };
    },
    { deadline_ms: CAUGHT_UP_MS, interval_ms: 100, signal },
  );
  const from = first as { readonly at_ms: number; readonly left: number } | null;
  if (!done || from === null)
    throw new Error(`the sink of "${line.settings.namespace}" has ${seen} records left`);
  return from.left / ((performance.now() - from.at_ms) / 1000);
}

const agent = new Agent({ keepAlive: true, maxSockets: 256 });

/** A request to its last byte; the status, 0 where it failed. */
function ask(url: string): Promise<number> {
  return new Promise((resolve) => {
    get(url, { agent }, (response) => {
      response.resume();
      response.once("end", () => resolve(response.statusCode ?? 0));
    }).once("error", () => resolve(0));
  });
}

/** The newest forecast of one station after the other, so many a second, whether the answers come or not. */
async function requests(
  { settings }: Namespace,
  load: ServingLoad,
  signal: AbortSignal,
): Promise<ServingFigures["latest"]> {
  const total = Math.round((load.requests_per_s * load.requests_ms) / 1000);
  const latencies = new Float64Array(total);
  let [failed, open] = [0, 0];
  const all = Promise.withResolvers<void>();
  const begin_ms = performance.now();
  for (let sent = 0; sent < total && !signal.aborted; ) {
    const due = Math.min(
      total,
      Math.floor(((performance.now() - begin_ms) * load.requests_per_s) / 1000) + 1,
    );
    for (; sent < due; sent++) {
      const i = sent;
      const intended_ms = begin_ms + (i * 1000) / load.requests_per_s;
      open++;
      void ask(`${settings.apiUrl}/predictions/${station(i % load.stations)}`).then((status) => {
        latencies[i] = performance.now() - intended_ms;
        if (status !== 200) failed++;
        if (--open === 0 && sent === total) all.resolve();
      });
    }
    await pause(1, signal);
  }
  if (open > 0) await Promise.race([all.promise, pause(30_000, signal)]);
  return { ...summarizeLatency(latencies), failed: failed + open };
}

/** Clients of the stream, each of which is to see every event, once; and what the server's process needs meanwhile. */
async function followers(
  line: Namespace,
  load: ServingLoad,
  signal: AbortSignal,
): Promise<ServingFigures["stream"]> {
  const { settings, kafka, names } = line;
  const sent_ms = new Map<string, number>();
  const counts = new Int32Array(load.followers);
  const delays: number[] = [];
  const stop = new AbortController();
  const follow = async (i: number, joined: () => void): Promise<void> => {
    const response = await fetch(`${settings.apiUrl}/stream?kind=prediction`, { signal: stop.signal });
    joined();
    const decoder = new TextDecoder();
    let text = "";
    for await (const piece of response.body!) {
      text += decoder.decode(piece as Uint8Array, { stream: true });
      for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
        const frame = text.slice(0, end);
        text = text.slice(end + 2);
        if (!frame.includes("event: prediction")) continue;
        counts[i]!++;
        // One client is enough for the delay, and reading JSON in all of them would measure this process.
        if (i === 0) {
          const id = /"id":"([0-9a-f]{32})"/.exec(frame)?.[1];
          const at = id === undefined ? undefined : sent_ms.get(id);
          if (at !== undefined) delays.push(Date.now() - at);
        }
      }
    }
  };
  const memory = () =>
    Math.max(0, ...ownProcesses(currentRecords(settings), "serve", "serve").map((pid) => memoryOf(pid) ?? 0));
  const before_bytes = memory();
  const joined: Promise<void>[] = [];
  for (let i = 0; i < load.followers; i++)
    joined.push(
      new Promise((resolve, reject) =>
        follow(i, resolve).catch((error) => (stop.signal.aborted ? undefined : reject(error))),
      ),
    );
  await Promise.all(joined);
  const { prediction } = windowsOf(line);
  const producer = await kafka.producer({ transactional_id: names.transactionalId("bench", 1) });
  const total = Math.round((load.events_per_s * load.events_ms) / 1000);
  const from_ms = T0_MS + 400 * DAY_MS;
  let memory_bytes = 0;
  try {
    const begin_ms = performance.now();
    for (let i = 0; i < total; i++) {
      const wait_ms = begin_ms + (i * 1000) / load.events_per_s - performance.now();
      if (wait_ms > 0) await pause(wait_ms, signal);
      const id = idOf(1e9 + i);
      const at = from_ms + i * 60_000;
      const transaction = await producer.begin();
      await transaction.send([prediction(station(i % load.stations), at, id)]);
      await transaction.commit();
      sent_ms.set(id, Date.now());
      if (i % load.events_per_s === 0) memory_bytes = Math.max(memory_bytes, memory());
    }
  } finally {
    await producer.close();
  }
  await until(async () => ({ done: counts.every((count) => count >= total), seen: null }), {
    deadline_ms: 15_000,
    signal,
  });
  stop.abort();
  const seen = counts.reduce((sum, count) => sum + Math.min(count, total), 0);
  delays.sort((a, b) => a - b);
  return {
    sent: total,
    expected: total * load.followers,
    lost: total * load.followers - seen,
    delay_p50_ms: percentile(delays, 0.5),
    delay_p99_ms: percentile(delays, 0.99),
    memory_mb: memory_bytes / 1e6,
    memory_before_mb: before_bytes / 1e6,
  };
}

/** The forecasts of one station and day, one question after the other, among so many rows. */
async function historyOfADay(
  line: Namespace,
  load: ServingLoad,
  signal: AbortSignal,
  say: Options["say"],
): Promise<ServingFigures["history"]> {
  const { settings, names } = line;
  const from_ms = T0_MS + 1_000 * DAY_MS;
  const windows = Math.ceil(load.history_rows / load.stations);
  const { value } = windowsOf(line).prediction(station(0), from_ms, idOf(0));
  const client = await openClient({ settings, names });
  const begin_ms = performance.now();
  try {
    await client.query("set synchronous_commit = off");
    const each = Math.max(1, Math.floor(FILL_ROWS / load.stations));
    for (let window = 0; window < windows; window += each) {
      signal.throwIfAborted();
      const to = Math.min(windows, window + each) - 1;
      const of = `generate_series(0, ${load.stations - 1}) s, generate_series(${window}, ${to}) w`;
      const key = `'s-' || lpad(s::text, 4, '0'), 'champion', ${from_ms} + w::bigint * ${STEP_MS}`;
      await client.query(
        `insert into predictions (entity, arm, window_end, plan_epoch, revision, model_version, id, partition, "offset", append_time, value)
           select ${key}, 1, 0, '1', gen_random_uuid(), 0, w, ${from_ms}, $1 from ${of}`,
        [value],
      );
      await client.query(
        `insert into latest_predictions (entity, arm, window_end, plan_epoch, revision, model_version, "offset")
           select ${key}, 1, 0, '1', w from ${of}`,
      );
      say(`history: ${((to + 1) * load.stations).toLocaleString("en")} rows`);
    }
    await client.query("analyze predictions, latest_predictions");
  } finally {
    await client.end();
  }
  const fill_s = (performance.now() - begin_ms) / 1000;
  const days = Math.floor((windows * STEP_MS) / DAY_MS);
  const latencies: number[] = [];
  for (let i = 0; i < load.history_questions; i++) {
    signal.throwIfAborted();
    // Far apart, so that no two ask for the same pages; always the same ones.
    const day_ms = from_ms + ((i * 7919) % Math.max(1, days)) * DAY_MS;
    const range = `from=${new Date(day_ms).toISOString()}&to=${new Date(day_ms + DAY_MS).toISOString()}`;
    const asked_ms = performance.now();
    const status = await ask(
      `${settings.apiUrl}/predictions/${station((i * 31) % load.stations)}/history?${range}&limit=1000`,
    );
    latencies.push(performance.now() - asked_ms);
    if (status !== 200) throw new Error(`the history of a day was answered with HTTP ${status}`);
  }
  return {
    ...summarizeLatency(latencies),
    rows_in_store: windows * load.stations,
    windows_a_day: DAY_MS / STEP_MS,
    fill_s,
  };
}
