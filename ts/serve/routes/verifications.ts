// GET /verifications: forecasts held against their truth, and what they were worth by target and horizon.

import { ENTITY_ID_LENGTH_MAX } from "../../contract/index.ts";
import { entityKey, inWholeHours } from "../../pipelines/index.ts";
import type { AppEffects, Served } from "../effects.ts";
import { hoursOf, iso } from "../forecast.ts";
import type { ServedContract, VerificationRecord } from "../records.ts";
import { defineRoute, weakTag } from "../route.ts";
import {
  each,
  flag,
  integer,
  keyed,
  list,
  nullable,
  number,
  said,
  share,
  text,
  time,
  wholeNumber,
  word,
  z,
} from "../schema.ts";
import { type Filter, SUMMARY_SPANS } from "../verified.ts";
import { catchingUp, componentOf } from "./pipeline.ts";

/** Records GET /verifications lists when nothing is asked, and at most. */
export const VERIFICATIONS_LIMIT = 100;
export const VERIFICATIONS_LIMIT_MAX = 1_000;

const SPANS = Object.keys(SUMMARY_SPANS) as (keyof typeof SUMMARY_SPANS)[] as ["24h", "7d"];
export const bandNames = ({ bands }: ServedContract) => bands.map((band) => String(Math.round(band * 100)));
const ahead = ({ horizons_ms }: ServedContract) =>
  (inWholeHours(horizons_ms) ? integer : number)("How many hours ahead.", { unit: "h" }) as z.ZodNumber;

export function scoreSchema(contract: ServedContract) {
  const [first = "none", ...others] = contract.targets;
  const scored = (description: string) => nullable(number(`${description} In \`unit\`.`));
  return z
    .object({
      target: word([first, ...others], "What was forecast."),
      horizon_h: ahead(contract),
      window: word(SPANS, "Span of event time before the newest verification, by valid time."),
      unit: text("Of every error, width and score in this row."),
      pairs: integer("Forecasts with a truth.", { unit: "1" }),
      unverifiable: integer("Forecasts whose truth never came.", { unit: "1" }),
      in_sample: integer("Forecasts issued inside the model's training range; they count nowhere else.", {
        unit: "1",
      }),
      mae: scored("Mean absolute error of the median."),
      bias: scored("Mean of forecast minus truth."),
      persistence_mae: scored("The same of the value at issue."),
      dap_mae: scored("The same of damped anomaly persistence."),
      skill_persistence: nullable(number("1 - MAE / MAE of persistence, on the same pairs.", { unit: "1" })),
      skill_dap: nullable(
        number("1 - MAE / MAE of damped anomaly persistence, on the same pairs.", { unit: "1" }),
      ),
      coverage: each(
        bandNames(contract),
        (band) => nullable(share(`Of the ${band} % band.`)),
        "Share of truths inside each band.",
      ),
      width: scored("Mean width of the widest band."),
      pinball: scored("Mean of the pinball losses summed over all quantiles."),
      winkler: scored("Mean interval score of the widest band."),
    })
    .openapi(componentOf(contract, "Score"));
}
export type Score = Readonly<z.infer<ReturnType<typeof scoreSchema>>>;

const Baseline = z
  .object({
    value: nullable(number("What the baseline said; null where it had nothing to say.")),
    error: nullable(number("Value minus truth.")),
  })
  .openapi("Baseline");

export function verificationSchema(contract: ServedContract) {
  const model = z.object({
    value: number("The median."),
    error: nullable(number("Value minus truth.")),
    pinball: nullable(number("Sum of the pinball losses of all quantiles.")),
    width: number("Of the widest band."),
    winkler: nullable(number("Interval score of the widest band.")),
  });
  const covered = Object.fromEntries(
    bandNames(contract).map((band) => [
      `covered_${band}`,
      nullable(flag(`Whether the ${band} % band held the truth.`)),
    ]),
  );
  const schema = z.object({
    id: text("Identity of the verification."),
    forecast_id: text("Identity of the prediction that was judged."),
    target: text("What was forecast."),
    unit: text("Of the truth and every value, error, width and score here."),
    horizon_h: ahead(contract),
    issued: time("When it was issued, event time."),
    valid: time("When it was for, event time."),
    judged: time("The station's row that brought the truth, or ended the wait for it."),
    status: text("verified or unverifiable."),
    truth: nullable(
      number("What was measured; at the edge of what the target can be where a sensor read beyond it."),
    ),
    truth_window_end: nullable(time("The window it was taken from.")),
    model: keyed(model, covered),
    persistence: Baseline,
    dap: Baseline,
    model_version: text("Version in the model registry."),
    arm: text("Arm of the A/B test that made it."),
    in_sample: flag("Whether it was issued inside the model's training range."),
  });
  return keyed(schema, { [entityKey(contract)]: text("The station.") }).openapi(
    componentOf(contract, "Verification"),
  );
}
export type Verification = z.infer<ReturnType<typeof verificationSchema>>;

