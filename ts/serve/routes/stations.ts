// GET /stations: every station with its latest values and its forecast, as JSON in pages or as one GeoJSON collection.

import { ENTITY_ID_LENGTH_MAX } from "../../contract/index.ts";
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
import type { Latest } from "../latest.ts";
import type { ServedContract } from "../records.ts";
import { defineRoute, weakTag } from "../route.ts";
import {
  each,
  flag,
  integer,
  list,
  map,
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
import { catchingUp, componentOf } from "./pipeline.ts";

/** Rows a page of /stations holds when nothing is asked, and at most. */
export const STATIONS_LIMIT = 1_000;
export const STATIONS_LIMIT_MAX = 10_000;

const GEOJSON = "application/geo+json";

function stationSchema(contract: ServedContract) {
  const values = valueUnits(contract);
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
        nullable(
          z.object({
            window_end: time("End of the window, event time."),
            measurement_count: integer("Observations in it.", { unit: "1" }),
            values: each(
              Object.keys(values),
              (name) => said(z.number().nullable(), `In ${values[name]}.`, { unit: values[name] }),
              "Values of the newest window.",
            ),
          }),
        ),
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
export type StationRow = z.infer<ReturnType<typeof stationSchema>>;

export function stationsSchema(contract: ServedContract) {
  return z
    .object({
      pipeline: text("Name of the pipeline."),
      parts: list(z.string(), "Parts the pipeline has; without `anomaly` nothing judges its windows."),
      at: time("When this was answered, wall time."),
      frontier: nullable(time("Newest window end of the network, event time.")),
      count: integer("Stations that have reported, on all pages together.", { unit: "1" }),
      units: z.object({
        predictions: map(z.string(), "By forecast."),
        values: map(z.string(), "By column of the latest values."),
      }),
      stations: list(stationSchema(contract), "One page."),
      next: nullable(text("Give this as `after` for the next page.")),
    })
    .openapi(componentOf(contract, "Stations"));
}
export type StationsBody = z.infer<ReturnType<typeof stationsSchema>>;

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

const NO_AGE = { age_s: null, behind_s: null, stale: false, stale_reason: null };

/** One row of the station list. A station of the contract that never spoke has no values, no forecast and no age. */
function stationRow(
  contract: ServedContract,
  columns: readonly string[],
  latest: Latest,
  station_id: string,
  now_ms: number,
): StationRow {
  const state = latest.get(station_id);
  const known = Object.hasOwn(contract.stations, station_id) ? contract.stations[station_id] : undefined;
  const prediction = state?.prediction?.record;
  const features = state?.features?.record;
  const finite = (value: unknown) => (typeof value === "number" && Number.isFinite(value) ? value : null);
  return {
    station_id,
    name: known?.name ?? station_id,
    latitude: known?.latitude ?? null,
    longitude: known?.longitude ?? null,
    elevation_m: known?.elevation_m ?? null,
    reported: state !== undefined,
    observed: features
      ? {
          window_end: iso(features.window_end),
          measurement_count: features.measurement_count,
          values: Object.fromEntries(columns.map((c) => [c, finite(features[c])])),
        }
      : null,
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
    ...((state && latest.age(state, now_ms)) ?? NO_AGE),
  };
}

export function stationsBody(
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
    frontier: latest.frontier_ms === null ? null : iso(latest.frontier_ms),
    count: ids.filter((id) => latest.get(id) !== undefined).length,
    units: { predictions: forecastUnits(contract), values: units },
    stations: page.map((id) => stationRow(contract, columns, latest, id, now_ms)),
    next: rest.length > limit ? (page.at(-1) ?? null) : null,
  };
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

export function stationsRoute(served: Served, { clock }: AppEffects) {
  const { contract, latest } = served;
  return defineRoute({
    name: "stations",
    needs: ["windows"],
    path: "/stations",
    tag: "forecasts",
    summary: "Stations with their latest values and forecasts",
    description:
      "Those of the pipeline's definition and those heard of, in alphabetical order of the id; `next` names the next page's `after`, or is null on the last page (in GeoJSON the header Link has it). A station of the definition that has not reported in this run has `reported: false` and is not in `count`.",
    query: z.object({
      limit: wholeNumber("Rows of a page.", { min: 1, max: STATIONS_LIMIT_MAX, usual: STATIONS_LIMIT }),
      after: text("Only stations whose id sorts after this one.").max(ENTITY_ID_LENGTH_MAX).optional(),
      format: word(["json", "geojson"], "Overrules the header Accept.").optional(),
    }),
    schema: stationsSchema(contract),
    types: { [GEOJSON]: geoSchema(contract) },
    refusals: ["bad_parameter", "catching_up"],
    answer: ({ query, request, path }) => {
      const early = catchingUp(served, path);
      if (early) return early;
      const now_ms = clock.nowMs();
      const geo = wantsGeo(query.format, request.headers.get("accept"));
      const body = stationsBody(served, now_ms, query.limit, query.after ?? null);
      const { next } = body;
      const link =
        next === null
          ? {}
          : {
              link: `<${path}?limit=${query.limit}&after=${encodeURIComponent(next)}${geo ? "&format=geojson" : ""}>; rel="next"`,
            };
      const headers = { vary: "accept", ...link };
      const etag = weakTag(latest.stateAt(now_ms), geo ? "geo" : "json", query.limit, textOf(query.after));
      if (!geo) return { body, etag, headers };
      return {
        body: geoBody(body) as unknown as StationsBody,
        etag,
        headers: { ...headers, "content-type": GEOJSON },
      };
    },
  });
}

/** A parameter as part of a tag, where quotes and commas mean something. */
const textOf = (parameter: string | undefined) => encodeURIComponent(parameter ?? "");
