// The pages for people: one built file at the address of each of them, which finds out by itself where it stands. What it is, and the
// names of its addresses, is known in ts/web; what it shows it asks for as any other program does.

import { entityKey } from "../../pipelines/index.ts";
import { assetResponse } from "../built.ts";
import type { AppEffects, Served } from "../effects.ts";
import { defineRoute, entityParam } from "../route.ts";
import { z } from "../schema.ts";

export function pageRoutes({ contract }: Pick<Served, "contract">, { web }: AppEffects) {
  const key = entityKey(contract);
  const page = (name: string, path: string, summary: string) =>
    ({
      name,
      path,
      tag: "description",
      summary,
      description: "For people; a page that asks this API. Its query is the page's own.",
      type: "text/html",
      schema: z.string(),
      answer: ({ request }: { readonly request: Request }) => assetResponse(web.shell, request),
    }) as const;
  return [
    defineRoute(page("page", "/", "Page of all stations, on a map where they have places")),
    defineRoute({
      ...page("station_page", `/stations/{${key}}`, "Page of one station"),
      params: entityParam(key),
    }),
    defineRoute(page("alerts_page", "/pages/alerts", "Page of what is wrong now")),
    defineRoute({
      ...page("scoreboard_page", "/pages/scoreboard", "Page of what the forecasts were worth"),
      needs: ["forecast"],
    }),
    defineRoute(page("system_page", "/pages/system", "Page of engines and jobs")),
  ];
}
