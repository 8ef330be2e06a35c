// GET /scoreboard: what the forecasts were worth, from the store: by target and horizon, and as asked by station or day. Sums and means
// over columns that Python wrote; the windows end as those of GET /verifications do, so that both say the same.

import { ENTITY_ID_LENGTH_MAX } from "../../contract/index.ts";
import { entityKey } from "../../pipelines/index.ts";
import type { ScoreSums } from "../../store/queries.ts";
import type { AppEffects, Served } from "../effects.ts";
import { iso } from "../forecast.ts";
import type { ServedContract } from "../records.ts";
import { defineRoute, textTag } from "../route.ts";
import { each, keyed, list, nullable, said, share, text, time, word, z } from "../schema.ts";
import { asked } from "../store.ts";
import { SUMMARY_SPANS, scoreOf, WINDOW_NAMES } from "../verified.ts";
import { componentOf } from "./pipeline.ts";
import { bandNames, scoreSchema } from "./verifications.ts";

const HOUR_MS = 3_600_000;
const BY = ["horizon", "station", "day"] as const;

function rowSchema(contract: ServedContract) {
  const schema = z.object({
    day: nullable(time("First moment of the day, UTC, of the valid times; null unless by=day.")),
    ...scoreSchema(contract).shape,
  });
  return keyed(schema, {
    [entityKey(contract)]: nullable(text("The station; null unless by=station.")),
  }).openapi(componentOf(contract, "ScoreboardRow"));
}
type Row = z.infer<ReturnType<typeof rowSchema>>;

function scoreboardSchema(contract: ServedContract) {
  return z
    .object({
      pipeline: text("Name of the pipeline."),
      arm: text("Arm of the A/B test whose forecasts they are."),
      by: word(BY, "As asked."),
      frontier: nullable(
        time("Newest valid time that was judged, event time; the windows end with its hour."),
      ),
      promised: each(
        bandNames(contract),
        (band) => share(`Of the ${band} % band.`),
        "Share of truths that each band is meant to hold: what `coverage` is held against.",
      ),
      scores: list(rowSchema(contract), "By window, target, horizon, and station or day."),
    })
    .openapi(componentOf(contract, "Scoreboard"));
}

function rowOf(contract: ServedContract, key: string, window: Row["window"], sums: ScoreSums): Row {
  const { target, horizon_h, entity, day_ms } = sums;
  const unit = contract.fields.find(({ name }) => name === target)?.unit ?? "1";
  const covered = bandNames(contract).map((band) => sums.covered[band] ?? 0);
  return {
    [key]: entity,
    day: day_ms === null ? null : iso(day_ms),
    ...scoreOf(bandNames(contract), { ...sums, covered }, { target, horizon_h, window, unit }),
  };
}

export function scoreboardRoute(served: Served, { arm }: AppEffects) {
  const { contract, store } = served;
  const key = entityKey(contract);
  return defineRoute({
    name: "scoreboard",
    needs: ["forecast"],
    path: "/scoreboard",
    tag: "forecasts",
    summary: "What the forecasts were worth, by target and horizon",
    description:
      "From the store: of the last 24 hours and 7 days of event time before the newest verification, skill against persistence and damped anomaly persistence (dap), and coverage against what was promised. A target and horizon without any verification has no row. Forecasts issued inside a model's training range count in `in_sample` only.",
    query: z.object({
      window: word([WINDOW_NAMES[0]!, ...WINDOW_NAMES.slice(1)], "Only this one.").optional(),
      by: said(z.enum(BY).default("horizon"), "A row for each station or day as well.", {
        default: "horizon",
      }),
      station: text("Only of this station.").max(ENTITY_ID_LENGTH_MAX).optional(),
    }),
    schema: scoreboardSchema(contract),
    refusals: ["bad_parameter", "store_unreachable"],
    answer: ({ query, path }) =>
      asked(path, async () => {
        const { by, station: entity = null } = query;
        const { verified_ms } = await store.span();
        const end = verified_ms === null ? null : Math.floor(verified_ms / HOUR_MS) + 1;
        const windows = WINDOW_NAMES.filter((name) => query.window === undefined || query.window === name);
        const boards = await Promise.all(
          windows.map(async (window) => {
            if (end === null) return [];
            const range = { from_ms: (end - SUMMARY_SPANS[window]) * HOUR_MS, to_ms: end * HOUR_MS };
            const sums = await store.scores({ arm, entity, by: by === "station" ? "entity" : by, ...range });
            return sums
              .filter(({ target }) => contract.targets.includes(target))
              .map((one) => rowOf(contract, key, window, one));
          }),
        );
        const body = {
          pipeline: contract.pipeline,
          arm,
          by,
          frontier: verified_ms === null ? null : iso(verified_ms),
          promised: Object.fromEntries(bandNames(contract).map((band, i) => [band, contract.bands[i]!])),
          scores: boards.flat(),
        };
        return { body, etag: textTag(JSON.stringify(body)) };
      }),
  });
}
