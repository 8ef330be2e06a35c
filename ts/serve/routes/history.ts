// GET /predictions/{station_id}/history: the forecasts of one station as they were issued, from the store, in pages.

import { entityKey, horizonHours, horizonName } from "../../pipelines/index.ts";
import type { Stored } from "../../store/queries.ts";
import type { AppEffects, Served } from "../effects.ts";
import {
  bandsIn,
  forecastUnits,
  formOf,
  hoursOf,
  iso,
  numberSchemas,
  usualByName,
  usualIn,
  VERDICT,
} from "../forecast.ts";
import { CSV, CsvText, PAGED, pageAnswer, pagedOf, placeOf, rangeOf, VERSIONED } from "../history.ts";
import type { PredictionRecord, ServedContract } from "../records.ts";
import { defineRoute, entityParam } from "../route.ts";
import {
  flag,
  integer,
  keyed,
  list,
  map,
  nullable,
  said,
  share,
  text,
  time,
  when,
  word,
  z,
} from "../schema.ts";
import { asked } from "../store.ts";
import { componentOf } from "./pipeline.ts";
import { unheardOf } from "./unheard.ts";

/** Names of the forecasts of a horizon, or of all. */
function namesAt(
  contract: ServedContract,
  horizon_h: number | null,
): { name: string; target: string; horizon_h: number; horizon_ms: number }[] {
  const hours = hoursOf(contract);
  return formOf(contract).names.flatMap((name, i) => {
    const at = {
      name,
      target: contract.targets[Math.floor(i / hours.length)]!,
      horizon_h: hours[i % hours.length]!,
      horizon_ms: contract.horizons_ms[i % hours.length]!,
    };
    return horizon_h === null || at.horizon_h === horizon_h ? [at] : [];
  });
}

function rowSchema(contract: ServedContract) {
  const units = forecastUnits(contract);
  const { predictions, interval } = numberSchemas(contract);
  const usual = usualByName(contract);
  const asked = <S extends z.ZodType>(schema: (name: string) => S) =>
    z.object(Object.fromEntries(formOf(contract).names.map((name) => [name, schema(name).optional()])));
  return z.object({
    timestamp: time("End of the window the forecast was made from, event time; horizons count from it."),
    window_start: time("Start of that window, inclusive."),
    predictions: said(
      asked((name) => predictions.shape[name]!),
      "Median by target and horizon, of the horizon that was asked for; null when the model gave none.",
    ),
    bands: said(
      asked((name) =>
        list(interval(name), `In ${units[name]}, narrowest first; empty when there is no forecast.`),
      ),
      "Central intervals of the same forecasts.",
    ),
    climatology: said(
      nullable(asked((name) => usual.shape[name]!)),
      "What is usual at the same valid times; null where it is not known.",
    ),
    ...when(contract.parts.includes("anomaly"), { anomaly: z.object(VERDICT) }),
    overall_confidence: nullable(share("Of the forecast as a whole.")),
    model_version: text("Version in the model registry."),
    in_sample: flag("Whether the window lies in the model's training range: such a forecast proves nothing."),
    id: text("Identity of the prediction."),
    version: z.object({
      plan_epoch: integer("Of the stateful plan."),
      revision: integer("Of the window: the higher is the newer."),
    }),
    commit_time: time("When it was committed, wall time."),
  });
}

function historySchema(contract: ServedContract) {
  const schema = z.object({
    arm: text("Arm of the A/B test that made them."),
    revision: word(["latest", "all"], "As asked."),
    units: map(z.string(), "Unit of each forecast and its bands."),
    valid_after_ms: map(integer("From `timestamp` to the moment it is for.", { unit: "ms" }), "By horizon."),
    ...PAGED,
    predictions: list(rowSchema(contract).openapi(componentOf(contract, "PastForecast")), "One page."),
  });
  return keyed(schema, { [entityKey(contract)]: text("The station.") }).openapi(
    componentOf(contract, "History"),
  );
}
type Row = z.infer<ReturnType<typeof rowSchema>>;

