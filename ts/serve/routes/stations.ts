// GET /stations: every station with its latest values and its forecast, as JSON in pages or as one GeoJSON collection.

import { PAGE_MAX } from "../../store/queries.ts";
import type { AppEffects, Served } from "../effects.ts";
import {
  AGE,
  forecastUnits,
  iso,
  numberSchemas,
  numbers,
  stationIds,
  VERDICT,
  valueUnits,
} from "../forecast.ts";
import { finite, placeOf } from "../history.ts";
import type { FeatureRecord, PredictionRecord, ServedContract } from "../records.ts";
import { defineRoute, digestOf, weakTag } from "../route.ts";
import {
  each,
  flag,
  integer,
  list,
  map,
  moment,
  nullable,
  number,
  said,
  share,
  text,
  time,
  when,
  wholeNumber,
  word,
  z,
} from "../schema.ts";
import { asked } from "../store.ts";
import { catchingUp, componentOf } from "./pipeline.ts";

/** Rows a page of /stations holds when nothing is asked, and at most. */
const STATIONS_LIMIT = 1_000;
const STATIONS_LIMIT_MAX = 10_000;

const GEOJSON = "application/geo+json";

/** What was measured in one window, as far as a station's newest values go. */
export function observedSchema(contract: ServedContract) {
  const values = valueUnits(contract);
  return z.object({
    window_end: time("End of the window, event time."),
    measurement_count: integer("Observations in it.", { unit: "1" }),
    values: each(
      Object.keys(values),
      (name) => said(z.number().nullable(), `In ${values[name]}.`, { unit: values[name] }),
      "Values of the newest window.",
    ),
  });
}

export function observedBody(columns: readonly string[], features: FeatureRecord) {
  return {
    window_end: iso(features.window_end),
    measurement_count: features.measurement_count,
    values: Object.fromEntries(columns.map((column) => [column, finite(features[column])])),
  };
}

function stationSchema(contract: ServedContract) {
  const { predictions, intervals } = numberSchemas(contract);
  return z
    .object({
      station_id: text("Id, as in the path of a forecast."),
      name: text("Name for people; the id where none is known."),
      latitude: nullable(number("Degrees north.", { unit: "deg" })),
      longitude: nullable(number("Degrees east.", { unit: "deg" })),
      elevation_m: nullable(number("Metres above sea level.", { unit: "m" })),
      reported: flag("Whether a window or a forecast of it was seen in this run."),
      observed: said(
        nullable(observedSchema(contract)),
        "Newest window that was published; null when none was seen.",
      ),
      forecast: said(
        nullable(
          z.object({
            timestamp: time("End of the window, event time."),
            predictions,
            intervals,
            ...when(contract.parts.includes("anomaly"), VERDICT),
            overall_confidence: nullable(share("See the forecast of the station.")),
            model_version: text("Version in the model registry."),
            in_sample: flag("See the forecast of the station."),
          }),
        ),
        "Newest forecast; null when there is none.",
      ),
      ...AGE,
      age_s: nullable(AGE.age_s),
      behind_s: nullable(AGE.behind_s),
    })
    .openapi(componentOf(contract, "Station"));
}
type StationRow = z.infer<ReturnType<typeof stationSchema>>;

function stationsSchema(contract: ServedContract) {
  return z
    .object({
      pipeline: text("Name of the pipeline."),
      parts: list(z.string(), "Parts the pipeline has; without `anomaly` nothing judges its windows."),
      at: time("When this was answered, wall time."),
      as_of: nullable(time("The moment that was asked for as `at`, event time; null for now.")),
      frontier: nullable(time("Newest window end of the network, event time; with `at` of this page.")),
      count: integer("Stations that have reported, on all pages together; with `at` on this page.", {
        unit: "1",
      }),
      units: z.object({
        predictions: map(z.string(), "By forecast."),
        values: map(z.string(), "By column of the latest values."),
      }),
      stations: list(stationSchema(contract), "One page."),
      next: nullable(text("Give this as `after` for the next page.")),
    })
    .openapi(componentOf(contract, "Stations"));
}
type StationsBody = z.infer<ReturnType<typeof stationsSchema>>;

