// The API's description: one table of routes, and an OpenAPI 3.1 document made from it and the contract.
// app.ts mounts exactly the routes of this table, so none can go undescribed. Answers no request.

import { ENTITY_ID_LENGTH_MAX } from "../contract/index.ts";
import { entityKey, horizonName, inWholeHours, type PartName } from "../pipelines/index.ts";
import { bandsOf, forecastNames, forecastSupports, forecastUnits, hoursOf, valueUnits } from "./forecast.ts";
import type { ServedContract } from "./records.ts";
import { REFUSAL, type Refusal } from "./status.ts";
import { WINDOW_NAMES } from "./verified.ts";

type Schema = Readonly<Record<string, unknown>>;

interface Route {
  /** Parts without which there is no such route. */
  readonly needs: readonly PartName[];
  /** Path in OpenAPI's form; `{station_id}` is named by the contract's key in the document. */
  readonly path: string;
  readonly tag: "forecasts" | "operation" | "description";
  readonly summary: string;
  readonly description: string;
  readonly query: readonly { readonly name: string; readonly description: string; readonly schema: Schema }[];
  readonly type: "application/json" | "text/plain" | "text/html" | "text/javascript" | "text/css";
  /** Name of the schema of a 200, null for text. */
  readonly schema: string | null;
  /** Status codes beside 200 that carry the same body. */
  readonly also: readonly number[];
  readonly refusals: readonly Refusal[];
}

/** Rows a page of /stations holds when nothing is asked, and at most. */
export const STATIONS_LIMIT = 1_000;
export const STATIONS_LIMIT_MAX = 10_000;
/** Records GET /verifications lists when nothing is asked, and at most. */
export const VERIFICATIONS_LIMIT = 100;
export const VERIFICATIONS_LIMIT_MAX = 1_000;

export const ROUTES = {
  page: {
    needs: ["forecast"],
    path: "/",
    tag: "description",
    summary: "Page for people",
    description:
      "Stations with their latest values and forecasts, engines and jobs, and links to the engines' own pages.",
    query: [],
    type: "text/html",
    schema: null,
    also: [],
    refusals: [],
  },
  prediction: {
    needs: ["forecast"],
    path: "/predictions/{station_id}",
    tag: "forecasts",
    summary: "Latest forecast of one station",
    description:
      "From memory. The newest version wins: window end, then plan epoch, then revision, whatever the order of arrival. `timestamp` is the window's end, in event time; horizons count from it.",
    query: [],
    type: "application/json",
    schema: "Forecast",
    also: [],
    refusals: ["unknown_station", "no_prediction", "catching_up"],
  },
  stations: {
    needs: ["forecast"],
    path: "/stations",
    tag: "forecasts",
    summary: "Stations with their latest values and forecasts",
    description:
      "Those of the pipeline's definition and those heard of, in alphabetical order of the id; `next` names the next page's `after`, or is null on the last page. A station of the definition that has not reported in this run has `reported: false` and is not in `count`.",
    query: [
      {
        name: "limit",
        description: "Rows of a page.",
        schema: { type: "integer", minimum: 1, maximum: STATIONS_LIMIT_MAX, default: STATIONS_LIMIT },
      },
      {
        name: "after",
        description: "Only stations whose id sorts after this one.",
        schema: { type: "string", maxLength: ENTITY_ID_LENGTH_MAX },
      },
    ],
    type: "application/json",
    schema: "Stations",
    also: [],
    refusals: ["bad_parameter", "catching_up"],
  },
  verifications: {
    needs: ["forecast"],
    path: "/verifications",
    tag: "forecasts",
    summary: "Forecasts held against their truth, and what they were worth",
    description:
      "One forecast a station and hour, judged in event time once its truth is there (docs/intervals.md). `scores` sum up the last 24 hours and 7 days before the newest verification, by target and horizon, beside persistence and damped anomaly persistence (dap); `verifications` are the newest records. Forecasts issued inside a model's training range count in `in_sample` only.",
    query: [
      {
        name: "station",
        description: "Only this station; its scores rest on the records that are still held.",
        schema: { type: "string", maxLength: ENTITY_ID_LENGTH_MAX },
      },
      { name: "target", description: "Only this target.", schema: { type: "string" } },
      { name: "horizon", description: "Only this horizon, in hours.", schema: { type: "number" } },
      {
        name: "limit",
        description: "Records in the list.",
        schema: {
          type: "integer",
          minimum: 0,
          maximum: VERIFICATIONS_LIMIT_MAX,
          default: VERIFICATIONS_LIMIT,
        },
      },
    ],
    type: "application/json",
    schema: "Verifications",
    also: [],
    refusals: ["bad_parameter", "catching_up"],
  },
  jobs: {
    needs: [],
    path: "/jobs",
    tag: "operation",
    summary: "Jobs: desired, actual, and what each last said of itself",
    description:
      "The supervisor's view beside the newest heartbeat on the topic job-progress. A job that the supervisor does not know, as a batch, has the state it last reported.",
    query: [],
    type: "application/json",
    schema: "Jobs",
    also: [],
    refusals: [],
  },
  health: {
    needs: [],
    path: "/health",
    tag: "operation",
    summary: "Every engine and job, with what to do about one that is down",
    description:
      "503 when something that a live forecast needs is down; 200 with `degraded` when only something else is.",
    query: [],
    type: "application/json",
    schema: "Health",
    also: [503],
    refusals: [],
  },
  live: {
    needs: [],
    path: "/health/live",
    tag: "operation",
    summary: "This process answers",
    description: "Always 200 while the process runs; says nothing of engines or jobs.",
    query: [],
    type: "application/json",
    schema: "Live",
    also: [],
    refusals: [],
  },
  ready: {
    needs: [],
    path: "/health/ready",
    tag: "operation",
    summary: "This process can serve forecasts from memory",
    description:
      "200 once the latest predictions were read up to the ends met at the start. Engines may be down: what is in memory is served, with its age.",
    query: [],
    type: "application/json",
    schema: "Ready",
    also: [503],
    refusals: [],
  },
  metrics: {
    needs: [],
    path: "/metrics",
    tag: "operation",
    summary: "Prometheus text",
    description:
      "Jobs' counters, engines, stations, feed and consumer lag, latencies. Names and units: docs/api.md.",
    query: [],
    type: "text/plain",
    schema: null,
    also: [],
    refusals: [],
  },
  openapi: {
    needs: [],
    path: "/openapi.json",
    tag: "description",
    summary: "This document",
    description: "OpenAPI 3.1, made from the contract and the table of routes.",
    query: [],
    type: "application/json",
    schema: "Document",
    also: [],
    refusals: [],
  },
} as const satisfies Record<string, Route>;

