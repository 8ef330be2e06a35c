// What the page says, as text and small pieces of HTML. Runs on the server for the first picture and in the browser
// for every later one, so both say the same. Pure: no clock, no fetch, no document; everything foreign is escaped.

export interface Interval {
  readonly lower: number;
  readonly upper: number;
  readonly level: number;
}

export interface StationView {
  readonly station_id: string;
  readonly name: string;
  /** False for a station of the definition of which nothing was seen in this run. */
  readonly reported: boolean;
  readonly observed: {
    readonly window_end: string;
    readonly measurement_count: number;
    readonly values: Readonly<Record<string, number | null>>;
  } | null;
  readonly forecast: {
    readonly timestamp: string;
    readonly predictions: Readonly<Record<string, number | null>>;
    readonly intervals: Readonly<Record<string, Interval | null>>;
    /** These three only of a pipeline with rules. */
    readonly is_anomaly?: boolean;
    readonly anomaly_type?: string | null;
    readonly evidence?: readonly string[];
    readonly overall_confidence: number | null;
    readonly model_version: string;
    readonly in_sample: boolean;
  } | null;
  readonly age_s: number | null;
  readonly behind_s: number | null;
  readonly stale: boolean;
  readonly stale_reason: string | null;
}

/** The part of GET /stations that is shown. */
export interface StationsView {
  readonly pipeline: string;
  readonly parts: readonly string[];
  readonly frontier: string | null;
  /** Stations that have reported, on all pages together. */
  readonly count: number;
  readonly units: {
    readonly predictions: Readonly<Record<string, string>>;
    readonly values: Readonly<Record<string, string>>;
  };
  readonly stations: readonly StationView[];
  readonly next: string | null;
}

/** The part of GET /health that is shown. */
export interface HealthView {
  readonly status: string;
  readonly ready: boolean;
  readonly engines: readonly PartView[];
  readonly jobs: readonly (PartView & { readonly state: string })[];
  readonly event_time: Omit<PartView, "name">;
}

/** The part of a score of GET /verifications that is shown. */
export interface ScoreView {
  readonly target: string;
  readonly horizon_h: number;
  readonly window: string;
  readonly unit: string;
  readonly pairs: number;
  readonly mae: number | null;
  readonly skill_persistence: number | null;
  readonly skill_dap: number | null;
  readonly coverage: Readonly<Record<string, number | null>>;
}

interface PartView {
  readonly name: string;
  readonly status: string;
  readonly detail: string;
  readonly next: string | null;
}

export interface Link {
  readonly name: string;
  readonly href: string;
}

const ESCAPE: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

export const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (c) => ESCAPE[c] ?? c);

/** A contract's unit as people write it. */
export const unitText = (unit: string): string => (unit === "degC" ? "°C" : unit === "deg" ? "°" : unit);