/** RFC 7946; coordinates are longitude, latitude, and the elevation where it is known. */
function geoSchema(contract: ServedContract) {
  return z
    .object({
      type: z.literal("FeatureCollection"),
      features: list(
        z.object({
          type: z.literal("Feature"),
          id: text("Id of the station."),
          geometry: said(
            nullable(z.object({ type: z.literal("Point"), coordinates: list(z.number(), "deg, deg, m") })),
            "Null for a station without a place.",
          ),
          properties: stationSchema(contract),
        }),
        "The same page of stations.",
      ),
    })
    .openapi(componentOf(contract, "StationsGeoJson"));
}
type GeoBody = z.infer<ReturnType<typeof geoSchema>>;

/** The newest records of a station, now or as of a moment. */
interface Seen {
  readonly prediction?: PredictionRecord | undefined;
  readonly features?: FeatureRecord | undefined;
}

const NO_AGE = { age_s: null, behind_s: null, stale: false, stale_reason: null };

/** One row of the station list. A station of the contract that never spoke has no values, no forecast and no age. */
function stationRow(
  contract: ServedContract,
  columns: readonly string[],
  station_id: string,
  seen: Seen | undefined,
  age: Pick<StationRow, "age_s" | "behind_s" | "stale" | "stale_reason">,
): StationRow {
  const known = Object.hasOwn(contract.stations, station_id) ? contract.stations[station_id] : undefined;
  const { prediction, features } = seen ?? {};
  return {
    station_id,
    name: known?.name ?? station_id,
    latitude: known?.latitude ?? null,
    longitude: known?.longitude ?? null,
    elevation_m: known?.elevation_m ?? null,
    reported: seen !== undefined,
    observed: features ? observedBody(columns, features) : null,
    forecast: prediction
      ? {
          timestamp: iso(prediction.timestamp),
          ...numbers(contract, prediction),
          ...(prediction.anomaly && {
            is_anomaly: prediction.anomaly.is_anomaly,
            anomaly_score: prediction.anomaly.anomaly_score,
            anomaly_type: prediction.anomaly.anomaly_type,
            evidence: prediction.anomaly.evidence,
          }),
          overall_confidence: prediction.confidence["overall_confidence"] ?? null,
          model_version: prediction.model_version,
          in_sample: prediction.in_sample,
        }
      : null,
    ...age,
  };
}

function stationsBody(
  { contract, latest }: Pick<Served, "contract" | "latest">,
  now_ms: number,
  limit: number,
  after: string | null,
): StationsBody {
  const ids = stationIds(contract, latest);
  const rest = after === null ? ids : ids.filter((id) => id > after);
  const page = rest.slice(0, limit);
  const units = valueUnits(contract);
  const columns = Object.keys(units);
  return {
    pipeline: contract.pipeline,
    parts: contract.parts,
    at: iso(now_ms),
    as_of: null,
    frontier: latest.frontier_ms === null ? null : iso(latest.frontier_ms),
    count: ids.filter((id) => latest.get(id) !== undefined).length,
    units: { predictions: forecastUnits(contract), values: units },
    stations: page.map((id) => {
      const state = latest.get(id);
      const seen = state && { prediction: state.prediction?.record, features: state.features?.record };
      return stationRow(contract, columns, id, seen, (state && latest.age(state, now_ms)) ?? NO_AGE);
    }),
    next: rest.length > limit ? (page.at(-1) ?? null) : null,
  };
}

/** The stations as of a moment: what the store knows, of windows that end at or before it. */
async function stationsAt(
  { contract, store }: Pick<Served, "contract" | "store">,
  { arm, at_ms, now_ms }: { readonly arm: string; readonly at_ms: number; readonly now_ms: number },
  limit: number,
  after: string | null,
): Promise<{ readonly body: StationsBody; readonly state: string }> {
  const { rows, next } = await store.entitiesAt({ arm, at_ms, limit, cursor: after });
  const units = valueUnits(contract);
  const columns = Object.keys(units);
  const ends = rows.flatMap(({ features, prediction }) => [
    ...(features ? [Number(features.record["window_end"])] : []),
    ...(prediction ? [Number(prediction.record["timestamp"])] : []),
  ]);
  const body: StationsBody = {
    pipeline: contract.pipeline,
    parts: contract.parts,
    at: iso(now_ms),
    as_of: iso(at_ms),
    frontier: ends.length === 0 ? null : iso(Math.max(...ends)),
    count: rows.filter(({ features, prediction }) => features ?? prediction).length,
    units: { predictions: forecastUnits(contract), values: units },
    stations: rows.map(({ entity, features, prediction }) => {
      const seen =
        features || prediction
          ? {
              prediction: prediction?.record as PredictionRecord | undefined,
              features: features?.record as FeatureRecord | undefined,
            }
          : undefined;
      return stationRow(contract, columns, entity, seen, NO_AGE);
    }),
    next,
  };
  const state = rows
    .flatMap(({ entity, features, prediction }) => [
      entity,
      features ? placeOf(features) : "",
      prediction ? placeOf(prediction) : "",
    ])
    .join("\n");
  return { body, state };
}

