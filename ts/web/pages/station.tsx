// One station: what it measures, what is forecast for it and how sure that is, whether earlier forecasts were right, and for each number
// how it is known. At any moment that the store knows.

import type { ComponentType } from "preact";
import { useMemo, useRef } from "preact/hooks";
import type { Forecast, Pipeline, Station } from "../api.ts";
import { type Field, fieldsOf } from "../field.ts";
import { useLazy } from "../lazy.ts";
import { PageLink } from "../link.tsx";
import { momentWord, shown } from "../moment.ts";
import { linkTo, route, show } from "../navigate.ts";
import { useClock } from "../now.tsx";
import { Slider } from "../slider.tsx";
import { newestOf, stateOf } from "../state.ts";
import type { Area, ChartMark, ChartProps, Line } from "../station/chart.tsx";
import { type Record, useRecord } from "../station/record.ts";
import {
  asIssued,
  fanOf,
  type Issued,
  issuedAt,
  type Point,
  type Truth,
  truthsOf,
} from "../station/series.ts";
import { lastHeard, pipeline } from "../store.ts";
import { TableBehind } from "../table.tsx";
import { momentText, ownText, utcText } from "../time.ts";
import {
  aheadText,
  errorText,
  forecastText,
  NONE,
  percentText,
  rangeText,
  spanText,
  titleOf,
  unitText,
  valueText,
  withUnit,
} from "../words.ts";

const HOUR_MS = 3_600_000;
/** How much of the past a chart shows, by its word in the address. */
const SPANS: readonly (readonly [word: string, ms: number, text: string])[] = [
  ["1d", 24 * HOUR_MS, "1 day"],
  ["2d", 48 * HOUR_MS, "2 days"],
  ["7d", 168 * HOUR_MS, "7 days"],
];
/** A line for each horizon has a colour of its own. */
const AHEAD_COLOURS = ["--ahead-1", "--ahead-2", "--ahead-3", "--ahead-4"] as const;

const loadChart = async (): Promise<ComponentType<ChartProps>> =>
  (await import("../station/chart.tsx")).Chart;

type Climatology = { readonly mean?: number; readonly lower: number; readonly upper: number };

/** What is usual at each moment that a forecast is for, where the record has it. */
function climatologyOf(issued: readonly Issued[], field: Field): Area["points"] {
  const points = new Map<number, { t_ms: number; lower: number; upper: number }>();
  for (const one of issued) {
    const bands = (one as { climatology?: Readonly<globalThis.Record<string, Climatology | null>> | null })
      .climatology;
    for (const { name, horizon_h } of field.forecasts) {
      const band = bands?.[name];
      const t_ms = Date.parse(one.timestamp) + horizon_h * HOUR_MS;
      if (band) points.set(t_ms, { t_ms, lower: band.lower, upper: band.upper });
    }
  }
  return [...points.values()].sort((a, b) => a.t_ms - b.t_ms);
}

const bandPoints = (points: readonly Point[], level: number): Area["points"] =>
  points.flatMap(({ t_ms, bands }) => {
    const band = bands.find((one) => one.level === level);
    return band ? [{ t_ms, lower: band.lower, upper: band.upper }] : [];
  });

const lineOf = (points: readonly Point[]): Line["points"] => points.map(({ t_ms, value }) => [t_ms, value]);

interface View {
  readonly pipeline: Pipeline;
  readonly field: Field;
  readonly record: Record;
  readonly from_ms: number;
  /** The moment that is shown: the newest window, or the one that was asked for. */
  readonly now_ms: number;
  readonly observed: Line["points"];
  readonly newest: Issued | null;
  readonly earlier: Issued | null;
  readonly truths: readonly Truth[];
}

/** Names of the widest band and of the narrowest, as the contract has them. */
const levelsOf = ({ bands }: Pipeline): readonly number[] =>
  bands.length < 2 ? bands : [bands.at(-1)!, bands[0]!];

function anomalyMarks({ record, field, observed }: View): ChartMark[] {
  const value = new Map(observed);
  if (!field.column) return [];
  return record.issued.flatMap((one) => {
    const t_ms = Date.parse(one.timestamp);
    const at = value.get(t_ms);
    return one.anomaly?.is_anomaly && at !== undefined
      ? [{ t_ms, value: at, shape: "triangle" as const, colour: "--anomaly" }]
      : [];
  });
}

