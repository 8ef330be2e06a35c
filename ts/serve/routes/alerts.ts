// GET /alerts: what is wrong now, stations and machinery alike, newest first, each with what to do. alerts.ts derives; this asks.

import type { StoredAnomaly } from "../../store/queries.ts";
import { behind, type Found, machinery, stations } from "../alerts.ts";
import { withDeadline } from "../cache.ts";
import type { AppEffects, Served } from "../effects.ts";
import { iso } from "../forecast.ts";
import { jobRows } from "../jobs.ts";
import { defineRoute } from "../route.ts";
import { integer, list, nullable, said, text, time, wholeNumber, word, z } from "../schema.ts";
import { healthNow } from "./health.ts";

const LIMIT = 100;
const LIMIT_MAX = 1_000;
/** Longest wait for the store: an alert must come while it hangs. */
const STORE_MS = 1_000;

export const Alert = z
  .object({
    id: text("Stays while the alert does."),
    pipeline: nullable(text("Whose; null for what all pipelines share.")),
    kind: word(
      [
        ...(["engine_down", "job_down", "job_waiting", "event_time_ahead", "feed_down"] as const),
        ...(["catching_up", "network_silent", "station_stale", "anomaly"] as const),
        ...(["lag", "store_behind", "untold", "retention", "rejects"] as const),
      ],
      "engine_down, job_down, job_waiting, event_time_ahead: as GET /health. feed_down, catching_up: what this server reads. network_silent, station_stale: see stale_reason of GET /stations. anomaly: the newest window of a station is flagged. lag, store_behind: records that wait for a reader. untold: people could not be told of an anomaly. retention: a topic is about to take records that a job has not read. rejects: records were refused in the last minutes.",
    ),
    severity: word(
      ["critical", "warning", "info"],
      "critical: no forecast comes, or a wrong one would. warning: something is wrong and forecasts go on. info: to know.",
    ),
    subject: z.object({
      kind: word(["engine", "job", "topic", "feed", "pipeline", "station"], "What `name` names."),
      name: text("Its name or id."),
    }),
    anomaly_id: nullable(
      text("Of an anomaly that the store has: GET /{pipeline}/anomalies/{id}; null for any other alert."),
    ),
    since: time("When it began as far as is known, else when this server first saw it, wall time."),
    event_time: nullable(
      time("Event time of what it is about: when an anomaly opened, a station's newest window."),
    ),
    text: text("One sentence."),
    next: text("What to do."),
  })
  .openapi("Alert");
export type Alert = Readonly<z.infer<typeof Alert>>;

export const Alerts = z
  .object({
    at: time("When this was answered, wall time."),
    count: integer("All there are now, also those beyond `limit`.", { unit: "1" }),
    alerts: list(Alert, "Newest first."),
  })
  .openapi("Alerts");
export type Alerts = Readonly<z.infer<typeof Alerts>>;

/** The anomalies that go on, of those stations alone that are flagged now; null where the store does not say. */
async function openAnomalies({ contract, store }: Served, arm: string): Promise<StoredAnomaly[] | null> {
  if (!contract.parts.includes("anomaly")) return [];
  const question = { entity: null, arm, type: null, severity: null, open: true } as const;
  const page = { from_ms: null, to_ms: null, limit: LIMIT_MAX, cursor: null, order: "desc" } as const;
  try {
    return [...(await withDeadline(store.anomalies({ ...question, ...page }), STORE_MS)).rows];
  } catch {
    return null;
  }
}

const flagged = ({ latest }: Served): boolean =>
  [...latest.ids()].some((id) => latest.get(id)?.prediction?.record.anomaly?.is_anomaly === true);

/** Everything that is wrong now, newest first. */
export async function alertsNow(effects: AppEffects): Promise<Alert[]> {
  const { pipelines, progress, clock, arm, since } = effects;
  const [health, views, lags, ...opened] = await Promise.all([
    healthNow(effects),
    effects.jobs(),
    effects.lags(),
    ...pipelines.map((served) => (flagged(served) ? openAnomalies(served, arm) : null)),
  ]);
  const now_ms = clock.nowMs();
  const jobs = jobRows(views, progress, now_ms);
  const found: Found[] = [
    ...machinery(health, jobs),
    ...behind(lags, jobs),
    ...pipelines.flatMap((served, i) => stations(served, opened[i] ?? null, now_ms)),
  ];
  const began = since.look(found, now_ms);
  return found
    .map((one) => ({ one, since_ms: began.get(one.id) ?? now_ms }))
    .sort((a, b) => b.since_ms - a.since_ms || (a.one.id < b.one.id ? -1 : 1))
    .map(({ one: { since_ms: _, event_ms, ...alert }, since_ms }) => ({
      ...alert,
      since: iso(since_ms),
      event_time: event_ms === null ? null : iso(event_ms),
    }));
}

/** The answer of GET /alerts, and what the stream tells. */
export const newest = (alerts: readonly Alert[], now_ms: number, limit = LIMIT): Alerts => ({
  at: iso(now_ms),
  count: alerts.length,
  alerts: alerts.slice(0, limit),
});

export function alertsRoute(effects: AppEffects) {
  const names = effects.pipelines.map(({ contract }) => contract.pipeline);
  return defineRoute({
    name: "alerts",
    path: "/alerts",
    tag: "operation",
    summary: "What is wrong now, stations and machinery alike, with what to do",
    description:
      "Derived from what /health judges, what is known of every station, and what waits to be read. Empty when all is well. Open anomalies come from memory, so that they are there while the store is away; their id and beginning come from the store.",
    query: z.object({
      pipeline: said(
        z.string().refine((name) => names.includes(name), { error: `to be one of ${names.join(", ")}` }),
        "Only alerts of this pipeline, and of what all share.",
        { enum: names },
      ).optional(),
      limit: wholeNumber("Rows of the answer.", { min: 1, max: LIMIT_MAX, usual: LIMIT }),
    }),
    schema: Alerts,
    refusals: ["bad_parameter"],
    answer: async ({ query }) => {
      const all = await alertsNow(effects);
      const { pipeline, limit } = query;
      const wanted =
        pipeline === undefined
          ? all
          : all.filter((alert) => alert.pipeline === null || alert.pipeline === pipeline);
      return { body: newest(wanted, effects.clock.nowMs(), limit) };
    },
  });
}
