// GET /health, /health/live and /health/ready: whether forecasts can be made, whether this process answers, and whether it can
// serve what it has. health.ts judges; this asks.

import type { AppEffects, Served } from "../effects.ts";
import { iso } from "../forecast.ts";
import { eventTimeHealth, feedOf, judge } from "../health.ts";
import { jobRows } from "../jobs.ts";
import { defineRoute } from "../route.ts";
import { flag, integer, list, nullable, said, seconds, text, time, word, z } from "../schema.ts";
import type { JobRow } from "./jobs.ts";

export const Feed = z
  .object({
    caught_up: flag("Whether the ends met at the start were reached."),
    topics: list(
      z.object({
        topic: text("Topic."),
        lag: integer("Records still to be read, all partitions; commit markers may leave it above 0.", {
          unit: "1",
        }),
        records: integer("Records read by this process.", { unit: "1" }),
        undecodable: integer("Records that could not be decoded.", { unit: "1" }),
      }),
      "Topics this process follows.",
    ),
    error: nullable(text("Why the feed does not run; null while it does.")),
  })
  .openapi("Feed");
export type FeedState = Readonly<z.infer<typeof Feed>>;

const EventTime = z
  .object({
    pipeline: text("Whose time line."),
    frontier: nullable(time("Newest window end that is served, event time; null before the first.")),
    watermark: nullable(time("What the features job calls late lies before it; null before it has said so.")),
    ahead_s: seconds("How far the later of both lies after the wall clock; 0 for a replay of the past."),
    status: word(
      ["ok", "ahead"],
      "ahead: the watermark lies further ahead than an observation may lead, and whatever comes now is late.",
    ),
    detail: text("Why."),
    next: nullable(text("What to do; null when ok.")),
  })
  .openapi("EventTime");
/** How far event time has come, of one pipeline. */
export type EventTime = Readonly<z.infer<typeof EventTime>>;

export const Health = z
  .object({
    status: word(
      ["ok", "degraded", "down"],
      "down: something needed is down. degraded: something else is, or only waits.",
    ),
    ready: flag("As /health/ready."),
    at: time("When this was judged, wall time."),
    engines: list(
      z.object({
        name: text("Name of the engine."),
        address: text("Where it was asked."),
        needed: flag("Whether a live forecast needs it."),
        status: word(["up", "down", "off"], "up, down, or off: optional and not started."),
        detail: text("What was seen."),
        next: nullable(text("What to do; null when up.")),
      }),
      "Every engine.",
    ),
    jobs: list(
      z.object({
        name: text("Name of the job."),
        engine: text("Where it runs."),
        needed: flag("Whether a live forecast needs it."),
        status: word(
          ["up", "waiting", "down"],
          "up, down, or waiting: it runs and is well, but has not begun its work for minutes.",
        ),
        state: text("As the engine says."),
        heartbeat_age_s: nullable(seconds("Since the job last spoke.")),
        detail: text("Why."),
        next: nullable(text("What to do; null when up.")),
      }),
      "Every job that is needed, wanted or running. One that has ended, as a batch or a finished replay, is no part of health: GET /jobs says how it ended.",
    ),
    event_time: said(EventTime, "Of the default pipeline, or of another one that is ahead."),
    feed: Feed,
    pipelines: list(
      z.object({
        pipeline: text("Name of the pipeline."),
        default: flag("Whether the paths that name no pipeline are its."),
        running: flag(
          "Whether anything of it should run; the jobs of one that was only applied are not needed.",
        ),
        event_time: EventTime,
        feed: Feed,
      }),
      "Every pipeline that is served, the default one first.",
    ),
  })
  .openapi("Health");
export type Health = Readonly<z.infer<typeof Health>>;

const Live = z.object({ status: z.literal("ok") }).openapi("Live");
const Ready = z
  .object({ status: word(["ready", "catching_up"], "ready or catching_up."), feed: Feed })
  .openapi("Ready");

/** The pipeline's event time against the clock, by its features job's watermark. */
export function eventTimeOf(
  { contract, latest, needed_jobs }: Served,
  jobs: readonly JobRow[],
  now_ms: number,
): EventTime {
  const features = jobs.find(
    ({ name, heartbeat }) => needed_jobs.includes(name) && heartbeat?.counters["watermark_ms"] !== undefined,
  );
  return eventTimeHealth(contract, latest.frontier_ms, features, now_ms);
}

/** Everything is asked anew; what asks engines is kept for a moment by whoever was passed in. */
export async function healthNow(effects: AppEffects): Promise<Health> {
  const { pipelines, progress, clock } = effects;
  const [engines, views] = await Promise.all([effects.engines(), effects.jobs()]);
  const now_ms = clock.nowMs();
  const jobs = jobRows(views, progress, now_ms);
  const states = pipelines.map((served, i) => ({
    pipeline: served.contract.pipeline,
    default: i === 0,
    // Nobody misses the jobs of a pipeline that was only applied.
    running: i === 0 || jobs.some((job) => job.desired && job.pipeline === served.contract.pipeline),
    event_time: eventTimeOf(served, jobs, now_ms),
    feed: served.feed(),
  }));
  const needed = pipelines.flatMap(({ needed_jobs }, i) => (states[i]!.running ? needed_jobs : []));
  return judge(engines, jobs, states, needed, iso(now_ms));
}

export function healthRoutes(effects: AppEffects) {
  return [
    defineRoute({
      name: "health",
      path: "/health",
      tag: "operation",
      summary: "Every engine and job, with what to do about one that is down",
      description:
        "503 when something that a live forecast needs is down; 200 with `degraded` when only something else is.",
      schema: Health,
      also: [503],
      answer: async () => {
        const body = await healthNow(effects);
        return { body, status: body.status === "down" ? 503 : 200 };
      },
    }),
    defineRoute({
      name: "live",
      path: "/health/live",
      tag: "operation",
      summary: "This process answers",
      description: "Always 200 while the process runs; says nothing of engines or jobs.",
      schema: Live,
      answer: () => ({ body: { status: "ok" as const } }),
    }),
    defineRoute({
      name: "ready",
      path: "/health/ready",
      tag: "operation",
      summary: "This process can serve forecasts from memory",
      description:
        "200 once the latest predictions were read up to the ends met at the start. Engines may be down: what is in memory is served, with its age.",
      schema: Ready,
      also: [503],
      answer: () => {
        const feed = feedOf(effects.pipelines.map((served) => served.feed()));
        const ready = feed.caught_up && feed.error === null;
        const status = ready ? ("ready" as const) : ("catching_up" as const);
        return { body: { status, feed }, status: ready ? 200 : 503 };
      },
    }),
  ];
}