const truthMark = ({ t_ms, value, held }: Truth): ChartMark => ({
  ...{ t_ms, value },
  shape: held === false ? "cross" : "dot",
  colour: held === false ? "--bad" : "--good",
});

/** Observed, the fan of the newest forecast, and the one of a day before that the observed line has crossed since. */
function FanChart({
  view,
  Chart,
}: {
  readonly view: View;
  readonly Chart: ComponentType<ChartProps> | null;
}) {
  const { pipeline: one, field, observed, newest, earlier, from_ms, now_ms, truths, record } = view;
  const { forecasts, unit } = field;
  const last = observed.at(-1)?.[1] ?? null;
  const measuredAt = (issued: Issued) => {
    const t_ms = Date.parse(issued.timestamp);
    return observed.find(([at_ms]) => at_ms === t_ms)?.[1] ?? null;
  };
  const fan = newest ? fanOf(newest, forecasts, measuredAt(newest) ?? last) : [];
  const before = earlier ? fanOf(earlier, forecasts, measuredAt(earlier)) : [];
  const levels = levelsOf(one);
  const ahead_h = forecasts.at(-1)?.horizon_h ?? 0;
  const usual = climatologyOf(record.issued, field);
  const areas: Area[] = [
    ...(usual.length > 1
      ? [{ name: "Usual for the season", colour: "--soft", alpha: 0.16, points: usual }]
      : []),
    ...levels.map((level, i) => ({
      name: `${Math.round(level * 100)} % of outcomes`,
      colour: "--fan",
      alpha: i === 0 ? 0.2 : 0.36,
      points: bandPoints(fan, level),
    })),
    ...(before.length > 0 && levels[0] !== undefined
      ? [
          {
            name: `The same, issued ${aheadText(ahead_h)} ago`,
            colour: "--ahead-3",
            alpha: 0.16,
            points: bandPoints(before, levels[0]),
          },
        ]
      : []),
  ];
  const met = earlier ? truths.filter(({ forecast_id }) => forecast_id === earlier.id) : [];
  const lines: Line[] = [
    ...(before.length > 0
      ? [
          {
            name: `Forecast issued ${aheadText(ahead_h)} ago`,
            colour: "--ahead-3",
            points: lineOf(before),
            dash: [3, 4],
          },
        ]
      : []),
    ...(fan.length > 0 ? [{ name: "Forecast", colour: "--fan", points: lineOf(fan), dash: [7, 4] }] : []),
    { name: "Observed", colour: "--text", points: observed },
  ];
  const anomalies = anomalyMarks(view);
  const text = (value: number) => withUnit(valueText(value, unit), unit);
  const percent = Math.round((levels[0] ?? 0) * 100);
  return (
    <section class="card">
      <h3>
        {titleOf(field.name)} {forecasts.length > 0 ? "observed, and as it is forecast" : "observed"}
      </h3>
      <div class="chart-box">
        {Chart && (
          <Chart
            label={`${titleOf(field.name)} of the last ${spanText((now_ms - from_ms) / 1000)}${newest ? " and its forecast" : ""}; the table below has the numbers.`}
            unit={unitText(unit)}
            lines={lines}
            areas={areas}
            marks={[...met.map(truthMark), ...anomalies]}
            keys={[
              ...(met.length > 0
                ? [
                    { name: `Truth inside the ${percent} % band`, shape: "dot" as const, colour: "--good" },
                    { name: "Truth outside", shape: "cross" as const, colour: "--bad" },
                  ]
                : []),
              ...(anomalies.length > 0
                ? [{ name: "Anomaly", shape: "triangle" as const, colour: "--anomaly" }]
                : []),
            ]}
            from_ms={from_ms}
            to_ms={now_ms + (fan.length > 0 ? ahead_h * HOUR_MS * 1.04 : 0)}
            now_ms={now_ms}
            text={text}
          />
        )}
      </div>
      <TableBehind
        title="As a table"
        heads={[
          "Time, UTC",
          "Observed",
          "Forecast",
          ...levels.map((level) => `${Math.round(level * 100)} % band`),
        ]}
        rows={() => [
          ...fan
            .filter(({ t_ms }) => t_ms > now_ms)
            .toReversed()
            .map(({ t_ms, value, bands }) => [
              utcText(t_ms),
              NONE,
              forecastText(value, unit, bands.at(-1)),
              ...levels.map((level) =>
                rangeText(
                  bands.find((band) => band.level === level),
                  unit,
                ),
              ),
            ]),
          ...observed
            .toReversed()
            .map(([t_ms, value]) => [utcText(t_ms), valueText(value, unit), NONE, ...levels.map(() => NONE)]),
        ]}
      />
    </section>
  );
}

