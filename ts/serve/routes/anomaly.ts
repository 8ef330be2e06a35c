// GET /anomalies/{anomaly_id}: one run of flagged windows, from the store, with what its station measured before, in and after it.

import { entityKey } from "../../pipelines/index.ts";
import { PAGE_MAX, type Stored } from "../../store/queries.ts";
import type { AppEffects, Served } from "../effects.ts";
import { placeOf } from "../history.ts";
import { problem, respond } from "../problem.ts";
import type { ServedContract } from "../records.ts";
import { defineRoute, digestOf, weakTag } from "../route.ts";
import { flag, list, map, text, wholeNumber, z } from "../schema.ts";
import { asked } from "../store.ts";
import { anomalyOf, anomalySchema } from "./anomalies.ts";
import { unitsOf, windowOf, windowSchema } from "./observations.ts";
import { componentOf } from "./pipeline.ts";

const AROUND = 60;
const AROUND_MAX = 500;
/** No id is as long. */
const ID_LENGTH_MAX = 64;

function schemaOf(contract: ServedContract) {
  return z
    .object({
      pipeline: text("Name of the pipeline."),
      anomaly: anomalySchema(contract),
      units: map(z.string(), "By column of the values."),
      before: list(windowSchema(contract), "The windows before it, oldest first."),
      during: list(windowSchema(contract), "From its first flagged window to its last, oldest first."),
      after: list(windowSchema(contract), "The windows after its last, oldest first."),
      cut: flag(`Whether it has more than the ${PAGE_MAX} windows of \`during\`; GET observations has all.`),
    })
    .openapi(componentOf(contract, "AnomalyDetail"));
}

const placesOf = (rows: readonly Stored[]): string => rows.map(placeOf).join();

export function anomalyRoute(served: Served, { arm }: AppEffects) {
  const { contract, store } = served;
  const { pipeline } = contract;
  return defineRoute({
    name: "anomaly",
    needs: ["anomaly"],
    path: "/anomalies/{anomaly_id}",
    tag: "forecasts",
    summary: "One anomaly with the observations around it",
    description:
      "From the store. The windows are the versions that count, with every column of the features; those that retention has taken are missing. A late window that moves an anomaly's beginning gives it another id.",
    params: z.object({ anomaly_id: text("Its id.").min(1).max(ID_LENGTH_MAX) }),
    query: z.object({
      around: wholeNumber("Windows before it, and as many after.", {
        min: 0,
        max: AROUND_MAX,
        usual: AROUND,
      }),
    }),
    schema: schemaOf(contract),
    refusals: ["unknown_anomaly", "bad_parameter", "store_unreachable"],
    answer: ({ params, query, path }) =>
      asked(path, async () => {
        const found = await store.anomaly(params.anomaly_id, arm);
        if (!found)
          return respond(
            problem("unknown_anomaly", `No anomaly of ${pipeline} has the id "${params.anomaly_id}"`, path),
          );
        const { entity, opened_ms, last_ms } = found;
        const { around } = query;
        const windows = async (
          from_ms: number | null,
          to_ms: number | null,
          limit: number,
          order: "asc" | "desc",
        ) =>
          limit === 0
            ? { rows: [], next: null }
            : store.windows({ entity, from_ms, to_ms, limit, order, revision: "latest", cursor: null });
        const [before, during, after] = await Promise.all([
          windows(null, opened_ms, around, "desc"),
          // Not to its end, which may be further away than a page reaches.
          windows(opened_ms, null, PAGE_MAX, "asc"),
          windows(last_ms + 1, null, around, "asc"),
        ]);
        const units = unitsOf(contract);
        const shown = (rows: readonly Stored[]) => rows.map((row) => windowOf(Object.keys(units), row));
        const inside = during.rows.filter(({ record }) => Number(record["window_end"]) <= last_ms);
        const anomaly = anomalyOf(entityKey(contract), found);
        return {
          body: {
            pipeline,
            anomaly,
            units,
            before: shown(before.rows.toReversed()),
            during: shown(inside),
            after: shown(after.rows),
            cut: inside.length === during.rows.length && during.next !== null,
          },
          etag: weakTag(
            digestOf(
              [JSON.stringify(anomaly), ...[before.rows, inside, after.rows].map(placesOf)].join("\n"),
            ),
          ),
        };
      }),
  });
}