export function verificationsSchema(contract: ServedContract) {
  return z
    .object({
      pipeline: text("Name of the pipeline."),
      at: time("When this was answered, wall time."),
      frontier: nullable(time("Newest valid time that was judged, event time; the windows end here.")),
      scores: list(scoreSchema(contract), "By target, horizon and window."),
      verifications: list(verificationSchema(contract), "Newest first."),
    })
    .openapi(componentOf(contract, "Verifications"));
}

/** A record as the API shows it: times as RFC 3339, every key of the schema, nothing of the transport. */
export function verificationRow(key: string, station: string, record: VerificationRecord): Verification {
  const { id, forecast_id, target, unit, horizon_h, status, truth, model, persistence, dap } = record;
  return {
    id,
    forecast_id,
    [key]: station,
    target,
    unit,
    horizon_h,
    issued: iso(record.issued),
    valid: iso(record.valid),
    judged: iso(record.judged),
    status,
    truth,
    truth_window_end: record.truth_window_end === null ? null : iso(record.truth_window_end),
    model,
    persistence,
    dap,
    model_version: record.model_version,
    arm: record.arm,
    in_sample: record.in_sample,
  };
}

export function verificationsRoute(served: Served, { clock }: AppEffects) {
  const { contract, verified } = served;
  const hours = hoursOf(contract);
  const one = (words: readonly (string | number)[]) => ({ error: `to be one of ${words.join(", ")}` });
  return defineRoute({
    name: "verifications",
    needs: ["forecast"],
    path: "/verifications",
    tag: "forecasts",
    summary: "Forecasts held against their truth, and what they were worth",
    description:
      "One forecast a station and hour, judged in event time once its truth is there (docs/intervals.md). `scores` sum up the last 24 hours and 7 days before the newest verification, by target and horizon, beside persistence and damped anomaly persistence (dap); `verifications` are the newest records. Forecasts issued inside a model's training range count in `in_sample` only.",
    query: z.object({
      station: text("Only this station; its scores rest on the records that are still held.")
        .max(ENTITY_ID_LENGTH_MAX)
        .optional(),
      target: said(
        z.string().refine((word) => contract.targets.includes(word), one(contract.targets)),
        "Only this target.",
        {
          enum: contract.targets,
        },
      ).optional(),
      horizon: z
        .string()
        .refine((word) => hours.some((h) => String(h) === word), one(hours))
        .transform(Number)
        .optional()
        .openapi({ type: "number", enum: hours, description: "Only this horizon, in hours." } as never),
      limit: wholeNumber("Records in the list.", {
        min: 0,
        max: VERIFICATIONS_LIMIT_MAX,
        usual: VERIFICATIONS_LIMIT,
      }),
    }),
    schema: verificationsSchema(contract),
    refusals: ["bad_parameter", "catching_up"],
    answer: ({ query, path }) => {
      const early = catchingUp(served, path);
      if (early) return early;
      const { station = null, target = null, horizon: horizon_h = null, limit } = query;
      const filter: Filter = { station, target, horizon_h };
      const key = entityKey(contract);
      return {
        body: {
          pipeline: contract.pipeline,
          at: iso(clock.nowMs()),
          frontier: verified.frontier_ms === null ? null : iso(verified.frontier_ms),
          scores: verified.scores(filter),
          verifications: verified
            .list(filter, limit)
            .map(({ station, record }) => verificationRow(key, station, record)),
        },
        etag: weakTag(
          verified.state,
          encodeURIComponent(station ?? ""),
          target ?? "",
          horizon_h ?? "",
          limit,
        ),
      };
    },
  });
}