/** What was forecast for each moment, some hours before, against what came. */
function IssuedChart({
  view,
  Chart,
}: {
  readonly view: View;
  readonly Chart: ComponentType<ChartProps> | null;
}) {
  const { pipeline: one, field, record, observed, from_ms, now_ms, truths } = view;
  const { forecasts, unit } = field;
  const query = route.value.query["ahead"];
  const chosen = forecasts.find(({ horizon }) => horizon === query) ?? forecasts[0]!;
  const within = (points: readonly Point[]) => points.filter(({ t_ms }) => t_ms >= from_ms && t_ms <= now_ms);
  const all = forecasts.map((forecast) => within(asIssued(record.issued, forecast)));
  const own = all[forecasts.indexOf(chosen)]!;
  const level = one.bands.at(-1) ?? 0;
  const percent = Math.round(level * 100);
  const met = truths.filter(({ horizon_h, t_ms }) => horizon_h === chosen.horizon_h && t_ms >= from_ms);
  const value = new Map(observed);
  const colourOf = (i: number) => AHEAD_COLOURS[i % AHEAD_COLOURS.length]!;
  return (
    <section class="card">
      <div class="card-head">
        <h3>What had been forecast, and what came</h3>
        <fieldset class="choice small">
          <legend class="heard">Band and truths of</legend>
          {forecasts.map(({ horizon, horizon_h }) => (
            <label key={horizon} class={horizon === chosen.horizon ? "chosen" : ""}>
              <input
                type="radio"
                name="issued"
                checked={horizon === chosen.horizon}
                onChange={() => show({ ahead: horizon })}
              />
              {aheadText(horizon_h)} before
            </label>
          ))}
        </fieldset>
      </div>
      <div class="chart-box">
        {Chart && (
          <Chart
            label={`${titleOf(field.name)} as it was forecast ${forecasts.map(({ horizon_h }) => aheadText(horizon_h)).join(", ")} before, and as it came; the table below has the numbers.`}
            unit={unitText(unit)}
            lines={[
              ...forecasts.map(({ horizon_h }, i) => ({
                name: `${aheadText(horizon_h)} before`,
                colour: colourOf(i),
                points: lineOf(all[i]!),
                dash: [6, 4],
                width: forecasts[i] === chosen ? 2.4 : 1.3,
              })),
              { name: "Observed", colour: "--text", points: observed },
            ]}
            areas={[
              {
                name: `${percent} % band, ${aheadText(chosen.horizon_h)} before`,
                colour: colourOf(forecasts.indexOf(chosen)),
                alpha: 0.2,
                points: bandPoints(own, level),
              },
            ]}
            marks={met.map(truthMark)}
            keys={
              met.length > 0
                ? [
                    { name: "Truth inside the band", shape: "dot", colour: "--good" },
                    { name: "Truth outside", shape: "cross", colour: "--bad" },
                  ]
                : []
            }
            from_ms={from_ms}
            to_ms={now_ms}
            now_ms={null}
            text={(number) => withUnit(valueText(number, unit), unit)}
          />
        )}
      </div>
      <TableBehind
        title="As a table"
        heads={[
          "For, UTC",
          `Forecast ${aheadText(chosen.horizon_h)} before`,
          `${percent} % band`,
          "Observed",
          "Off by",
        ]}
        rows={() =>
          own.toReversed().map(({ t_ms, value: forecast, bands }) => {
            const truth = value.get(t_ms) ?? null;
            return [
              utcText(t_ms),
              forecastText(forecast, unit, bands.at(-1)),
              rangeText(bands.at(-1), unit),
              valueText(truth, unit),
              errorText(truth === null ? null : forecast - truth, unit),
            ];
          })
        }
      />
    </section>
  );
}