export type RouteName = keyof typeof ROUTES;

/** The routes that a pipeline's parts bring. */
export function routesOf({ parts }: Pick<ServedContract, "parts">): readonly RouteName[] {
  const has = ({ needs }: Route) => needs.every((part) => parts.includes(part));
  return (Object.keys(ROUTES) as RouteName[]).filter((name) => has(ROUTES[name]));
}

const nullable = (schema: Schema): Schema => ({ anyOf: [schema, { type: "null" }] });
const string = (description: string, more: Schema = {}): Schema => ({ type: "string", description, ...more });
const time = (description: string): Schema => string(description, { format: "date-time" });
const number = (description: string, more: Schema = {}): Schema => ({ type: "number", description, ...more });
const integer = (description: string, more: Schema = {}): Schema => ({
  type: "integer",
  description,
  ...more,
});
const boolean = (description: string): Schema => ({ type: "boolean", description });
const ref = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });
const list = (items: Schema, description: string): Schema => ({ type: "array", items, description });
const map = (values: Schema, description: string): Schema => ({
  type: "object",
  additionalProperties: values,
  description,
});
/** Every property is required: the API sends null, never a missing key. */
const object = (properties: Readonly<Record<string, Schema>>, description?: string): Schema => ({
  type: "object",
  required: Object.keys(properties),
  properties,
  ...(description ? { description } : {}),
});
const each = (names: readonly string[], schema: (name: string) => Schema, description: string): Schema =>
  object(Object.fromEntries(names.map((name) => [name, schema(name)])), description);

const ANOMALY: Readonly<Record<string, Schema>> = {
  is_anomaly: boolean("Whether the window broke a rule."),
  anomaly_score: number("0 is nothing unusual; 1 and more is at or beyond the limit of a rule.", {
    minimum: 0,
  }),
  anomaly_type: nullable(string("range or step so far; null without an anomaly.")),
};

