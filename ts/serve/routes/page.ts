// GET /: the page for people, of one pipeline. Built here, rendered in ts/web.

import type { AppEffects, Served } from "../effects.ts";
import { defineRoute } from "../route.ts";
import { z } from "../schema.ts";
import { type Health, healthNow } from "./health.ts";
import { STATIONS_LIMIT, type StationsBody, stationsBody } from "./stations.ts";
import type { Score } from "./verifications.ts";

/** What the page shows. */
export interface PageData {
  readonly stations: StationsBody;
  readonly health: Health;
  readonly scores: readonly Score[];
}

export function pageRoute(served: Served, effects: AppEffects) {
  return defineRoute({
    name: "page",
    needs: ["forecast"],
    path: "/",
    tag: "description",
    summary: "Page for people",
    description:
      "Stations with their latest values and forecasts, engines and jobs, and links to the engines' own pages.",
    type: "text/html",
    schema: z.string(),
    answer: async () => ({
      body: effects.page({
        stations: stationsBody(served, effects.clock.nowMs(), STATIONS_LIMIT, null),
        health: await healthNow(effects),
        scores: served.verified.scores({ station: null, target: null, horizon_h: null }),
      }),
      headers: { "content-type": "text/html; charset=utf-8" },
    }),
  });
}
