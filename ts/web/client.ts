// Keeps the page fresh in the browser by polling GET /stations, GET /health and GET /verifications. Imports only what the server serves.
// Bounded: one request at a time, a timeout on each, slower after failures, silent while the page is hidden.

import {
  cells,
  escapeHtml,
  type HealthView,
  heads,
  ordered,
  parts,
  type ScoreView,
  type StationsView,
  scored,
  stationsSummary,
  statusText,
} from "./cells.ts";

export interface Polling {
  readonly stations_ms: number;
  readonly health_ms: number;
  readonly timeout_ms: number;
  readonly backoff_ms_max: number;
}

const find = <E extends HTMLElement>(id: string) => document.getElementById(id) as E;
const polling = JSON.parse(document.body.dataset["polling"] ?? "{}") as Polling;
const rows = find<HTMLTableSectionElement>("rows");
const filter = find<HTMLInputElement>("find");
const target = find<HTMLSelectElement>("target");
const fault = find("fault");

let view: StationsView | null = null;
/** Last HTML of each cell by station: a cell is looked at only when it changed. */
const drawn = new Map<string, string[]>();

const template = document.createElement("template");

/** Gives an element new content, leaving the parts that stay the same alone: a focused link keeps its focus. */
function put(element: Element, html: string): void {
  template.innerHTML = html;
  const [now, next] = [[...element.childNodes], [...template.content.childNodes]];
  next.forEach((node, i) => {
    const held = now[i];
    if (!held) element.append(node);
    else if (!held.isEqualNode(node)) held.replaceWith(node);
  });
  for (const node of now.slice(next.length)) node.remove();
}

function drawHeads(stations: StationsView): void {
  const row = rows.parentElement?.querySelector("thead tr");
  if (!row) return;
  const html = heads(stations, target.value).map(
    ([text, unit]) =>
      `<th scope="col">${escapeHtml(text)}${unit ? ` <span class="unit">${escapeHtml(unit)}</span>` : ""}</th>`,
  );
  put(row, html.join(""));
}

function draw(): void {
  if (!view) return;
  const stations = view;
  const wanted = filter.value.trim().toLowerCase();
  const byId = new Map([...rows.rows].map((row) => [row.dataset["station"] ?? "", row]));
  ordered(stations).forEach((station, i) => {
    const inside = cells(station, stations, target.value);
    let row = byId.get(station.station_id);
    if (row && row.cells.length !== inside.length) {
      row.remove();
      drawn.delete(station.station_id);
      row = undefined;
    }
    if (!row) {
      row = document.createElement("tr");
      row.dataset["station"] = station.station_id;
      const head = document.createElement("th");
      head.scope = "row";
      row.append(head, ...inside.slice(1).map(() => document.createElement("td")));
    }
    if (rows.rows[i] !== row) rows.insertBefore(row, rows.rows[i] ?? null);
    const before = drawn.get(station.station_id);
    inside.forEach((html, j) => {
      const cell = row.cells[j];
      if (cell && before?.[j] !== html) put(cell, html);
    });
    drawn.set(station.station_id, inside);
    row.hidden = wanted !== "" && !`${station.name} ${station.station_id}`.toLowerCase().includes(wanted);
    byId.delete(station.station_id);
  });
  for (const [id, row] of byId) {
    row.remove();
    drawn.delete(id);
  }
  drawHeads(stations);
  const text = stationsSummary(stations);
  if (find("summary").textContent !== text) find("summary").textContent = text;
}

function drawHealth(health: HealthView): void {
  const status = find("status");
  const text = statusText(health);
  if (status.textContent !== text) status.textContent = text;
  status.className = `status ${health.ready ? health.status : "degraded"}`;
  put(find("parts"), parts(health));
}

/** The body of a JSON answer; `also` names statuses whose body is wanted too. */
async function get<T>(path: string, also: readonly number[] = []): Promise<T> {
  const response = await fetch(path, { signal: AbortSignal.timeout(polling.timeout_ms) });
  if (response.ok || also.includes(response.status)) return (await response.json()) as T;
  const problem = (await response.json().catch(() => null)) as { title?: string; next?: string } | null;
  throw new Error(problem?.title ? `${problem.title}. ${problem.next ?? ""}` : `HTTP ${response.status}`);
}

const pause = (ms: number) =>
  new Promise<void>((resolve) => {
    const timer = setTimeout(done, ms);
    function done() {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", done);
      resolve();
    }
    document.addEventListener("visibilitychange", done);
  });

async function poll(every_ms: number, step: () => Promise<void>): Promise<never> {
  let wait_ms = every_ms;
  for (;;) {
    await pause(wait_ms);
    if (document.hidden) continue;
    try {
      await step();
      wait_ms = every_ms;
    } catch {
      wait_ms = Math.min(wait_ms * 2, polling.backoff_ms_max);
    }
  }
}

filter.addEventListener("input", draw);
target.addEventListener("change", draw);

async function refreshStations(): Promise<void> {
  try {
    view = await get<StationsView>("stations");
    fault.hidden = true;
    draw();
  } catch (error) {
    const reason =
      error instanceof Error && error.name === "Error" ? error.message : "No answer from the server.";
    const text = `These values are not being refreshed: ${reason}`;
    if (fault.textContent !== text) fault.textContent = text;
    fault.hidden = false;
    throw error;
  }
}

// The first picture came with the page; the tools need its data at once.
void refreshStations().catch(() => undefined);
void poll(polling.stations_ms, refreshStations);
void poll(polling.health_ms, async () => {
  const { scores } = await get<{ scores: readonly ScoreView[] }>("verifications?limit=0");
  put(find("verified"), scored(scores));
});
void poll(polling.health_ms, async () => drawHealth(await get<HealthView>("/health", [503])));
