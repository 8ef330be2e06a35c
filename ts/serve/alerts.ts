// What is wrong now, as one list: what health found down or waiting, stations that are stale or flagged, topics that are read too
// slowly, records that are refused. Derived from what others judge and count; judges no engine and no job itself. Pure but for
// Since, which remembers when each alert was first seen.

import { entityKey } from "../pipelines/index.ts";
import type { StoredAnomaly } from "../store/queries.ts";
import type { Served } from "./effects.ts";
import type { GroupLag } from "./metrics.ts";
import type { Alert } from "./routes/alerts.ts";
import type { Health } from "./routes/health.ts";
import type { JobRow } from "./routes/jobs.ts";

/** An alert before it is known since when it is there. */
export interface Found extends Omit<Alert, "since" | "event_time"> {
  /** Epoch ms, wall time; null where only the first look can tell. */
  readonly since_ms: number | null;
  /** Event time of what it is about. */
  readonly event_ms: number | null;
}

/** Records of a topic that wait for a reader: some seconds of the fastest one, so that what is behind it is old by that. */
export const LAG_MAX = 50_000;
/** Part of a topic's retention after which somebody has to hear of what is unread: as long again is left to mend it. */
export const RETENTION_SHARE_MAX = 0.5;
/** Refused records are no news for longer than this, wall time. */
export const REJECTS_MS = 300_000;
/** Alerts that are remembered: as many as there can be stations, and some. */
const REMEMBERED_MAX = 150_000;

/** When each alert was first seen, for as long as it stays. */
export class Since {
  #first: ReadonlyMap<string, number> = new Map();

