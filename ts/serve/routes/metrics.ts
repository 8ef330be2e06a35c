// GET /metrics: everything the server knows, as Prometheus text.

import type { AppEffects } from "../effects.ts";
import { jobRows } from "../jobs.ts";
import { defineRoute } from "../route.ts";
import { z } from "../schema.ts";
import { eventTimeOf } from "./health.ts";

export function metricsRoute(effects: AppEffects) {
  const { metrics, pipelines, progress, clock } = effects;
  return defineRoute({
    name: "metrics",
    path: "/metrics",
    tag: "operation",
    summary: "Prometheus text",
    description:
      "Jobs' counters, engines, stations, feed and consumer lag, latencies. Names and units: docs/api.md.",
    type: "text/plain",
    schema: z.string(),
    answer: async () => {
      const [views, engines, lags] = await Promise.all([effects.jobs(), effects.engines(), effects.lags()]);
      const now_ms = clock.nowMs();
      const jobs = jobRows(views, progress, now_ms);
      const body = await metrics.text(
        {
          pipelines: pipelines.map((served) => ({
            name: served.contract.pipeline,
            latest: served.latest,
            verified: served.verified,
            feed: served.feed(),
            event_time: eventTimeOf(served, jobs, now_ms),
          })),
          jobs,
          engines,
          lags,
        },
        now_ms,
      );
      return { body, headers: { "content-type": metrics.registry.contentType } };
    },
  });
}