/** One horizon of the newest forecast in words: what, how sure, and how often such a promise was kept. */
function Ahead({
  view,
  forecast,
  issued,
}: {
  readonly view: View;
  readonly forecast: Field["forecasts"][number];
  readonly issued: Issued;
}) {
  const { record, pipeline: one } = view;
  const { unit, name, target, horizon_h } = forecast;
  const bands = issued.bands[name] ?? [];
  const widest = bands.at(-1);
  const value = issued.predictions[name] ?? null;
  const valid_ms = Date.parse(issued.timestamp) + horizon_h * HOUR_MS;
  const score = record.scores.find(
    (row) => row.target === target && row.horizon_h === horizon_h && row.window === "7d",
  );
  const promised = one.bands.at(-1) ?? 0;
  const kept = score?.coverage[String(Math.round(promised * 100))] ?? null;
  return (
    <li class="card figure-card">
      <h4>In {aheadText(horizon_h)}</h4>
      <p class="when">
        {utcText(valid_ms)}
        <small>{ownText(valid_ms)}</small>
      </p>
      <p class="big">
        {forecastText(value, unit, widest)} <span>{unitText(unit)}</span>
      </p>
      <dl>
        {levelsOf(one)
          .toReversed()
          .map((level) => (
            <div key={level}>
              <dt>{Math.round(level * 100)} % between</dt>
              <dd>
                {rangeText(
                  bands.find((band) => band.level === level),
                  unit,
                )}
              </dd>
            </div>
          ))}
        <div>
          <dt>{percentText(promised)} band held</dt>
          <dd title="Of the last seven days of event time.">
            {kept === null ? "not yet known" : `${percentText(kept)} of ${score!.pairs}`}
          </dd>
        </div>
        <div>
          <dt>Usually off by</dt>
          <dd>
            {score?.mae == null
              ? "not yet known"
              : withUnit(valueText(score.mae, score.unit === "%" ? "1" : score.unit), unit)}
          </dd>
        </div>
      </dl>
    </li>
  );
}

function Anomalies({ record, word }: { readonly record: Record; readonly word: string }) {
  const flagged = record.issued.filter(({ anomaly }) => anomaly?.is_anomaly).toReversed();
  const runOf = (t_ms: number, type: string | null) =>
    record.anomalies.find(
      (run) => run.type === type && Date.parse(run.opened) <= t_ms && t_ms <= Date.parse(run.last),
    );
  return (
    <section class="card">
      <h3>Anomalies</h3>
      {flagged.length === 0 ? (
        <p class="note">No window of this {word} was flagged in the time that is shown.</p>
      ) : (
        <ul class="anomalies">
          {flagged.slice(0, 50).map(({ id, timestamp, anomaly }) => {
            const t_ms = Date.parse(timestamp);
            const run = runOf(t_ms, anomaly!.anomaly_type);
            return (
              <li key={id}>
                <b>
                  <i class="shape anomaly" aria-hidden="true" /> {titleOf(anomaly!.anomaly_type ?? "unusual")}
                </b>{" "}
                <time dateTime={timestamp}>{momentText(t_ms)}</time>
                <p>{anomaly!.evidence.join("; ") || "No evidence was recorded."}</p>
                <small>
                  Score {anomaly!.anomaly_score.toFixed(1)}; 1 and more is at or beyond a limit.
                  {run && run.ended === null && " It has not ended."}
                </small>
              </li>
            );
          })}
        </ul>
      )}
    </section>
  );
}

/** How the shown forecast is known: which model, from what, how long it took. */
function Known({
  newest,
  issued,
  one,
}: {
  readonly newest: Forecast | null;
  readonly issued: Issued;
  readonly one: Pipeline;
}) {
  const confidence = newest ? Object.entries(newest.confidence) : [];
  const rows: readonly (readonly [string, string])[] = [
    [
      "Model version",
      `${issued.model_version}${issued.in_sample ? ", on data it was trained on: proves nothing" : ""}`,
    ],
    ["Issued at", momentText(Date.parse(issued.timestamp))],
    [
      "Made from",
      `the window of ${spanText(one.window_ms / 1000)} that ends then, and the history before it`,
    ],
    ...(newest?.latency_ms == null
      ? []
      : [["From record to forecast", `${(newest.latency_ms / 1000).toFixed(2)} s`] as const]),
    ...confidence.map(([name, share]) => [titleOf(name), percentText(share)] as const),
    ["Identity", issued.id],
  ];
  return (
    <section class="card">
      <h3>How these numbers are known</h3>
      <dl class="known">
        {rows.map(([name, text]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{text}</dd>
          </div>
        ))}
      </dl>
      <p class="note">
        Bands are scaled by how often this {one.entity}’s own truths fell outside. What a confidence means is
        told in the <a href="/docs">API’s description</a>.
      </p>
    </section>
  );
}

