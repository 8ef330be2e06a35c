// The numbers of a station: what it measures now, and for each horizon what is forecast, how sure that is, and how often such a promise
// was kept.

import type { Pipeline, Station } from "../api.ts";
import type { Field } from "../field.ts";
import { ownText, utcText } from "../time.ts";
import {
  aheadText,
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
import type { Issued } from "./series.ts";
import { levelsOf, type View } from "./view.ts";

const HOUR_MS = 3_600_000;

/** One horizon of the newest forecast in words: what, how sure, and how often such a promise was kept. */
export function Ahead({
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
      <h3>In {aheadText(horizon_h)}</h3>
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

export function Values({
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
      <h3>Now</h3>
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
