// The routes of the API, as a Hono app over effects that are passed in: stores, views, probes, clock.
// Knows HTTP and nothing of Kafka, engines or the file system. Example: `createApp(effects).request("/stations")`.

import { Hono } from "hono";
import { ENTITY_ID_LENGTH_MAX } from "../contract/index.ts";
import { entityKey } from "../pipelines/index.ts";
import type { SupervisedJob } from "../supervise/views.ts";
import { forecastBody, forecastUnits, hoursOf, iso, stationIds, stationRow, valueUnits } from "./forecast.ts";
import {
  type EngineProbe,
  type EventTime,
  eventTimeHealth,
  type FeedState,
  type Health,
  judge,
} from "./health.ts";
import { type JobProgress, type JobRow, jobRows } from "./jobs.ts";
import type { Latest } from "./latest.ts";
import type { GroupLag, Metrics } from "./metrics.ts";
import {
  openapi,
  ROUTES,
  type RouteName,
  routesOf,
  STATIONS_LIMIT,
  STATIONS_LIMIT_MAX,
  VERIFICATIONS_LIMIT,
  VERIFICATIONS_LIMIT_MAX,
} from "./openapi.ts";
import { fromError, problem, respond } from "./problem.ts";
import type { ServedContract, VerificationRecord } from "./records.ts";
import type { Score, Verified } from "./verified.ts";

/** What the page shows; built here, rendered in ts/web. */
export interface PageData {
  readonly stations: ReturnType<typeof stationsBody>;
  readonly health: Health;
  readonly scores: readonly Score[];
}

export interface AppEffects {
  readonly contract: ServedContract;
  /** Version of the software, for the API's description. */
  readonly version: string;
  /** What the confidence means, one paragraph. */
  readonly confidence: string;
  readonly latest: Latest;
  readonly verified: Verified;
  readonly progress: JobProgress;
  readonly metrics: Metrics;
  readonly clock: { nowMs(): number };
  feed(): FeedState;
  /** Each of these three answers within a bound and never rejects for an engine that is down. */
  jobs(): Promise<readonly SupervisedJob[]>;
  engines(): Promise<readonly EngineProbe[]>;
  lags(): Promise<readonly GroupLag[]>;
  /** Jobs a live forecast needs. */
  readonly needed_jobs: readonly string[];
  page(data: PageData): string;
  /** The page's script and style by path; null for a path that is not one of them. */
  asset(path: string): { readonly type: string; readonly text: string } | null;
  log(error: unknown): void;
}

/** Nothing from elsewhere is loaded, nothing inline is run. */
const PAGE_HEADERS = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
};

/** Digits only, as the description says; null for any other text that JavaScript would take for a number. */
const wholeNumber = (text: string): number | null => (/^\d+$/.test(text) ? Number(text) : null);

function stationsBody(effects: AppEffects, limit: number, after: string | null) {
  const { contract, latest } = effects;
  const now_ms = effects.clock.nowMs();
  const ids = stationIds(contract, latest);
  const rest = after === null ? ids : ids.filter((id) => id > after);
  const page = rest.slice(0, limit);
  const units = valueUnits(contract);
  const columns = Object.keys(units);
  return {
    pipeline: contract.pipeline,
    parts: contract.parts,
    at: iso(now_ms),
    frontier: latest.frontier_ms === null ? null : iso(latest.frontier_ms),
    count: ids.filter((id) => latest.get(id) !== undefined).length,
    units: { predictions: forecastUnits(contract), values: units },
    stations: page.map((id) => stationRow(contract, columns, latest, id, now_ms)),
    next: rest.length > limit ? (page.at(-1) ?? null) : null,
  };
}

/** A record as the API shows it: times as RFC 3339, every key of the schema, nothing of the transport. */
function verificationRow(key: string, station: string, record: VerificationRecord) {
  const { id, forecast_id, target, unit, horizon_h, status, truth, model, persistence, dap } = record;
  return {
    id,
    forecast_id,
    [key]: station,
    target,
    unit,
    horizon_h,
    issued: iso(record.issued),
    valid: iso(record.valid),
    judged: iso(record.judged),
    status,
    truth,
    truth_window_end: record.truth_window_end === null ? null : iso(record.truth_window_end),
    model,
    persistence,
    dap,
    model_version: record.model_version,
    arm: record.arm,
    in_sample: record.in_sample,
  };
}