function Values({
  station,
  fields,
  chosen,
  one,
}: {
  readonly station: Station;
  readonly fields: readonly Field[];
  readonly chosen: Field | null;
  readonly one: Pipeline;
}) {
  const { observed } = station;
  return (
    <section class="card figure-card" aria-label="Newest values">
      <h4>Now</h4>
      <p class="when">
        {observed ? utcText(Date.parse(observed.window_end)) : "Nothing measured yet"}
        <small>{observed ? ownText(Date.parse(observed.window_end)) : " "}</small>
      </p>
      {chosen?.column && (
        <p class="big">
          {valueText(observed?.values[chosen.column], chosen.unit)} <span>{unitText(chosen.unit)}</span>
        </p>
      )}
      <dl>
        {fields
          .filter((field) => field.column !== null && field !== chosen)
          .map(({ name, column, unit }) => (
            <div key={name}>
              <dt>{titleOf(name)}</dt>
              <dd>{observed ? withUnit(valueText(observed.values[column!], unit), unit) : NONE}</dd>
            </div>
          ))}
        <div>
          <dt>From</dt>
          <dd>
            {observed
              ? `${observed.measurement_count} ${observed.measurement_count === 1 ? "reading" : "readings"} in ${spanText(one.window_ms / 1000)}`
              : NONE}
          </dd>
        </div>
      </dl>
    </section>
  );
}

/** The store may be behind what memory knows. */
const newerOf = (a: Issued | null, b: Issued | null): Issued | null =>
  a && b ? (a.timestamp >= b.timestamp ? a : b) : (a ?? b);

const placeText = ({ latitude, longitude, elevation_m }: Station): string =>
  latitude === null || longitude === null
    ? ""
    : [
        `${Math.abs(latitude).toFixed(2)}° ${latitude < 0 ? "S" : "N"}, ${Math.abs(longitude).toFixed(2)}° ${longitude < 0 ? "W" : "E"}`,
        ...(elevation_m === null ? [] : [`${Math.round(elevation_m)} m`]),
      ].join(", ");

