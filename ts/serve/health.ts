// Judges whether a forecast can be made and served: engines, jobs and the feed, each with what to do when it is down.
// Pure: probes and job states are passed in. `ready` asks only whether this process can answer from memory.

import { iso } from "./forecast.ts";
import { HEARTBEAT_SILENT_S } from "./jobs.ts";
import type { EventTime, FeedState, Health } from "./routes/health.ts";
import type { JobRow } from "./routes/jobs.ts";

export type { FeedState } from "./routes/health.ts";

/** One engine as a probe found it. */
export interface EngineProbe {
  readonly name: string;
  readonly address: string;
  /** Whether a live forecast needs it. MLflow is needed to load a model, not to go on with one. */
  readonly needed: boolean;
  readonly up: boolean;
  /** Optional and not started: that is no fault. */
  readonly off?: boolean;
  readonly detail: string;
  readonly next: string | null;
}

/**
 * A job that still says "starting" after this long waits for something that may never come: its own start, with a restore of
 * all history, takes less than half of it on a slow machine.
 */
export const WAITING_S = 120;

/** The event time of a pipeline against the wall clock. `features` is the job that has the watermark. */
export function eventTimeHealth(
  contract: { readonly pipeline: string; readonly lead_ms: number },
  frontier_ms: number | null,
  features: JobRow | undefined,
  now_ms: number,
): EventTime {
  const iso = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString());
  // A job without a watermark says 0.
  const watermark_ms = features?.heartbeat?.counters["watermark_ms"] || null;
  const lead_ms = (watermark_ms ?? 0) - now_ms;
  const ahead = lead_ms > contract.lead_ms;
  return {
    pipeline: contract.pipeline,
    frontier: iso(frontier_ms),
    watermark: iso(watermark_ms),
    ahead_s: Math.max(0, lead_ms, (frontier_ms ?? 0) - now_ms) / 1000,
    status: ahead ? "ahead" : "ok",
    detail: ahead
      ? `the watermark, ${iso(watermark_ms)}, has run away from the clock: what comes now is late and dropped`
      : "not ahead of the clock",
    next: ahead ? `Run: millrace submit ${features?.name}, which goes on from a new checkpoint` : null,
  };
}

interface JobVerdict {
  readonly status: Health["jobs"][number]["status"];
  readonly detail: string;
  readonly next: string | null;
}

function judgeJob(row: JobRow): JobVerdict {
  const logs = `Run: millrace logs ${row.name}`;
  const reason = row.reason ? `: ${row.reason}` : "";
  if (row.gave_up) return { status: "down", detail: `the supervisor gave up${reason}`, next: logs };
  if (row.state !== "running") return { status: "down", detail: `${row.state}${reason}`, next: logs };
  if (row.heartbeat && row.heartbeat.age_s > HEARTBEAT_SILENT_S)
    return { status: "down", detail: `no heartbeat for ${row.heartbeat.age_s.toFixed(0)} s`, next: logs };
  if (row.heartbeat?.state === "starting") {
    const { state_age_s, at, age_s, message } = row.heartbeat;
    const since = iso(Date.parse(at) + (age_s - state_age_s) * 1000);
    const detail = `waiting since ${since}${message === null ? "" : `: ${message}`}`;
    if (state_age_s > WAITING_S) return { status: "waiting", detail, next: logs };
    return { status: "up", detail, next: null };
  }
  return { status: "up", detail: row.heartbeat?.message ?? "running", next: null };
}

/** What several feeds are together. */
export function feedOf(feeds: readonly FeedState[]): FeedState {
  return {
    caught_up: feeds.every(({ caught_up }) => caught_up),
    topics: feeds.flatMap(({ topics }) => topics),
    error: feeds.map(({ error }) => error).find((error) => error !== null) ?? null,
  };
}

/**
 * `needed_jobs` are judged even when no one has heard of them; other jobs can only degrade, and only while they are wanted.
 * A job that has ended and is not needed has no health: neither one that nobody wants any more, as a batch, nor one that
 * did what was asked, as a finished replay.
 */
export function judge(
  engines: readonly EngineProbe[],
  jobs: readonly JobRow[],
  pipelines: Health["pipelines"],
  needed_jobs: readonly string[],
  at: string,
): Health {
  const feed = feedOf(pipelines.map((state) => state.feed));
  const times = pipelines.map(({ event_time }) => event_time);
  const event_time = times.find(({ status }) => status === "ahead") ?? times[0]!;
  const judged = jobs.filter(
    (row) =>
      needed_jobs.includes(row.name) || row.state === "running" || (row.desired && row.state !== "succeeded"),
  );
  const rows: Health["jobs"][number][] = judged.map((row) => {
    const verdict = judgeJob(row);
    return {
      name: row.name,
      engine: row.engine,
      needed: needed_jobs.includes(row.name),
      status: verdict.status,
      state: row.state,
      heartbeat_age_s: row.heartbeat?.age_s ?? null,
      detail: verdict.detail,
      next: verdict.next,
    };
  });
  for (const name of needed_jobs)
    if (!jobs.some((row) => row.name === name))
      rows.push({
        name,
        engine: "unknown",
        needed: true,
        status: "down",
        state: "unknown",
        heartbeat_age_s: null,
        detail: "not submitted",
        next: `Run: millrace submit ${name}`,
      });
  const ready = feed.caught_up && feed.error === null;
  const desired = new Set(jobs.filter((row) => row.desired).map((row) => row.name));
  const neededDown =
    feed.error !== null ||
    event_time.status === "ahead" ||
    engines.some((e) => e.needed && !e.up) ||
    rows.some((row) => row.needed && row.status === "down");
  const otherDown =
    !ready ||
    engines.some((e) => !e.up && !e.off) ||
    rows.some((row) => row.status !== "up" && (row.needed || desired.has(row.name)));
  return {
    status: neededDown ? "down" : otherDown ? "degraded" : "ok",
    ready,
    at,
    engines: engines.map((e) => ({
      name: e.name,
      address: e.address,
      needed: e.needed,
      status: e.up ? "up" : e.off ? "off" : "down",
      detail: e.detail,
      next: e.up ? null : e.next,
    })),
    jobs: rows,
    event_time,
    feed,
    pipelines,
  };
}
