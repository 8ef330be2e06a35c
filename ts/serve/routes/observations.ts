// GET /stations/{station_id}/observations: what one station measured, window by window, from the store, in pages.

import { entityKey } from "../../pipelines/index.ts";
import type { Stored } from "../../store/queries.ts";
import type { Served } from "../effects.ts";
import { iso } from "../forecast.ts";
import { CSV, CsvText, finite, PAGED, pageAnswer, pagedOf, placeOf, rangeOf, VERSIONED } from "../history.ts";
import type { FeatureRecord, ServedContract } from "../records.ts";
import { defineRoute, entityParam } from "../route.ts";
import { each, integer, keyed, list, map, said, text, time, word, z } from "../schema.ts";
import { asked } from "../store.ts";
import { componentOf } from "./pipeline.ts";
import { unheardOf } from "./unheard.ts";

/** Unit by column, of everything that a window says of its fields. */
export const unitsOf = ({ features }: ServedContract): Readonly<Record<string, string>> =>
  Object.fromEntries(features.map(({ column, unit }) => [column, unit]));

export function windowSchema(contract: ServedContract) {
  const units = unitsOf(contract);
  return z
    .object({
      window_start: time("Start of the window, inclusive, event time."),
      window_end: time("End of the window, exclusive, event time."),
      measurement_count: integer("Observations in it.", { unit: "1" }),
      values: each(
        Object.keys(units),
        (name) => said(z.number().nullable(), `In ${units[name]}.`, { unit: units[name] }),
        "By column; null where the window held no such value.",
      ),
      version: z.object({
        plan_epoch: integer("Of the stateful plan."),
        revision: integer("Of the window: the higher is the newer."),
      }),
      commit_time: time("When it was committed, wall time."),
    })
    .openapi(componentOf(contract, "Window"));
}
type Window = z.infer<ReturnType<typeof windowSchema>>;

function observationsSchema(contract: ServedContract) {
  const schema = z.object({
    revision: word(["latest", "all"], "As asked."),
    units: map(z.string(), "By column of the values."),
    ...PAGED,
    observations: list(windowSchema(contract), "One page of windows."),
  });
  return keyed(schema, { [entityKey(contract)]: text("The station.") }).openapi(
    componentOf(contract, "Observations"),
  );
}

export function windowOf(columns: readonly string[], { record, arrival }: Stored): Window {
  const of = record as FeatureRecord;
  return {
    window_start: iso(of.window_start),
    window_end: iso(of.window_end),
    measurement_count: of.measurement_count,
    values: Object.fromEntries(columns.map((column) => [column, finite(of[column])])),
    version: { plan_epoch: of.plan_epoch, revision: of.revision },
    commit_time: iso(arrival.append_time_ms),
  };
}

/** One line a window; the unit of a column stands in its head. */
function tableOf(contract: ServedContract, key: string, rows: readonly Stored[]) {
  const units = Object.entries(unitsOf(contract));
  return {
    columns: [
      ...[key, "window_start", "window_end", "measurement_count"],
      ...units.map(([column, unit]) => `${column} [${unit}]`),
      ...["plan_epoch", "revision", "commit_time"],
    ],
    rows: rows.map(({ entity, record, arrival }) => {
      const of = record as FeatureRecord;
      return [
        ...[entity, iso(of.window_start), iso(of.window_end), of.measurement_count],
        ...units.map(([column]) => finite(of[column])),
        ...[of.plan_epoch, of.revision, iso(arrival.append_time_ms)],
      ];
    }),
  };
}

export function observationsRoute(served: Served) {
  const { contract, store } = served;
  const key = entityKey(contract);
  return defineRoute({
    name: "observations",
    needs: ["windows"],
    path: `/stations/{${key}}/observations`,
    tag: "forecasts",
    summary: "What one station measured, window by window",
    description:
      "From the store, by the window's end, every column of the features. `revision=latest` is of each window the version that counts; `all` has each version. Pages go by key: rows that come meanwhile neither repeat nor hide any. CSV has one line a window, with units in the first line.",
    params: entityParam(key),
    query: z.object({
      ...VERSIONED,
    }),
    schema: observationsSchema(contract),
    types: { [CSV]: CsvText },
    refusals: ["unknown_station", "bad_parameter", "store_unreachable"],
    answer: ({ params, query, request, path }) =>
      asked(path, async () => {
        const entity = String(params[key]);
        const range = rangeOf(query, path);
        if (range instanceof Response) return range;
        const { limit, order, revision, cursor = null } = query;
        const question = { entity, revision, order } as const;
        const page = await store.windows({ ...question, ...range, limit, cursor });
        const nobody = await unheardOf(served, entity, path, page, (of) =>
          store.windows({ ...question, ...of }),
        );
        if (nobody) return nobody;
        const units = unitsOf(contract);
        return pageAnswer({ request, path, query }, page, page.rows.map(placeOf), {
          body: () => ({
            [key]: entity,
            revision,
            units,
            ...pagedOf(range, page),
            observations: page.rows.map((row) => windowOf(Object.keys(units), row)),
          }),
          table: () => tableOf(contract, key, page.rows),
        });
      }),
  });
}