function rowOf(contract: ServedContract, names: readonly string[], { record, arrival }: Stored): Row {
  const of = record as unknown as PredictionRecord;
  return {
    timestamp: iso(of.timestamp),
    window_start: iso(of.window_start),
    predictions: Object.fromEntries(names.map((name) => [name, of.predictions[name] ?? null])),
    bands: Object.fromEntries(names.map((name) => [name, bandsIn(contract, of, name)])),
    climatology: usualIn(contract, of, names),
    ...(of.anomaly && {
      anomaly: {
        is_anomaly: of.anomaly.is_anomaly,
        anomaly_score: of.anomaly.anomaly_score,
        anomaly_type: of.anomaly.anomaly_type,
        evidence: of.anomaly.evidence,
      },
    }),
    overall_confidence: of.confidence["overall_confidence"] ?? null,
    model_version: of.model_version,
    in_sample: of.in_sample,
    id: of.id,
    version: { plan_epoch: of.plan_epoch, revision: of.revision },
    commit_time: iso(arrival.append_time_ms),
  };
}

/** One line a forecast: a number, its unit, and how it is known. */
function tableOf(
  contract: ServedContract,
  key: string,
  asked: ReturnType<typeof namesAt>,
  rows: readonly Stored[],
) {
  const { bands, units } = formOf(contract);
  const percents = bands.map(({ level }) => Math.round(level * 100));
  return {
    columns: [
      ...[key, "timestamp", "target", "horizon_h", "valid_at", "unit", "prediction"],
      ...percents.flatMap((percent) => [`lower_${percent}`, `upper_${percent}`]),
      ...["model_version", "in_sample", "plan_epoch", "revision", "id", "commit_time"],
    ],
    rows: rows.flatMap(({ entity, record, arrival }) => {
      const of = record as unknown as PredictionRecord;
      return asked.map(({ name, target, horizon_h, horizon_ms }) => [
        ...[entity, iso(of.timestamp), target, horizon_h, iso(of.timestamp + horizon_ms), units[name]],
        of.predictions[name] ?? null,
        ...bands.flatMap(({ lower, upper }) => [
          of.quantiles[name]?.[lower] ?? null,
          of.quantiles[name]?.[upper] ?? null,
        ]),
        ...[of.model_version, of.in_sample, of.plan_epoch, of.revision, of.id, iso(arrival.append_time_ms)],
      ]);
    }),
  };
}

export function historyRoute(served: Served, { arm }: AppEffects) {
  const { contract, store } = served;
  const key = entityKey(contract);
  const hours = hoursOf(contract);
  return defineRoute({
    name: "history",
    needs: ["forecast"],
    path: `/predictions/{${key}}/history`,
    tag: "forecasts",
    summary: "Forecasts of one station as they were issued",
    description:
      "From the store, by the window's end. `revision=latest` is of each window the version that counts; `all` has each version, oldest first within a window when `order=asc`. Pages go by key: rows that come meanwhile neither repeat nor hide any. CSV has one line a target and horizon, with its unit.",
    params: entityParam(key),
    query: z.object({
      ...VERSIONED,
      horizon: z
        .string()
        .refine((word) => hours.some((h) => String(h) === word), {
          error: `to be one of ${hours.join(", ")}`,
        })
        .transform(Number)
        .optional()
        .openapi({ type: "number", enum: hours, description: "Only this horizon, in hours." } as never),
    }),
    schema: historySchema(contract),
    types: { [CSV]: CsvText },
    refusals: ["unknown_station", "bad_parameter", "store_unreachable"],
    answer: ({ params, query, request, path }) =>
      asked(path, async () => {
        const entity = String(params[key]);
        const range = rangeOf(query, path);
        if (range instanceof Response) return range;
        const { limit, order, revision, cursor = null, horizon = null } = query;
        const question = { entity, arm, revision, order } as const;
        const page = await store.predictions({ ...question, ...range, limit, cursor });
        const nobody = await unheardOf(served, entity, path, page, (of) =>
          store.predictions({ ...question, ...of }),
        );
        if (nobody) return nobody;
        const names = namesAt(contract, horizon);
        return pageAnswer({ request, path, query }, page, [String(horizon), ...page.rows.map(placeOf)], {
          body: () => ({
            [key]: entity,
            arm,
            revision,
            units: Object.fromEntries(names.map(({ name }) => [name, formOf(contract).units[name]!])),
            valid_after_ms: Object.fromEntries(
              contract.horizons_ms
                .filter((ms) => horizon === null || horizonHours(ms) === horizon)
                .map((ms) => [horizonName(horizonHours(ms)), ms]),
            ),
            ...pagedOf(range, page),
            predictions: page.rows.map((row) =>
              rowOf(
                contract,
                names.map(({ name }) => name),
                row,
              ),
            ),
          }),
          table: () => tableOf(contract, key, names, page.rows),
        });
      }),
  });
}