const AGE: Readonly<Record<string, Schema>> = {
  age_s: number("Wall time since the newest prediction was committed.", { unit: "s", minimum: 0 }),
  behind_s: number("Event time between this station's newest window and the network's newest.", {
    unit: "s",
    minimum: 0,
  }),
  stale: boolean(
    "See stale_reason. A replay of old data is not stale: only stations are compared with each other.",
  ),
  stale_reason: nullable(
    string(
      "trails_network: event time behind the network beyond the limit. network_silent: wall time without any prediction beyond the limit.",
      { enum: ["trails_network", "network_silent"] },
    ),
  ),
};

function schemas(contract: ServedContract, confidence: string): Record<string, Schema> {
  const names = forecastNames(contract);
  const units = forecastUnits(contract);
  const supports = forecastSupports(contract);
  const values = valueUnits(contract);
  const bands = bandsOf(contract);
  const { lower, upper } = bands.at(-1) ?? { lower: "none", upper: "none" };
  const ahead = inWholeHours(contract.horizons_ms) ? integer : number;
  const hours = ahead("How many hours ahead.", { unit: "h" });
  const judged = contract.parts.includes("anomaly");
  const evidence = list({ type: "string" }, "One sentence a rule that fired.");
  const bandNames = contract.bands.map((band) => String(Math.round(band * 100)));
  // Both ends of an interval stay where the forecast can be.
  const interval = (name: string): Schema => {
    const ends = supports[name]!;
    return Object.keys(ends).length === 0
      ? ref("Interval")
      : { ...ref("Interval"), properties: { lower: ends, upper: ends } };
  };
  const predictions = each(
    names,
    (name) => nullable(number(`Median, in ${units[name]}.`, { unit: units[name], ...supports[name] })),
    "Median forecast by target and horizon; null when the model gave none.",
  );
  const intervals = each(
    names,
    (name) => nullable({ ...interval(name), description: `In ${units[name]}.` }),
    `The widest central interval, from the quantiles ${lower} and ${upper}.`,
  );
  const nullAge = Object.fromEntries(
    Object.entries(AGE).map(([name, schema]) => [name, name.endsWith("_s") ? nullable(schema) : schema]),
  );
  return {
    Interval: object({
      lower: number("Lower end, inclusive."),
      upper: number("Upper end, inclusive."),
      level: number("Share of outcomes the interval is meant to hold.", {
        enum: contract.bands,
      }),
    }),
    Forecast: object({
      [entityKey(contract)]: string("The station."),
      timestamp: time("End of the window the forecast was made from, event time."),
      window_start: time("Start of that window, inclusive."),
      predictions,
      intervals,
      bands: each(
        names,
        (name) =>
          list(interval(name), `In ${units[name]}, narrowest first; empty when there is no forecast.`),
        `Central intervals meant to hold ${contract.bands.map((b) => `${Math.round(b * 100)} %`).join(", ")} of outcomes. They nest, and each station's are scaled by how often its own truths fell outside (docs/intervals.md).`,
      ),
      units: each(names, (name) => ({ const: units[name] }), "Unit of each forecast and its intervals."),
      valid_at: each(
        hoursOf(contract).map(horizonName),
        (h) => time(`Moment the ${h} forecasts are for.`),
        "Valid time by horizon.",
      ),
      ...(judged && {
        anomaly: object(
          {
            ...ANOMALY,
            method: string("What judged: `rules` means range and step rules only."),
            evidence,
          },
          "Verdict on the window's observations, not on the forecast.",
        ),
      }),
      confidence: object(
        {
          ...Object.fromEntries(
            contract.targets.map((target) => [
              `${target}_confidence`,
              number(`Of the ${target} forecasts.`, { minimum: 0, maximum: 1 }),
            ]),
          ),
          overall_confidence: number("Of the forecast as a whole.", { minimum: 0, maximum: 1 }),
        },
        confidence,
      ),
      model_version: string("Version in the model registry."),
      in_sample: boolean(
        "Whether the window lies in the model's training range: such a forecast proves nothing.",
      ),
      ...AGE,
      id: string("Identity of the prediction."),
      arm: string("Arm of the A/B test that made it."),
      version: object({
        plan_epoch: integer("Of the stateful plan."),
        revision: integer(
          contract.by === undefined
            ? "Largest raw offset in the window."
            : "How many observations the window holds.",
        ),
      }),
      provenance: {
        type: "object",
        description: "The records it was made from, and where it is itself kept.",
      },
      stages: map(
        { type: "string", format: "date-time" },
        "When each stage was passed; event_time in event time, the rest in wall time.",
      ),
      latency_ms: nullable(
        number("From the append of the newest raw record to the commit of this prediction.", { unit: "ms" }),
      ),
    }),
    Station: object({
      station_id: string("Id, as in the path of a forecast."),
      name: string("Name for people; the id where none is known."),
      latitude: nullable(number("Degrees north.")),
      longitude: nullable(number("Degrees east.")),
      elevation_m: nullable(number("Metres above sea level.")),
      reported: boolean("Whether a window or a forecast of it was seen in this run."),
      observed: nullable(
        object(
          {
            window_end: time("End of the window, event time."),
            measurement_count: integer("Observations in it."),
            values: each(
              Object.keys(values),
              (name) => nullable(number(`In ${values[name]}.`, { unit: values[name] })),
              "Values of the newest window.",
            ),
          },
          "Newest window that was published; null when none was seen.",
        ),
      ),
      forecast: nullable(
        object(
          {
            timestamp: time("End of the window, event time."),
            predictions,
            intervals,
            ...(judged && { ...ANOMALY, evidence }),
            overall_confidence: nullable(number("See Forecast.", { minimum: 0, maximum: 1 })),
            model_version: string("Version in the model registry."),
            in_sample: boolean("See Forecast."),
          },
          "Newest forecast; null when there is none.",
        ),
      ),
      ...nullAge,
    }),
    Stations: object({
      pipeline: string("Name of the pipeline."),
      parts: list(
        { type: "string" },
        "Parts the pipeline has; without `anomaly` nothing judges its windows.",
      ),
      at: time("When this was answered, wall time."),
      frontier: nullable(time("Newest window end of the network, event time.")),
      count: integer("Stations that have reported, on all pages together."),
      units: object({
        predictions: map({ type: "string" }, "By forecast."),
        values: map({ type: "string" }, "By column of the latest values."),
      }),
      stations: list(ref("Station"), "One page."),
      next: nullable(string("Give this as `after` for the next page.")),
    }),
    Score: object(
      {
        target: string("What was forecast.", { enum: contract.targets }),
        horizon_h: hours,
        window: string("Span of event time before the newest verification, by valid time.", {
          enum: WINDOW_NAMES,
        }),
        unit: string("Of every error, width and score in this row."),
        pairs: integer("Forecasts with a truth."),
        unverifiable: integer("Forecasts whose truth never came."),
        in_sample: integer("Forecasts issued inside the model's training range; they count nowhere else."),
        mae: nullable(number("Mean absolute error of the median.")),
        bias: nullable(number("Mean of forecast minus truth.")),
        persistence_mae: nullable(number("The same of the value at issue.")),
        dap_mae: nullable(number("The same of damped anomaly persistence.")),
        skill_persistence: nullable(number("1 - MAE / MAE of persistence, on the same pairs.")),
        skill_dap: nullable(number("1 - MAE / MAE of damped anomaly persistence, on the same pairs.")),
        coverage: each(
          bandNames,
          (band) => nullable(number(`Of the ${band} % band.`, { minimum: 0, maximum: 1 })),
          "Share of truths inside each band.",
        ),
        width: nullable(number("Mean width of the widest band.")),
        pinball: nullable(number("Mean of the pinball losses summed over all quantiles.")),
        winkler: nullable(number("Mean interval score of the widest band.")),
      },
      "What forecasts of one target and horizon were worth; null without a pair.",
    ),
    Verification: object({
      id: string("Identity of the verification."),
      forecast_id: string("Identity of the prediction that was judged."),
      [entityKey(contract)]: string("The station."),
      target: string("What was forecast."),
      unit: string("Of the truth and every value, error, width and score here."),
      horizon_h: hours,
      issued: time("When it was issued, event time."),
      valid: time("When it was for, event time."),
      judged: time("The station's row that brought the truth, or ended the wait for it."),
      status: string("verified or unverifiable.", { enum: ["verified", "unverifiable"] }),
      truth: nullable(
        number("What was measured; at the edge of what the target can be where a sensor read beyond it."),
      ),
      truth_window_end: nullable(time("The window it was taken from.")),
      model: object({
        value: number("The median."),
        error: nullable(number("Value minus truth.")),
        pinball: nullable(number("Sum of the pinball losses of all quantiles.")),
        width: number("Of the widest band."),
        winkler: nullable(number("Interval score of the widest band.")),
        ...Object.fromEntries(
          bandNames.map((band) => [
            `covered_${band}`,
            nullable(boolean(`Whether the ${band} % band held the truth.`)),
          ]),
        ),
      }),
      persistence: ref("Baseline"),
      dap: ref("Baseline"),
      model_version: string("Version in the model registry."),
      arm: string("Arm of the A/B test that made it."),
      in_sample: boolean("Whether it was issued inside the model's training range."),
    }),
    Baseline: object({
      value: nullable(number("What the baseline said; null where it had nothing to say.")),
      error: nullable(number("Value minus truth.")),
    }),
    Verifications: object({
      pipeline: string("Name of the pipeline."),
      at: time("When this was answered, wall time."),
      frontier: nullable(time("Newest valid time that was judged, event time; the windows end here.")),
      scores: list(ref("Score"), "By target, horizon and window."),
      verifications: list(ref("Verification"), "Newest first."),
    }),
    Jobs: object({
      at: time("When this was answered, wall time."),
      jobs: list(
        object({
          name: string("Name of the job."),
          pipeline: string("The pipeline it works for."),
          engine: string("spark, ray, process, or unknown."),
          desired: boolean("Whether the desired state wants it running."),
          state: string("As the engine says.", {
            enum: ["waiting", "running", "succeeded", "failed", "stopped", "unknown"],
          }),
          reason: nullable(string("Why, for a state that needs it.")),
          submission: nullable(string("Submission id at the engine.")),
          restarts: nullable(integer("Restarts by the supervisor.")),
          gave_up: boolean("Whether the supervisor stopped trying."),
          schedule: nullable(string("When a batch is due: five fields of cron in UTC.")),
          due: nullable(time("The next time it is due.")),
          last: nullable(
            object({
              at: time("When its last submission ended, wall time."),
              reason: string("How it ended."),
            }),
          ),
          heartbeat: nullable(
            object({
              at: time("When the job last spoke, wall time."),
              age_s: number("Since then.", { unit: "s" }),
              state: string("The job's own view of itself."),
              state_age_s: number("Since it first said so, without another state between.", { unit: "s" }),
              error_code: nullable(string("A symbol of error_code.")),
              message: nullable(string("One sentence.")),
              counters: map({ type: "number" }, "Counts and gauges; the unit is last in the name."),
            }),
          ),
        }),
        "All jobs, by name; batches too, with how they ended.",
      ),
    }),
    Health: object({
      status: string("down: something needed is down. degraded: something else is, or only waits.", {
        enum: ["ok", "degraded", "down"],
      }),
      ready: boolean("As /health/ready."),
      at: time("When this was judged, wall time."),
      engines: list(
        object({
          name: string("Name of the engine."),
          address: string("Where it was asked."),
          needed: boolean("Whether a live forecast needs it."),
          status: string("up, down, or off: optional and not started.", { enum: ["up", "down", "off"] }),
          detail: string("What was seen."),
          next: nullable(string("What to do; null when up.")),
        }),
        "Every engine.",
      ),
      jobs: list(
        object({
          name: string("Name of the job."),
          engine: string("Where it runs."),
          needed: boolean("Whether a live forecast needs it."),
          status: string(
            "up, down, or waiting: it runs and is well, but has not begun its work for minutes.",
            {
              enum: ["up", "waiting", "down"],
            },
          ),
          state: string("As the engine says."),
          heartbeat_age_s: nullable(number("Since the job last spoke.", { unit: "s" })),
          detail: string("Why."),
          next: nullable(string("What to do; null when up.")),
        }),
        "Every job that is needed, wanted or running. One that has ended, as a batch or a finished replay, is no part of health: GET /jobs says how it ended.",
      ),
      event_time: object({
        pipeline: string("Whose time line."),
        frontier: nullable(time("Newest window end that is served, event time.")),
        watermark: nullable(time("What is late lies before it, event time.")),
        ahead_s: number("How far the later of both lies after the wall clock; 0 for a replay of the past.", {
          unit: "s",
        }),
        status: string("ahead: the watermark lies further ahead than an observation may lead.", {
          enum: ["ok", "ahead"],
        }),
        detail: string("Why."),
        next: nullable(string("What to do; null when ok.")),
      }),
      feed: ref("Feed"),
    }),
    Feed: object({
      caught_up: boolean("Whether the ends met at the start were reached."),
      topics: list(
        object({
          topic: string("Topic."),
          lag: integer("Records still to be read; commit markers may leave it above 0."),
          records: integer("Records read by this process."),
          undecodable: integer("Records that could not be decoded."),
        }),
        "Topics this process follows.",
      ),
      error: nullable(string("Why the feed does not run.")),
    }),
    Live: object({ status: string("ok.", { const: "ok" }) }),
    Ready: object({
      status: string("ready or catching_up.", { enum: ["ready", "catching_up"] }),
      feed: ref("Feed"),
    }),
    Document: { type: "object", description: "An OpenAPI document." },
    Problem: object(
      {
        type: string("urn:millrace:problem:<code>."),
        title: string("What went wrong, in general."),
        status: integer("HTTP status."),
        detail: string("What went wrong here."),
        instance: string("The path that was asked for."),
        code: string("For programs."),
        next: string("What to do."),
      },
      "RFC 9457 problem document.",
    ),
  };
}