/** `wind_direction_circular_mean` → `Wind direction`. */
export function columnText(column: string): string {
  const words = column
    .replace(/_(circular_mean|mean|sum|max|min|std|rate|resultant)$/, "")
    .replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** How the name of a forecast ends: in whole hours, or in minutes. */
const HORIZON = /_(\d+)([hm])$/;

/** Targets of a list of forecasts, `temperature_6h` → `temperature`, in order. */
export function targetsOf(predictions: Readonly<Record<string, string>>): string[] {
  return [...new Set(Object.keys(predictions).map((name) => name.replace(HORIZON, "")))];
}

/** One of a target's forecasts. */
interface Ahead {
  readonly name: string;
  readonly hours: number;
}

/** The forecasts of one target, nearest first. */
export function horizonsOf(predictions: Readonly<Record<string, string>>, target: string): Ahead[] {
  return Object.keys(predictions)
    .filter((name) => name.replace(HORIZON, "") === target)
    .map((name) => {
      const [, count, unit] = HORIZON.exec(name) ?? [];
      return { name, hours: Number(count) / (unit === "h" ? 1 : 60) };
    })
    .sort((a, b) => a.hours - b.hours);
}

/** `6 h`, `90 min`. */
const aheadText = (hours: number): string =>
  Number.isInteger(hours) ? `${hours} h` : `${Math.round(hours * 60)} min`;

/** One decimal where it says something: pressures and angles are whole, everything else has one. */
export function valueText(value: number | null | undefined, unit: string): string {
  if (value === null || value === undefined) return "–";
  const digits = unit === "deg" || unit === "%" ? 0 : 1;
  // Minus zero would read "-0.0".
  const text = value.toFixed(digits).replace(/^-(0(?:\.0)?)$/, "$1");
  return text.replace("-", "−");
}

/** `2016-12-04T13:05:00.000Z` → `2016-12-04 13:05`. */
export const timeText = (iso: string): string => iso.slice(0, 16).replace("T", " ");

/** A span for people: `0.4 s`, `12 s`, `3 min`, `2.5 h`, `4 d`. */
export function spanText(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${seconds.toFixed(0)} s`;
  if (seconds < 7_200) return `${(seconds / 60).toFixed(0)} min`;
  if (seconds < 172_800) return `${(seconds / 3_600).toFixed(1)} h`;
  return `${(seconds / 86_400).toFixed(0)} d`;
}

export function staleText(row: StationView): string {
  if (row.stale_reason === "network_silent") return "stale: nothing arrives";
  if (row.stale_reason === "trails_network") return `stale: ${spanText(row.behind_s ?? 0)} behind`;
  return "";
}

const missing = '<span class="none">–</span>';

/** Width and height of the outlook's drawing, in CSS pixels. */
const [WIDTH, HEIGHT, PAD] = [96, 28, 3];

/** Now and the horizons as a line in its band; empty without a forecast. The numbers stand beside it, so it is hidden from readers. */
export function outlook(
  now: number | null,
  horizons: readonly number[],
  points: readonly (number | null)[],
  bands: readonly (Interval | null)[],
): string {
  const known = horizons.flatMap((h, i) => {
    const [value, band] = [points[i], bands[i]];
    return value === null || value === undefined
      ? []
      : [{ h, value, lower: band?.lower ?? value, upper: band?.upper ?? value }];
  });
  if (known.length === 0) return "";
  const all = now === null ? known : [{ h: 0, value: now, lower: now, upper: now }, ...known];
  const [low, high] = [Math.min(...all.map((p) => p.lower)), Math.max(...all.map((p) => p.upper))];
  const last = Math.max(...all.map((p) => p.h));
  const x = (h: number) => (PAD + (h / last) * (WIDTH - 2 * PAD)).toFixed(1);
  const y = (v: number) =>
    (high === low ? HEIGHT / 2 : PAD + ((high - v) / (high - low)) * (HEIGHT - 2 * PAD)).toFixed(1);
  const line = all.map((p) => `${x(p.h)},${y(p.value)}`).join(" ");
  const area = [
    ...all.map((p) => `${x(p.h)},${y(p.upper)}`),
    ...all.toReversed().map((p) => `${x(p.h)},${y(p.lower)}`),
  ].join(" ");
  const dots = all.map((p) => `<circle cx="${x(p.h)}" cy="${y(p.value)}" r="1.8"/>`).join("");
  return `<svg class="outlook" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" aria-hidden="true"><polygon points="${area}"/><polyline points="${line}"/>${dots}</svg>`;
}

/** Whether the pipeline has rules that judge windows. */
const judged = (view: StationsView): boolean => view.parts.includes("anomaly");

/** Column heads: `[text, unit]`, in the order of `cells`. */
export function heads(view: StationsView, target: string): [text: string, unit: string][] {
  const unit = (name: string) => unitText(view.units.predictions[name] ?? "");
  const horizons = horizonsOf(view.units.predictions, target);
  return [
    ["Station", "window end, UTC"],
    ...Object.entries(view.units.values).map(([c, u]): [string, string] => [columnText(c), unitText(u)]),
    ...horizons.map(({ name, hours }): [string, string] => [`In ${aheadText(hours)}`, unit(name)]),
    ["Outlook", ""],
    ["Confidence", ""],
    ...(judged(view) ? [["Anomaly", ""] as [string, string]] : []),
    ["Age", ""],
  ];
}

/** The inside of each cell of one row, in the order of `heads`. */
export function cells(row: StationView, view: StationsView, target: string): string[] {
  const { forecast, observed } = row;
  const horizons = horizonsOf(view.units.predictions, target);
  const at = forecast?.timestamp ?? observed?.window_end ?? null;
  const values = Object.entries(view.units.values).map(([column, unit]) => {
    const value = observed?.values[column];
    return value === null || value === undefined ? missing : valueText(value, unit);
  });
  const predictions = horizons.map(({ name }) => {
    const value = forecast?.predictions[name];
    const unit = view.units.predictions[name] ?? "";
    if (value === null || value === undefined) return missing;
    const interval = forecast?.intervals[name];
    const range = interval
      ? `<small>${valueText(interval.lower, unit)} to ${valueText(interval.upper, unit)}</small>`
      : "";
    return `<b>${valueText(value, unit)}</b>${range}`;
  });
  const now = observed?.values[`${target}_mean`] ?? null;
  const drawing = outlook(
    now,
    horizons.map(({ hours }) => hours),
    horizons.map(({ name }) => forecast?.predictions[name] ?? null),
    horizons.map(({ name }) => forecast?.intervals[name] ?? null),
  );
  const confidence = forecast?.overall_confidence ?? null;
  const sample = forecast?.in_sample
    ? '<br><span class="badge warn" title="The window lies in the training range: this forecast proves nothing">in sample</span>'
    : "";
  const said = forecast?.evidence?.join("; ") ?? "";
  const anomaly = !forecast
    ? missing
    : forecast.is_anomaly
      ? `<span class="badge bad" title="${escapeHtml(said)}">${escapeHtml(forecast.anomaly_type ?? "anomaly")}</span><span class="heard">: ${escapeHtml(said)}</span>`
      : '<span class="none">none</span>';
  const stale = row.stale ? `<br><span class="badge warn">${escapeHtml(staleText(row))}</span>` : "";
  return [
    `<a href="predictions/${encodeURIComponent(row.station_id)}">${escapeHtml(row.name)}</a>${at === null ? "" : ` <small><time datetime="${escapeHtml(at)}">${escapeHtml(timeText(at))}</time></small>`}`,
    ...values,
    ...predictions,
    drawing,
    confidence === null ? missing : `${Math.round(confidence * 100)} %${sample}`,
    ...(judged(view) ? [anomaly] : []),
    row.age_s === null
      ? `<span class="none">${row.reported ? "no forecast" : "has not reported"}</span>`
      : `${spanText(row.age_s)}${stale}`,
  ];
}

/** Stations that have reported first, then the others; the API's order within both. */
export function ordered(view: StationsView): StationView[] {
  return [...view.stations.filter((s) => s.reported), ...view.stations.filter((s) => !s.reported)];
}

/** One line under the table's title. Stations that have not reported in this run are no part of it. */
export function stationsSummary(view: StationsView): string {
  const reported = view.stations.filter((s) => s.reported);
  const anomalies = reported.filter((s) => s.forecast?.is_anomaly).length;
  const stale = reported.filter((s) => s.stale).length;
  const without = reported.filter((s) => s.age_s === null).length;
  const frontier = view.frontier === null ? "no forecast yet" : `event time ${timeText(view.frontier)} UTC`;
  const shown = view.next === null ? "" : ` (${reported.length} shown)`;
  const parts = [
    `${view.count} ${view.count === 1 ? "station" : "stations"}${shown}`,
    frontier,
    ...(judged(view) ? [anomalies === 1 ? "1 anomaly" : `${anomalies} anomalies`] : []),
    `${stale} stale`,
  ];
  if (without > 0 && without < reported.length) parts.push(`${without} without a forecast`);
  return parts.join(" · ");
}

const STATUS: Readonly<Record<string, string>> = {
  ok: "Everything runs",
  degraded: "Running, with a fault that forecasts do not need",
  down: "Something needed is down",
};

export const statusText = (health: HealthView): string =>
  !health.ready ? "Reading the latest forecasts" : (STATUS[health.status] ?? health.status);

const percent = (share: number): string => `${Math.round(share * 100)} %`.replace("-", "−");

/** One list item a target: how often the widest band held, and how much better than the baselines, over the last week. */
export function scored(scores: readonly ScoreView[]): string {
  const week = scores.filter((s) => s.window === "7d" && s.pairs > 0);
  if (week.length === 0) return '<li class="none">No forecast has met its truth yet</li>';
  return [...new Set(week.map((s) => s.target))]
    .map((target) => {
      const own = week.filter((s) => s.target === target);
      const line = own.map((s) => {
        const [band, held] = Object.entries(s.coverage).at(-1) ?? ["", null];
        const parts = [
          s.mae === null ? "" : `off by ${valueText(s.mae, "")} ${unitText(s.unit)}`,
          s.skill_dap === null ? "" : `${percent(s.skill_dap)} better than damped persistence`,
          held === null ? "" : `the ${band} % band held ${percent(held)}`,
        ];
        return `<small>in ${aheadText(s.horizon_h)}: ${escapeHtml(parts.filter((p) => p !== "").join(", "))}</small>`;
      });
      const pairs = own.reduce((sum, s) => sum + s.pairs, 0);
      return `<li><span>${escapeHtml(columnText(target))} <span class="kind">${pairs} verified in 7 days</span>${line.join("")}</span></li>`;
    })
    .join("");
}

/** Engines and jobs as list items; a part that is down says why and what to do. What is optional and off is not listed. */
export function parts(health: HealthView): string {
  const item = (kind: string, part: PartView) => {
    const up = part.status === "up";
    const why = up
      ? ""
      : `<small>${escapeHtml(part.detail)}${part.next ? `. ${escapeHtml(part.next)}` : ""}</small>`;
    return `<li class="${up ? "up" : "down"}"><span class="dot" aria-hidden="true"></span><span><span class="kind">${kind}</span> ${escapeHtml(part.name)} <span class="state">${escapeHtml(part.status)}</span>${why}</span></li>`;
  };
  const engines = health.engines.filter(({ status }) => status !== "off");
  const clock =
    health.event_time.status === "ok" ? [] : [item("clock", { name: "event time", ...health.event_time })];
  return [...engines.map((e) => item("engine", e)), ...health.jobs.map((j) => item("job", j)), ...clock].join(
    "",
  );
}
