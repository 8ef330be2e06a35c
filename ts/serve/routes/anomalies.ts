// GET /anomalies: runs of flagged windows of one station and type, from the store, in pages.

import { ENTITY_ID_LENGTH_MAX } from "../../contract/index.ts";
import { entityKey } from "../../pipelines/index.ts";
import type { StoredAnomaly } from "../../store/queries.ts";
import type { AppEffects, Served } from "../effects.ts";
import { iso } from "../forecast.ts";
import { CSV, CsvText, PAGED, pageAnswer, pagedOf, RANGED, rangeOf } from "../history.ts";
import type { ServedContract } from "../records.ts";
import { defineRoute } from "../route.ts";
import { integer, keyed, list, nullable, number, said, text, time, z } from "../schema.ts";
import { asked } from "../store.ts";
import { componentOf } from "./pipeline.ts";

/** No verdict has a name as long. */
const TYPE_LENGTH_MAX = 100;

export function anomalySchema(contract: ServedContract) {
  const schema = z.object({
    id: text("Of station, arm and `opened`: stays while those do."),
    type: text("What the windows broke: the word of the rule."),
    opened: time("End of its first window, event time."),
    peak: time("End of the window with the highest score, the first of several."),
    last: time("End of its last window so far."),
    ended: nullable(time("End of the first window behind it that is not of it; null while there is none.")),
    severity: number("Highest score: 1 and more is at or beyond the limit of a rule.", {
      minimum: 0,
      unit: "1",
    }),
    windows: integer("Flagged windows in it.", { unit: "1" }),
  });
  return keyed(schema, { [entityKey(contract)]: text("The station.") }).openapi(
    componentOf(contract, "Anomaly"),
  );
}
type Anomaly = z.infer<ReturnType<typeof anomalySchema>>;

function anomaliesSchema(contract: ServedContract) {
  return z
    .object({
      pipeline: text("Name of the pipeline."),
      arm: text("Arm of the A/B test whose verdicts they are."),
      ...PAGED,
      anomalies: list(anomalySchema(contract), "One page, by the time they opened."),
    })
    .openapi(componentOf(contract, "Anomalies"));
}

export const anomalyOf = (key: string, one: StoredAnomaly): Anomaly => ({
  id: one.id,
  [key]: one.entity,
  type: one.type,
  opened: iso(one.opened_ms),
  peak: iso(one.peak_ms),
  last: iso(one.last_ms),
  ended: one.ended_ms === null ? null : iso(one.ended_ms),
  severity: one.severity,
  windows: one.windows,
});

export function anomaliesRoute(served: Served, { arm }: AppEffects) {
  const { contract, store } = served;
  const key = entityKey(contract);
  return defineRoute({
    name: "anomalies",
    needs: ["anomaly"],
    path: "/anomalies",
    tag: "forecasts",
    summary: "Runs of flagged windows, by station and type",
    description:
      "From the store. An anomaly is a run of flagged windows of one station and type; it ends with the first window behind it that is as usual, or of another type. `from` and `to` choose those that overlap the range, in event time; they come by the time they opened. A late or revised window can change a run, and with its beginning its id.",
    query: z.object({
      ...RANGED,
      station: text("Only of this station.").max(ENTITY_ID_LENGTH_MAX).optional(),
      type: text("Only of this type.").max(TYPE_LENGTH_MAX).optional(),
      severity: z
        .string()
        .refine((word) => /^\d{1,9}(?:\.\d{1,9})?$/.test(word), { error: "to be a number of 0 or more" })
        .transform(Number)
        .optional()
        .openapi({ type: "number", minimum: 0, description: "Least severity." } as never),
      open: said(z.enum(["true", "false"]).default("false"), "true: only those that have not ended.", {
        default: "false",
      }),
    }),
    schema: anomaliesSchema(contract),
    types: { [CSV]: CsvText },
    refusals: ["bad_parameter", "store_unreachable"],
    answer: ({ query, request, path }) =>
      asked(path, async () => {
        const range = rangeOf(query, path);
        if (range instanceof Response) return range;
        const { limit, order, cursor = null, station = null, type = null, severity = null } = query;
        const page = await store.anomalies({
          ...{ entity: station, arm, type, severity, open: query.open === "true" },
          ...{ ...range, limit, cursor, order },
        });
        const rows = page.rows.map((one) => anomalyOf(key, one));
        // A run grows: what names it says nothing of its state.
        const states = rows.map((row) => JSON.stringify(row));
        return pageAnswer({ request, path, query }, page, states, {
          body: () => ({ pipeline: contract.pipeline, arm, ...pagedOf(range, page), anomalies: rows }),
          table: () => {
            const columns = [
              ...["id", key, "type", "opened", "peak", "last", "ended", "severity", "windows"],
            ];
            return { columns, rows: rows.map((row) => columns.map((name) => row[name as keyof Anomaly])) };
          },
        });
      }),
  });
}