const content = (type: string, schema: Schema) => ({ [type]: { schema } });

/** The OpenAPI 3.1 document. `confidence` says what the confidence means, in one paragraph. */
export function openapi(
  contract: ServedContract,
  version: string,
  confidence: string,
): Record<string, unknown> {
  const paths: Record<string, unknown> = {};
  for (const name of routesOf(contract)) {
    const route: Route = ROUTES[name];
    const path = route.path.replace("{station_id}", `{${entityKey(contract)}}`);
    const body = content(route.type, route.schema ? ref(route.schema) : { type: "string" });
    const refusals = new Map<number, Refusal[]>();
    for (const refusal of route.refusals) {
      const status = REFUSAL[refusal].status;
      refusals.set(status, [...(refusals.get(status) ?? []), refusal]);
    }
    paths[path] = {
      get: {
        operationId: name,
        tags: [route.tag],
        summary: route.summary,
        description: route.description,
        parameters: [
          ...(path === route.path && !route.path.includes("{")
            ? []
            : [
                {
                  name: entityKey(contract),
                  in: "path",
                  required: true,
                  description: "Id of the station.",
                  schema: { type: "string", maxLength: ENTITY_ID_LENGTH_MAX },
                },
              ]),
          ...route.query.map((q) => ({
            name: q.name,
            in: "query",
            required: false,
            description: q.description,
            schema: q.schema,
          })),
        ],
        responses: {
          200: { description: route.summary, content: body },
          ...Object.fromEntries(
            route.also.map((status) => [
              status,
              { description: `${route.summary}; not well`, content: body },
            ]),
          ),
          ...Object.fromEntries(
            [...refusals].map(([status, codes]) => [
              status,
              {
                description: codes.map((c) => `${c}: ${REFUSAL[c].title}. ${REFUSAL[c].next}`).join("; "),
                content: content("application/problem+json", ref("Problem")),
              },
            ]),
          ),
          default: {
            description: "Any other failure",
            content: content("application/problem+json", ref("Problem")),
          },
        },
      },
    };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: `Millrace: ${contract.pipeline}`,
      version,
      description:
        "Latest forecasts with units, intervals, ages and provenance. Times are RFC 3339 in UTC. A key is never missing: what is not known is null. Errors are RFC 9457 problem documents whose `next` says what to do.",
    },
    tags: [
      { name: "forecasts", description: "What the pipeline computed." },
      { name: "operation", description: "How the pipeline runs." },
      { name: "description", description: "For people and clients." },
    ],
    paths,
    components: { schemas: referred(paths, schemas(contract, confidence)) },
  };
}

/** The schemas that the paths speak of, and those that these speak of. */
function referred(
  paths: Readonly<Record<string, unknown>>,
  schemas: Readonly<Record<string, Schema>>,
): Record<string, Schema> {
  const found = new Set<string>();
  const visit = (part: unknown): void => {
    for (const [, name] of JSON.stringify(part).matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
      if (found.has(name!)) continue;
      found.add(name!);
      visit(schemas[name!]);
    }
  };
  visit(paths);
  return Object.fromEntries(Object.entries(schemas).filter(([name]) => found.has(name)));
}