function verificationsBody(
  { contract, verified, clock }: AppEffects,
  filter: Parameters<Verified["scores"]>[0],
  limit: number,
) {
  return {
    pipeline: contract.pipeline,
    at: iso(clock.nowMs()),
    frontier: verified.frontier_ms === null ? null : iso(verified.frontier_ms),
    scores: verified.scores(filter),
    verifications: verified
      .list(filter, limit)
      .map(({ station, record }) => verificationRow(entityKey(contract), station, record)),
  };
}

export function createApp(effects: AppEffects): Hono {
  const app = new Hono();
  const document = openapi(effects.contract, effects.version, effects.confidence);

  const rows = async (): Promise<JobRow[]> =>
    jobRows(await effects.jobs(), effects.progress, effects.clock.nowMs());
  const health = async (): Promise<Health> => {
    const [engines, jobs] = await Promise.all([effects.engines(), rows()]);
    const at = iso(effects.clock.nowMs());
    return judge(engines, jobs, effects.feed(), effects.needed_jobs, eventTime(jobs), at);
  };
  const eventTime = (jobs: readonly JobRow[]): EventTime => {
    const { contract, latest, needed_jobs, clock } = effects;
    const features = jobs.find(
      ({ name, heartbeat }) =>
        needed_jobs.includes(name) && heartbeat?.counters["watermark_ms"] !== undefined,
    );
    return eventTimeHealth(contract, latest.frontier_ms, features, clock.nowMs());
  };
  const json = (body: unknown, status = 200): Response =>
    new Response(`${JSON.stringify(body)}\n`, {
      status,
      headers: { "content-type": "application/json", "cache-control": "no-store" },
    });
  /** Before the catch-up ends a 404 could be wrong and an answer old. */
  const catchingUp = (path: string): Response | null =>
    effects.feed().caught_up
      ? null
      : respond(problem("catching_up", "The latest predictions have not been read up to the end yet", path), {
          "retry-after": "1",
        });

  const notOffered = (method: string, path: string): Response =>
    respond(problem("method_not_allowed", `${method} is not offered here, only GET and HEAD`, path), {
      allow: "GET, HEAD",
    });

  const handlers: Record<
    RouteName,
    (request: Request, path: string, id: string) => Promise<Response> | Response
  > = {
    page: async () =>
      new Response(
        effects.page({
          stations: stationsBody(effects, STATIONS_LIMIT, null),
          health: await health(),
          scores: effects.verified.scores({ station: null, target: null, horizon_h: null }),
        }),
        {
          headers: {
            "content-type": "text/html; charset=utf-8",
            "cache-control": "no-store",
            ...PAGE_HEADERS,
          },
        },
      ),

    prediction: (_request, path, id) => {
      const state = effects.latest.get(id);
      const early = catchingUp(path);
      if (early) return early;
      const body = state && forecastBody(effects.contract, effects.latest, state, effects.clock.nowMs());
      if (body) return json(body);
      const shown = id.slice(0, ENTITY_ID_LENGTH_MAX);
      if (state || Object.hasOwn(effects.contract.stations, id))
        return respond(problem("no_prediction", `Station "${shown}" has no prediction yet`, path));
      return respond(problem("unknown_station", `No station "${shown}" is known to this pipeline`, path));
    },

    stations: (request, path) => {
      const query = new URL(request.url).searchParams;
      const text = query.get("limit");
      const limit = text === null ? STATIONS_LIMIT : wholeNumber(text);
      if (limit === null || limit < 1 || limit > STATIONS_LIMIT_MAX)
        return respond(
          problem("bad_parameter", `Expected "limit" from 1 to ${STATIONS_LIMIT_MAX}, got "${text}"`, path),
        );
      const after = query.get("after");
      if (after !== null && after.length > ENTITY_ID_LENGTH_MAX)
        return respond(
          problem("bad_parameter", `Expected "after" of at most ${ENTITY_ID_LENGTH_MAX} characters`, path),
        );
      return catchingUp(path) ?? json(stationsBody(effects, limit, after));
    },

    verifications: (request, path) => {
      const query = new URL(request.url).searchParams;
      const [station, target, horizon, text] = ["station", "target", "horizon", "limit"].map((name) =>
        query.get(name),
      );
      const bad = (wanted: string, seen: string | null | undefined) =>
        respond(problem("bad_parameter", `Expected ${wanted}, got "${(seen ?? "").slice(0, 80)}"`, path));
      const { targets } = effects.contract;
      const hours = hoursOf(effects.contract);
      if (target != null && !targets.includes(target))
        return bad(`"target" to be one of ${targets.join(", ")}`, target);
      const horizon_h = horizon == null ? null : (hours.find((h) => String(h) === horizon) ?? null);
      if (horizon != null && horizon_h === null)
        return bad(`"horizon" to be one of ${hours.join(", ")}`, horizon);
      const limit = text == null ? VERIFICATIONS_LIMIT : wholeNumber(text);
      if (limit === null || limit > VERIFICATIONS_LIMIT_MAX)
        return bad(`"limit" from 0 to ${VERIFICATIONS_LIMIT_MAX}`, text);
      if (station != null && station.length > ENTITY_ID_LENGTH_MAX)
        return bad(`"station" of at most ${ENTITY_ID_LENGTH_MAX} characters`, station);
      const filter = { station: station ?? null, target: target ?? null, horizon_h };
      return catchingUp(path) ?? json(verificationsBody(effects, filter, limit));
    },

    jobs: async () => json({ at: iso(effects.clock.nowMs()), jobs: await rows() }),

    health: async () => {
      const body = await health();
      return json(body, body.status === "down" ? 503 : 200);
    },

    live: () => json({ status: "ok" }),

    ready: () => {
      const feed = effects.feed();
      const ready = feed.caught_up && feed.error === null;
      return json({ status: ready ? "ready" : "catching_up", feed }, ready ? 200 : 503);
    },

    metrics: async () => {
      const [jobs, engines, lags] = await Promise.all([rows(), effects.engines(), effects.lags()]);
      const text = await effects.metrics.text(
        {
          latest: effects.latest,
          verified: effects.verified,
          jobs,
          engines,
          feed: effects.feed(),
          lags,
          event_time: eventTime(jobs),
        },
        effects.clock.nowMs(),
      );
      return new Response(text, {
        headers: { "content-type": effects.metrics.registry.contentType, "cache-control": "no-store" },
      });
    },

    openapi: () => json(document),
  };

  for (const name of routesOf(effects.contract)) {
    const path = ROUTES[name].path.replace(/\{(\w+)\}/g, ":$1");
    app.get(path, async (c) => {
      const started_ms = performance.now();
      const at = c.req.path;
      let response: Response;
      try {
        response = await handlers[name](c.req.raw, at, c.req.param("station_id" as never) ?? "");
      } catch (error) {
        effects.log(error);
        response = respond(fromError(error, at));
      }
      effects.metrics.answered(
        "GET",
        ROUTES[name].path,
        response.status,
        (performance.now() - started_ms) / 1000,
      );
      return response;
    });
    app.all(path, (c) => notOffered(c.req.method, c.req.path));
  }
  app.notFound((c) => {
    const asset = effects.asset(c.req.path);
    if (asset && c.req.method !== "GET" && c.req.method !== "HEAD")
      return notOffered(c.req.method, c.req.path);
    if (asset)
      return new Response(asset.text, {
        headers: { "content-type": asset.type, "cache-control": "no-cache" },
      });
    return respond(problem("unknown_route", `Nothing is served at "${c.req.path}"`, c.req.path));
  });
  app.onError((error, c) => {
    effects.log(error);
    return respond(fromError(error, c.req.path));
  });
  return app;
}

export type StationsBody = ReturnType<typeof stationsBody>;
