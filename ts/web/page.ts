// The page at "/", complete before any script runs; client.ts keeps it fresh. Loads nothing from elsewhere.

import { readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import {
  cells,
  escapeHtml,
  type HealthView,
  heads,
  type Link,
  ordered,
  parts,
  type ScoreView,
  type StationsView,
  scored,
  stationsSummary,
  statusText,
  targetsOf,
} from "./cells.ts";
import type { Polling } from "./client.ts";

/** How the page polls: one request at a time, slower after a failure, none while it is hidden. */
export const POLLING: Polling = {
  stations_ms: 2_000,
  health_ms: 5_000,
  timeout_ms: 5_000,
  backoff_ms_max: 30_000,
};

const file = (name: string) => readFileSync(new URL(name, import.meta.url), "utf8");

/** The browser's files by path. Types are stripped here, so the browser runs the source that tsc checked. */
export function assets(): ReadonlyMap<string, { readonly type: string; readonly text: string }> {
  const script = (name: string) => ({
    type: "text/javascript; charset=utf-8",
    text: stripTypeScriptTypes(file(name)),
  });
  return new Map([
    ["/web/client.ts", script("./client.ts")],
    ["/web/cells.ts", script("./cells.ts")],
    ["/web/page.css", { type: "text/css; charset=utf-8", text: file("./page.css") }],
  ]);
}

export interface Page {
  readonly stations: StationsView;
  readonly health: HealthView;
  /** What the forecasts were worth. */
  readonly scores: readonly ScoreView[];
  /** The engines' own pages. */
  readonly links: readonly Link[];
}

export function page({ stations, health, scores, links }: Page): string {
  const targets = targetsOf(stations.units.predictions);
  const target = targets[0] ?? "";
  const unit = (text: string) => (text ? ` <span class="unit">${escapeHtml(text)}</span>` : "");
  const head = heads(stations, target)
    .map(([text, u]) => `<th scope="col">${escapeHtml(text)}${unit(u)}</th>`)
    .join("");
  const body = ordered(stations)
    .map((row) => {
      const [first, ...rest] = cells(row, stations, target);
      return `<tr data-station="${escapeHtml(row.station_id)}"><th scope="row">${first}</th>${rest.map((c) => `<td>${c}</td>`).join("")}</tr>`;
    })
    .join("\n");
  const title = stations.pipeline.charAt(0).toUpperCase() + stations.pipeline.slice(1);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(title)} · Millrace</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/web/page.css">
<noscript><meta http-equiv="refresh" content="15"></noscript>
<script type="module" src="/web/client.ts"></script>
</head>
<body data-polling="${escapeHtml(JSON.stringify(POLLING))}">
<header>
<div><h1>${escapeHtml(title)} forecasts</h1><p class="tag">Millrace: forecasts you can trust and check</p></div>
<p id="status" class="status ${escapeHtml(health.ready ? health.status : "degraded")}" role="status">${escapeHtml(statusText(health))}</p>
<nav aria-label="Engines and API"><ul>${links.map((l) => `<li><a href="${escapeHtml(l.href)}">${escapeHtml(l.name)}</a></li>`).join("")}</ul></nav>
</header>
<main>
<section aria-labelledby="stations-title">
<div class="bar">
<div><h2 id="stations-title">Stations</h2><p id="summary">${escapeHtml(stationsSummary(stations))}</p></div>
<div class="tools">
<label>Find a station <input id="find" type="search" autocomplete="off" placeholder="name or id"></label>
<label>Forecast of <select id="target">${targets.map((t) => `<option value="${escapeHtml(t)}">${escapeHtml(t)}</option>`).join("")}</select></label>
</div>
</div>
<div class="scroll" role="region" aria-labelledby="stations-title" tabindex="0">
<table>
<caption>Latest values of each station, and its forecast with the interval that should hold nine of ten outcomes. Ages are wall time, all other times are event time.</caption>
<thead><tr>${head}</tr></thead>
<tbody id="rows">
${body}
</tbody>
</table>
</div>
<p id="fault" class="fault" role="alert" hidden></p>
</section>
<section aria-labelledby="verified-title">
<h2 id="verified-title">Held against the truth</h2>
<ul id="verified" class="parts">${scored(scores)}</ul>
</section>
<section aria-labelledby="parts-title">
<h2 id="parts-title">Engines and jobs</h2>
<ul id="parts" class="parts">${parts(health)}</ul>
</section>
</main>
</body>
</html>
`;
}