  /** When each began: as was found, else when it was first looked at. What is gone is forgotten. */
  look(found: readonly Found[], now_ms: number): ReadonlyMap<string, number> {
    const next = new Map<string, number>();
    for (const { id, since_ms } of found)
      if (next.size < REMEMBERED_MAX) next.set(id, this.#first.get(id) ?? since_ms ?? now_ms);
    this.#first = next;
    return next;
  }
}

const at = (text: string | null | undefined): number | null => (text ? Date.parse(text) : null);

/** Engines, jobs, event time and feeds, as health judged them. */
export function machinery(health: Health, jobs: readonly JobRow[]): Found[] {
  const rows = new Map(jobs.map((row) => [row.name, row]));
  const engines = health.engines
    .filter(({ status }) => status === "down")
    .map(
      ({ name, needed, detail, next }): Found => ({
        id: `engine:${name}`,
        pipeline: null,
        kind: "engine_down",
        severity: needed ? "critical" : "warning",
        subject: { kind: "engine", name },
        anomaly_id: null,
        since_ms: null,
        event_ms: null,
        text: `${name} does not work: ${detail}`,
        next: next ?? "Run: millrace status",
      }),
    );
  const judged = health.jobs
    // One that nobody wants and nothing needs has a state, and no fault.
    .filter(({ name, status, needed }) => status !== "up" && (needed || rows.get(name)?.desired))
    .map(({ name, status, needed, detail, next }): Found => {
      const row = rows.get(name);
      const beat = row?.heartbeat;
      const began =
        status === "waiting" && beat
          ? Date.parse(beat.at) + (beat.age_s - beat.state_age_s) * 1000
          : row?.state === "running"
            ? at(beat?.at)
            : at(row?.last?.at);
      return {
        id: `job:${name}`,
        pipeline: row?.pipeline || null,
        kind: status === "waiting" ? "job_waiting" : "job_down",
        severity: needed && status === "down" ? "critical" : "warning",
        subject: { kind: "job", name },
        anomaly_id: null,
        since_ms: began,
        event_ms: null,
        text: `${name} ${status === "waiting" ? "waits" : "does not work"}: ${detail}`,
        next: next ?? `Run: millrace logs ${name}`,
      };
    });
  const pipelines = health.pipelines.flatMap(({ pipeline, event_time, feed }): Found[] => {
    const of = { pipeline, anomaly_id: null, since_ms: null, event_ms: null };
    const subject = { kind: "feed", name: pipeline } as const;
    return [
      ...(event_time.status === "ahead"
        ? [
            {
              ...of,
              id: `ahead:${pipeline}`,
              kind: "event_time_ahead",
              severity: "critical",
              subject: { kind: "pipeline", name: pipeline },
              event_ms: at(event_time.watermark),
              text: `${pipeline}: ${event_time.detail}`,
              next: event_time.next ?? "GET /health says more",
            } as const,
          ]
        : []),
      ...(feed.error === null
        ? []
        : [
            {
              ...of,
              id: `feed:${pipeline}`,
              kind: "feed_down",
              severity: "critical",
              subject,
              text: `Nothing new of ${pipeline} is read: ${feed.error}`,
              next: "Run: millrace status",
            } as const,
          ]),
      ...(feed.error === null && !feed.caught_up
        ? [
            {
              ...of,
              id: `catching_up:${pipeline}`,
              kind: "catching_up",
              severity: "info",
              subject,
              text: `The newest predictions of ${pipeline} are still being read`,
              next: "Wait until GET /health/ready answers 200",
            } as const,
          ]
        : []),
    ];
  });
  return [...engines, ...judged, ...pipelines];
}

/** Topics whose readers are behind, a sink that waits for its store, people who could not be told, and records that retention is about to take. */
export function behind(lags: readonly GroupLag[], jobs: readonly JobRow[]): Found[] {
  const of = { anomaly_id: null, since_ms: null, event_ms: null } as const;
  const sums = Map.groupBy(lags, ({ group, topic }) => `${group} ${topic}`);
  const groups = [...sums.values()].flatMap((rows): Found[] => {
    const [{ group, topic } = { group: "", topic: "" }] = rows;
    const lag = rows.reduce((sum, row) => sum + row.lag, 0);
    if (lag <= LAG_MAX) return [];
    return [
      {
        ...of,
        id: `lag:${group}:${topic}`,
        pipeline: null,
        kind: "lag",
        severity: "warning",
        subject: { kind: "topic", name: topic },
        text: `${group} has ${lag} records of ${topic} still to read`,
        next: "Wait while it shrinks; where it grows, GET /system shows which process has no processor left",
      },
    ];
  });
  const sinks = jobs.flatMap((row): Found[] => {
    const { name, heartbeat, state, pipeline } = row;
    const lag = heartbeat?.counters["lag"];
    // Only a sink says which kinds of rows it wrote.
    if (
      heartbeat?.counters["predictions_rows"] === undefined &&
      heartbeat?.counters["features_rows"] === undefined
    )
      return [];
    if (state !== "running" || (heartbeat.message === null && (lag ?? 0) <= LAG_MAX)) return [];
    return [
      {
        ...of,
        id: `store:${name}`,
        pipeline: pipeline || null,
        kind: "store_behind",
        severity: "warning",
        subject: { kind: "job", name },
        text:
          heartbeat.message === null
            ? `${name} has ${lag} records still to write: history ends before now`
            : `${name} writes nothing, so that history ends before now: it ${heartbeat.message}`,
        next:
          heartbeat.message === null ? "Wait while it shrinks. Run: millrace store" : "Run: millrace status",
      },
    ];
  });
  const untold = jobs.flatMap(({ name, heartbeat, state, pipeline }): Found[] => {
    if (heartbeat?.counters["messages_sent"] === undefined) return [];
    if (state !== "running" || heartbeat.message === null) return [];
    return [
      {
        ...of,
        id: `untold:${name}`,
        pipeline: pipeline || null,
        kind: "untold",
        severity: "warning",
        subject: { kind: "job", name },
        text: `${name} cannot tell everybody of anomalies: ${heartbeat.message}`,
        next: `Look at the receiver that is named. Run: millrace logs ${name}`,
      },
    ];
  });
  const losing = jobs.flatMap(({ name, heartbeat, pipeline }): Found[] => {
    const { unread_ms, retention_ms } = heartbeat?.counters ?? {};
    if (unread_ms === undefined || retention_ms === undefined) return [];
    if (unread_ms <= RETENTION_SHARE_MAX * retention_ms) return [];
    const hours = (ms: number) => `${(ms / 3_600_000).toFixed(1)} h`;
    return [
      {
        ...of,
        id: `retention:${name}`,
        pipeline: pipeline || null,
        kind: "retention",
        severity: "critical",
        subject: { kind: "job", name },
        text: `${name} may have left records unread for ${hours(unread_ms)}; its topic keeps them for ${hours(retention_ms)}, then they are lost`,
        next: `Bring back what it waits for: GET /jobs says it. Run: millrace logs ${name}`,
      },
    ];
  });
  return [...groups, ...sinks, ...untold, ...losing];
}

/** Stations of one pipeline, and what is refused of it. `open` are the anomalies that the store says go on; null while it is away. */
export function stations(
  { contract, latest, flow }: Pick<Served, "contract" | "latest" | "flow">,
  open: readonly StoredAnomaly[] | null,
  now_ms: number,
): Found[] {
  const { pipeline } = contract;
  const entity = entityKey(contract).replace(/_id$/, "");
  const observations = (id: string) => `GET /${pipeline}/stations/${encodeURIComponent(id)}/observations`;
  const found: Found[] = [];
  const silent_ms = latest.silentSince(now_ms);
  if (silent_ms !== null)
    found.push({
      id: `silent:${pipeline}`,
      pipeline,
      kind: "network_silent",
      severity: "critical",
      subject: { kind: "pipeline", name: pipeline },
      anomaly_id: null,
      since_ms: silent_ms,
      event_ms: latest.frontier_ms,
      text: `No ${entity} of ${pipeline} has got a forecast for ${Math.round((now_ms - silent_ms) / 1000)} s`,
      next: "Run: millrace jobs, and look at what feeds the pipeline",
    });
  const runs = new Map((open ?? []).map((one) => [one.entity, one]));
  for (const id of latest.ids()) {
    const state = latest.get(id)!;
    const age = latest.age(state, now_ms);
    if (!state.prediction || !age) continue;
    const { record, arrival } = state.prediction;
    const subject = { kind: "station", name: id } as const;
    if (age.stale_reason === "trails_network")
      found.push({
        id: `stale:${pipeline}:${id}`,
        pipeline,
        kind: "station_stale",
        severity: "warning",
        subject,
        anomaly_id: null,
        since_ms: arrival.append_time_ms,
        event_ms: record.timestamp,
        text: `${id} is ${Math.round(age.behind_s / 60)} min of event time behind the others`,
        next: `Look whether it still sends; ${observations(id)} has its last windows`,
      });
    const { anomaly } = record;
    if (!anomaly?.is_anomaly) continue;
    const run = runs.get(id);
    found.push({
      id: `anomaly:${pipeline}:${id}:${anomaly.anomaly_type ?? ""}`,
      pipeline,
      kind: "anomaly",
      severity: anomaly.anomaly_score >= 1 ? "warning" : "info",
      subject,
      anomaly_id: run && run.type === anomaly.anomaly_type ? run.id : null,
      since_ms: arrival.append_time_ms,
      event_ms: run?.opened_ms ?? record.timestamp,
      text: `${id}: ${anomaly.evidence[0] ?? `${anomaly.anomaly_type} with a score of ${anomaly.anomaly_score}`}`,
      next: `${observations(id)} shows the windows; mend its sensor, or widen the rule in the contract`,
    });
  }
  const recent = flow.rejects().filter(({ last_ms }) => now_ms - last_ms < REJECTS_MS);
  for (const { reason, records } of recent)
    found.push({
      id: `rejects:${pipeline}:${reason}`,
      pipeline,
      kind: "rejects",
      severity: "info",
      subject: { kind: "pipeline", name: pipeline },
      anomaly_id: null,
      since_ms: null,
      event_ms: null,
      text: `Records of ${pipeline} are refused: ${reason} (${records} since this server reads)`,
      next: `Run: millrace rejects list --pipeline ${pipeline}`,
    });
  return found;
}
