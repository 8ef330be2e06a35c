// The API as a Hono app over effects that are passed in: memory, views, probes, clock. Puts the routes of ts/serve/routes together,
// each pipeline's below its name and the default one's without it as well, and describes them in one document.
// Knows HTTP and nothing of Kafka, engines or the file system. Example: `createApp(effects).request("/stations")`.

import { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import { assetResponse } from "./built.ts";
import { domainRoutes } from "./domain.ts";
import type { AppEffects, Served } from "./effects.ts";
import { guard } from "./guard.ts";
import { fromError, problem, respond } from "./problem.ts";
import { mount, type Route, TAGS } from "./route.ts";
import { alertsRoute } from "./routes/alerts.ts";
import { anomaliesRoute } from "./routes/anomalies.ts";
import { anomaliesAtomRoute } from "./routes/anomalies_atom.ts";
import { anomalyRoute } from "./routes/anomaly.ts";
import { descriptionRoutes } from "./routes/description.ts";
import { healthRoutes } from "./routes/health.ts";
import { historyRoute } from "./routes/history.ts";
import { jobsRoute } from "./routes/jobs.ts";
import { metricsRoute } from "./routes/metrics.ts";
import { modelsRoute } from "./routes/models.ts";
import { observationsRoute } from "./routes/observations.ts";
import { pageRoutes } from "./routes/page.ts";
import { pipelinesRoute } from "./routes/pipelines.ts";
import { predictionRoute } from "./routes/prediction.ts";
import { scoreboardRoute } from "./routes/scoreboard.ts";
import { stationsRoute } from "./routes/stations.ts";
import { streamRoute } from "./routes/stream.ts";
import { systemRoute } from "./routes/system.ts";
import { verificationsRoute } from "./routes/verifications.ts";

export type { AppEffects, Served } from "./effects.ts";

/** The routes that a pipeline's parts bring. */
function ofPipeline(served: Served, effects: AppEffects): Route[] {
  const { parts } = served.contract;
  return [
    ...pageRoutes(served, effects),
    predictionRoute(served, effects),
    historyRoute(served, effects),
    stationsRoute(served, effects),
    observationsRoute(served),
    verificationsRoute(served, effects),
    scoreboardRoute(served, effects),
    anomaliesRoute(served, effects),
    anomaliesAtomRoute(served, effects),
    anomalyRoute(served, effects),
  ].filter(({ needs }) => needs.every((part) => parts.includes(part)));
}

/** A domain's own, beside them. A module that does not keep its word costs nobody else the server. */
function ownRoutes(served: Served, effects: AppEffects): readonly Route[] {
  try {
    return domainRoutes(served, effects);
  } catch (error) {
    effects.log(error);
    return [];
  }
}

/** Those that span all pipelines. */
function ofNamespace(effects: AppEffects): Route[] {
  const parts = new Set(effects.pipelines.flatMap(({ contract }) => contract.parts));
  return [
    pipelinesRoute(effects),
    streamRoute(effects),
    modelsRoute(effects),
    jobsRoute(effects),
    alertsRoute(effects),
    systemRoute(effects),
    ...healthRoutes(effects),
    metricsRoute(effects),
  ].filter(({ needs }) => needs.every((part) => parts.has(part)));
}

/** What was wrong with a parameter, in the words of every other refusal. */
function badParameter(issue: { readonly path: PropertyKey[]; readonly message: string }, c: Context) {
  const name = String(issue.path[0] ?? "");
  const seen = (c.req.query(name) ?? "").slice(0, 80);
  return respond(problem("bad_parameter", `Expected "${name}" ${issue.message}, got "${seen}"`, c.req.path));
}

export function createApp(effects: AppEffects): OpenAPIHono {
  const { pipelines, metrics } = effects;
  const [usual] = pipelines;
  if (!usual) throw new TypeError("An app needs a pipeline");
  const app = new OpenAPIHono({
    defaultHook: (result, c) => {
      if (result.success) return;
      // An id that cannot be is one that nobody has.
      if (result.target === "param") {
        const anomaly = result.error.issues[0]!.path[0] === "anomaly_id";
        return respond(
          anomaly
            ? problem("unknown_anomaly", "No anomaly has such an id", c.req.path)
            : problem("unknown_station", "No station has such an id", c.req.path),
        );
      }
      return badParameter(result.error.issues[0]!, c);
    },
  });

  const notOffered = (c: Context): Response =>
    respond(
      problem("method_not_allowed", `${c.req.method} is not offered here, only GET and HEAD`, c.req.path),
      { allow: "GET, HEAD" },
    );

  app.use(guard(effects.guard));

  const put = (route: Route, prefix: string, operation: string) => {
    mount(app, route, {
      prefix,
      operation,
      answer: async (c, work) => {
        const started_ms = performance.now();
        let response: Response;
        try {
          response = await work();
        } catch (error) {
          effects.log(error);
          response = respond(fromError(error, c.req.path));
        }
        metrics.answered("GET", route.path, response.status, (performance.now() - started_ms) / 1000);
        return response;
      },
    });
    app.all(`${prefix}${route.path}`.replace(/\{(\w+)\}/g, ":$1"), notOffered);
  };

  const spanning = [...ofNamespace(effects), ...descriptionRoutes(() => documentOf(app, effects))];
  for (const route of spanning) put(route, "", route.name);
  for (const served of pipelines) {
    const { pipeline } = served.contract;
    for (const route of ofPipeline(served, effects)) {
      if (served === usual) put(route, "", route.name);
      put(route, `/${pipeline}`, `${pipeline}_${route.name}`);
    }
    for (const route of ownRoutes(served, effects)) {
      put(route, "", `domain_${pipeline}_${route.name}`);
      put(route, `/${pipeline}`, `${pipeline}_domain_${route.name}`);
    }
  }

  app.notFound((c) => {
    const asset = effects.web.asset(c.req.path);
    if (!asset) return respond(problem("unknown_route", `Nothing is served at "${c.req.path}"`, c.req.path));
    if (c.req.method !== "GET" && c.req.method !== "HEAD") return notOffered(c);
    return assetResponse(asset, c.req.raw);
  });
  app.onError((error, c) => {
    effects.log(error);
    return respond(fromError(error, c.req.path));
  });
  return app;
}

/** The OpenAPI 3.1 document of everything that is mounted. */
export function documentOf(app: OpenAPIHono, { pipelines, version }: AppEffects): Record<string, unknown> {
  const names = pipelines.map(({ contract }) => contract.pipeline);
  const { webhooks: _, ...document } = app.getOpenAPI31Document({
    openapi: "3.1.0",
    info: {
      title: `Millrace: ${names.join(", ")}`,
      version,
      description: `Latest forecasts with units, intervals, ages and provenance, of ${names.join(", ")}. Paths without a pipeline are those of ${names[0]}. Times are RFC 3339 in UTC. A key is never missing: what is not known is null. Errors are RFC 9457 problem documents whose \`next\` says what to do.`,
    },
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
  });
  return document as unknown as Record<string, unknown>;
}
