// One station: what it measures, what is forecast for it and how sure that is, whether earlier forecasts were right, and for each number
// how it is known. At any moment that the store knows.

import type { ComponentType } from "preact";
import { useMemo, useRef } from "preact/hooks";
import type { Station } from "../api.ts";
import { Choice, FieldChoice } from "../choice.tsx";
import { fieldsOf } from "../field.ts";
import { useLazy } from "../lazy.ts";
import { PageLink } from "../link.tsx";
import { momentWord, shown } from "../moment.ts";
import { linkTo, route, show } from "../navigate.ts";
import { useClock } from "../now.tsx";
import { Slider } from "../slider.tsx";
import { newestOf, stateOf } from "../state.ts";
import { Anomalies } from "../station/anomalies.tsx";
import type { ChartProps } from "../station/chart.tsx";
import { FanChart } from "../station/fan.tsx";
import { Ahead, Values } from "../station/figures.tsx";
import { IssuedChart } from "../station/issued.tsx";
import { Known } from "../station/known.tsx";
import { type Issued, issuedAt, truthsOf } from "../station/series.ts";
import { useRecord } from "../station/use.ts";
import { newerOf, type View } from "../station/view.ts";
import { lastHeard, pipeline } from "../store.ts";
import { titleOf } from "../words.ts";

const HOUR_MS = 3_600_000;

/** How much of the past a chart shows, by its word in the address. */
const SPANS: readonly (readonly [word: string, ms: number, text: string])[] = [
  ["1d", 24 * HOUR_MS, "1 day"],
  ["2d", 48 * HOUR_MS, "2 days"],
  ["7d", 168 * HOUR_MS, "7 days"],
];

const loadChart = async (): Promise<ComponentType<ChartProps>> =>
  (await import("../station/chart.tsx")).Chart;

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
              <FieldChoice fields={fields} value={field?.name ?? ""} onChoose={(field) => show({ field })} />
              <Choice
                legend="Past"
                name="span"
                options={SPANS.map(([word, , text]) => [word, text])}
                value={span}
                onChoose={(word) => show({ span: word })}
              />
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