function geoBody({ stations }: StationsBody): GeoBody {
  return {
    type: "FeatureCollection",
    features: stations.map((station) => {
      const { station_id: id, latitude, longitude, elevation_m } = station;
      const geometry =
        latitude === null || longitude === null
          ? null
          : {
              type: "Point" as const,
              coordinates: [longitude, latitude, ...(elevation_m === null ? [] : [elevation_m])],
            };
      return { type: "Feature", id, geometry, properties: station };
    }),
  };
}

/** Whether GeoJSON is wanted: `format` decides, else the first of both types that `Accept` names. */
function wantsGeo(format: string | undefined, accept: string | null): boolean {
  if (format !== undefined) return format === "geojson";
  const types = (accept ?? "").split(",").map((type) => type.split(";")[0]!.trim());
  return types.find((type) => type === GEOJSON || type === "application/json") === GEOJSON;
}

export function stationsRoute(served: Served, { clock, arm }: AppEffects) {
  const { contract, latest } = served;
  return defineRoute({
    name: "stations",
    needs: ["windows"],
    path: "/stations",
    tag: "forecasts",
    summary: "Stations with their latest values and forecasts",
    description:
      "Those of the pipeline's definition and those heard of, in alphabetical order of the id; `next` names the next page's `after`, or is null on the last page (in GeoJSON the header Link has it). A station of the definition that has not reported in this run has `reported: false` and is not in `count`. With `at` the stations as they were at that moment of event time, from the store: those it has heard of, without ages; `next` is then opaque, a page of at most 1,000, and only with the same `at`.",
    query: z.object({
      limit: wholeNumber("Rows of a page.", { min: 1, max: STATIONS_LIMIT_MAX, usual: STATIONS_LIMIT }),
      after: text(
        "Only stations whose id sorts after this one; with `at`, `next` of the page before.",
      ).optional(),
      at: moment("As of this moment of event time, from the store."),
      format: word(["json", "geojson"], "Overrules the header Accept.").optional(),
    }),
    schema: stationsSchema(contract),
    types: { [GEOJSON]: geoSchema(contract) },
    refusals: ["bad_parameter", "catching_up", "store_unreachable"],
    answer: ({ query, request, path }) => {
      const now_ms = clock.nowMs();
      const geo = wantsGeo(query.format, request.headers.get("accept"));
      const { limit, after = null, at: at_ms } = query;
      const written = (body: StationsBody, etag: string) => {
        const { next } = body;
        const asOf = at_ms === undefined ? "" : `&at=${iso(at_ms)}`;
        const link =
          next === null
            ? {}
            : {
                link: `<${path}?limit=${limit}&after=${encodeURIComponent(next)}${asOf}${geo ? "&format=geojson" : ""}>; rel="next"`,
              };
        const headers = { vary: "accept", ...link };
        if (!geo) return { body, etag, headers };
        return {
          body: geoBody(body) as unknown as StationsBody,
          etag,
          headers: { ...headers, "content-type": GEOJSON },
        };
      };
      const form = geo ? "geo" : "json";
      if (at_ms !== undefined)
        return asked(path, async () => {
          const moment = { arm, at_ms, now_ms };
          const { body, state } = await stationsAt(served, moment, Math.min(limit, PAGE_MAX), after);
          return written(body, weakTag(digestOf(state), form, limit, at_ms));
        });
      const early = catchingUp(served, path);
      if (early) return early;
      const body = stationsBody(served, now_ms, limit, after);
      return written(body, weakTag(latest.stateAt(now_ms), form, limit, textOf(query.after)));
    },
  });
}

/** A parameter as part of a tag, where quotes and commas mean something. */
const textOf = (parameter: string | undefined) => encodeURIComponent(parameter ?? "");