export function StationPage() {
  const now = useClock(5_000);
  const Chart = useLazy(loadChart);
  const { value: one } = pipeline;
  const { stations, frontier_ms, at_ms } = shown.value;
  const { station: id, query } = route.value;
  const fields = useMemo(() => (one ? fieldsOf(one) : []), [one]);
  const field = fields.find(({ name }) => name === query["field"]) ?? fields[0] ?? null;
  const [span, span_ms] = SPANS.find(([word]) => word === query["span"]) ?? SPANS[1]!;
  const station = stations?.get(id ?? "") ?? null;
  const now_ms = at_ms ?? (station ? newestOf(station) : null) ?? frontier_ms;
  const ahead_ms = (field?.forecasts.at(-1)?.horizon_h ?? 0) * HOUR_MS;
  // Whole days: what is shown moves on with every window, what was asked for must not.
  const asked_ms =
    now_ms === null ? null : Math.floor((now_ms - span_ms - ahead_ms) / (24 * HOUR_MS)) * 24 * HOUR_MS;
  const record = useRecord(
    one && id !== null && asked_ms !== null
      ? {
          ...{ pipeline: one.pipeline, station: id, from_ms: asked_ms, at_ms },
          forecasts: one.parts.includes("forecast"),
          anomalies: one.parts.includes("anomaly"),
          stored: one.history !== null,
          forecast: (station?.forecast ?? null) !== null,
        }
      : null,
  );
  // A chart that is drawn piece by piece would move its own key.
  const drawn = useRef(false);
  drawn.current ||= record.loaded;
  const ready = drawn.current ? Chart : null;
  if (one && stations && !station)
    return (
      <section class="empty">
        <h2>
          No {one.entity} is called “{id}”{at_ms === null ? "" : " at that moment"}
        </h2>
        <p>
          <PageLink href={linkTo({ page: "map" })}>All {one.entity}s</PageLink>
        </p>
        <Slider />
      </section>
    );
  const heard_ms = lastHeard.value;
  const state =
    one && station
      ? stateOf(station, {
          frontier_ms,
          silent_s: at_ms === null && heard_ms !== null ? (now - heard_ms) / 1000 : null,
          rule: one.stale_after,
        })
      : null;
  const from_ms = (now_ms ?? 0) - span_ms;
  const view: View | null =
    one && field && now_ms !== null
      ? {
          ...{ pipeline: one, field, record, from_ms, now_ms },
          observed: record.windows.flatMap(({ window_end, values }) => {
            const value = field.column === null ? null : (values[field.column] ?? null);
            const t_ms = Date.parse(window_end);
            return value === null || t_ms < from_ms || t_ms > now_ms ? [] : [[t_ms, value] as const];
          }),
          newest: newerOf(
            record.issued.at(-1) ?? null,
            at_ms === null ? (record.newest as Issued | null) : null,
          ),
          earlier: issuedAt(record.issued, now_ms - ahead_ms, one.step_ms / 2),
          truths: truthsOf(record.verifications, field.name, Math.round((one.bands.at(-1) ?? 0) * 100)),
        }
      : null;
  const forecasts = field?.forecasts ?? [];
  return (
    <>
      <div class="bar">
        <div>
          <p class="crumb">
            <PageLink href={linkTo({ page: "map" })}>{titleOf(`${one?.entity ?? "station"}s`)}</PageLink>
          </p>
          <h2>{station?.name ?? id}</h2>
          <p class="summary">
            {state && (
              <span class={state.kind} title={state.detail}>
                <i class={`shape ${state.kind}`} aria-hidden="true" /> {state.text}
              </span>
            )}
            {station && placeText(station) !== "" && ` · ${placeText(station)}`}
          </p>
        </div>
        <div class="tools">
          {one && (
            <>
              <label>
                <span>Field</span>
                <select
                  value={field?.name ?? ""}
                  onChange={(event) => show({ field: event.currentTarget.value })}
                >
                  {fields.map(({ name }) => (
                    <option key={name} value={name}>
                      {titleOf(name)}
                    </option>
                  ))}
                </select>
              </label>
              <fieldset class="choice">
                <legend>Past</legend>
                {SPANS.map(([word, , text]) => (
                  <label key={word} class={word === span ? "chosen" : ""}>
                    <input
                      type="radio"
                      name="span"
                      checked={word === span}
                      onChange={() => show({ span: word })}
                    />
                    {text}
                  </label>
                ))}
              </fieldset>
            </>
          )}
        </div>
      </div>
      <ul class="figures">
        <li>{one && station && <Values station={station} fields={fields} chosen={field} one={one} />}</li>
        {view?.newest
          ? forecasts.map((forecast) => (
              <Ahead key={forecast.name} view={view} forecast={forecast} issued={view.newest!} />
            ))
          : forecasts.map(({ name }) => <li key={name} class="card figure-card" />)}
      </ul>
      <Slider />
      {record.fault !== null && (
        <p class="fault-text" role="status">
          The past is not there: {record.fault} What comes from now on is shown.
        </p>
      )}
      {station && now_ms === null && (
        <p class="note">This {one?.entity} has not reported yet: there is nothing to draw.</p>
      )}
      {view ? <FanChart view={view} Chart={ready} /> : <section class="card chart-card" aria-busy="true" />}
      {forecasts.length > 0 &&
        (view ? <IssuedChart view={view} Chart={ready} /> : <section class="card chart-card" />)}
      <div class="halves">
        {one?.parts.includes("anomaly") && <Anomalies record={record} word={one.entity} />}
        {one && view?.newest && <Known newest={record.newest} issued={view.newest} one={one} />}
      </div>
      {one && id !== null && (
        <p class="note">
          The same for programs:{" "}
          <a
            href={`/${one.pipeline}/stations/${encodeURIComponent(id)}/observations?from=${momentWord(Math.max(0, from_ms))}`}
          >
            observations
          </a>
          {one.parts.includes("forecast") && (
            <>
              , <a href={`/${one.pipeline}/predictions/${encodeURIComponent(id)}`}>the newest forecast</a>,{" "}
              <a
                href={`/${one.pipeline}/predictions/${encodeURIComponent(id)}/history?from=${momentWord(Math.max(0, from_ms))}`}
              >
                those before
              </a>
            </>
          )}
          .
        </p>
      )}
    </>
  );
}
