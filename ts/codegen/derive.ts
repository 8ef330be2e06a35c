// From an observation contract and a pipeline to the one derived model both languages are written from: each part by its own
// rules (parts/), here what they have in common and what holds between them. Pure: reads no file, writes no line.

import { createHash } from "node:crypto";
import type { ObservationField, ObservationShape } from "../contract/index.ts";
import { canonicalJson } from "../ground/canonical.ts";
import { isClaimable, PATH_WORDS } from "../pipelines/claims.ts";
import { type BySchema, type Contract, SCHEMA_NAMES, type StreamContract } from "../pipelines/contract.ts";
import type { Pipeline } from "../pipelines/define.ts";
import { horizonHours, inWholeHours } from "../pipelines/horizon.ts";
import { PARTS, partsOf } from "../pipelines/parts.ts";
import { PIPELINE } from "../pipelines/rules.ts";
import { leadingStream, streamNames } from "../pipelines/streams.ts";
import { type Check, checkOf, sorted } from "./check.ts";
import type { Functions } from "./functions.ts";
import { checkAlerts } from "./parts/alerts.ts";
import { outlineAnomaly } from "./parts/anomaly.ts";
import { outlineForecast } from "./parts/forecast.ts";
import { outlineHistory } from "./parts/history.ts";
import { checkQueries } from "./parts/queries.ts";
import { checkStreams, outlineStream } from "./parts/stream.ts";
import { outlineGrouping, outlineWindows } from "./parts/windows.ts";

/** A contract before its schemas and hashes are known; `event` goes into a schema only. */
export type Outline = Omit<Contract, "fingerprint" | "plan_hash" | "schemas" | "other_streams"> & {
  readonly event: string;
  readonly other_streams: Readonly<Record<string, Omit<StreamContract, "observation">>>;
};

/** What queries may name, and the names of jobs they may not have. */
export interface KnownNames {
  readonly queries: Functions;
  readonly jobs: readonly string[];
}

/**
 * `observations` are those of the streams, by their names; `functions` those that derived columns may name. Errors:
 * `contract_rejected`, naming the pipeline, the place and the rule.
 */
export function outline(
  observations: Readonly<Record<string, ObservationShape>>,
  pipeline: Pipeline,
  functions: Functions = new Map(),
  { queries, jobs }: KnownNames = { queries: new Map(), jobs: [] },
): Outline {
  const check = checkOf(pipeline.name);
  check.need(PIPELINE.holds(pipeline.name), "name", PIPELINE.words, pipeline.name);
  checkStreams(check, pipeline);
  const stream = leadingStream(pipeline);
  const observation = observations[stream]!;
  const { entity = pipeline.windows?.by ?? observation.key } = pipeline;
  check.need(/^[a-z][a-z0-9_]*$/.test(entity), "entity", "a word in snake_case", entity);
  const parts = completeParts(check, pipeline);
  const fields = new Map<string, ObservationField>(observation.fields.map((field) => [field.name, field]));
  const stations = pipeline.stations ?? {};
  if (pipeline.queries)
    checkQueries(check, pipeline.queries, streamNames(pipeline), queries, jobs, pipeline.lines !== undefined);

  if (pipeline.alerts) checkAlerts(check, pipeline.alerts, pipeline.anomaly?.event ?? "");

  for (const path of pipeline.serve?.routes ?? [])
    check.need(isClaimable(path), "serve.routes", PATH_WORDS, path);

  const { [stream]: leading, ...other_streams } = Object.fromEntries(
    Object.entries(pipeline.streams).map(([name, one]) => [
      name,
      outlineStream(check, name, observations[name]!, one),
    ]),
  );
  const { lateness_ms, lead_ms, ...said } = leading!;
  const windows = outlineWindows(check, observation, pipeline.windows);
  const grouping = outlineGrouping(check, observation, pipeline);
  const history = outlineHistory(check, windows, pipeline.history);
  const beside = { windows, history, lateness_ms, stations, functions };
  const { neighbours, ...forecast } = outlineForecast(check, beside, pipeline.forecast);
  const rules = outlineAnomaly(
    check,
    { fields, history, forecast: { ...forecast, neighbours } },
    pipeline.anomaly,
  );
  const { features, ...spans } = windows;
  return {
    pipeline: pipeline.name,
    parts,
    entity,
    stream,
    other_streams,
    ...said,
    ...grouping,
    ...spans,
    lateness_ms,
    lead_ms,
    features,
    ...history,
    ...forecast,
    ...rules,
    stations: sorted(stations),
    neighbours,
  };
}

/** The parts a pipeline has, none without those it needs. */
function completeParts({ need }: Check, pipeline: Pipeline): Contract["parts"] {
  const parts = partsOf(pipeline);
  for (const part of parts)
    for (const other of PARTS[part].needs)
      need(parts.includes(other), part, `the part "${other}" beside it, which "${part}" needs`, parts);
  return parts;
}

/**
 * The outline with its schemas (without docs) and the two hashes over both. `observations` are the schemas of the other streams.
 */
export function seal(
  { event: _, ...outline }: Outline,
  schemas: BySchema<object>,
  observations: Readonly<Record<string, object>> = {},
): Contract {
  const other_streams = Object.fromEntries(
    Object.entries(outline.other_streams).map(([name, said]): [string, StreamContract] => [
      name,
      { ...said, observation: JSON.stringify(withoutDocs(observations[name])) },
    ]),
  );
  const bare = Object.fromEntries(
    SCHEMA_NAMES.flatMap((name) => {
      const schema = schemas[name];
      return schema === undefined ? [] : [[name, JSON.stringify(withoutDocs(schema))]];
    }),
  ) as unknown as BySchema<string>;
  const { key, by, raw_partitions, event_time, duplicates, window_ms, slide_ms, lateness_ms, features } =
    outline;
  // Said where it is another than what it always was.
  const stream = outline.stream === "raw" ? {} : { stream: outline.stream };
  const plan = {
    ...stream,
    ...(by === undefined ? {} : { by, raw_partitions }),
    key,
    event_time,
    duplicates,
    window_ms,
    slide_ms,
    lateness_ms,
    aggregates: features.map(({ field, kind }) => [field, kind]),
  };
  // Which parts there are shows in the rest, and a word for people is no meaning.
  const {
    parts: _parts,
    entity: _entity,
    stream: _stream,
    other_streams: _others,
    horizons_ms,
    fields,
    ...meaning
  } = outline;
  // What a direction is of is said to people alone, as a doc is.
  const measured = fields.map(({ magnitude: _magnitude, ...field }) => field);
  const others = Object.keys(other_streams).length === 0 ? {} : { other_streams };
  // Whole hours mean what they meant when a contract had no other horizons.
  const horizons = inWholeHours(horizons_ms)
    ? { horizons_h: horizons_ms.map(horizonHours) }
    : { horizons_ms };
  return {
    ...outline,
    other_streams,
    fingerprint: sha256({ ...meaning, fields: measured, ...horizons, ...stream, ...others, schemas: bare }),
    plan_hash: sha256(plan),
    schemas: bare,
  };
}

/** SHA-256, in hex, over canonical JSON. */
export function sha256(value: unknown): string {
  return createHash("sha256").update(canonicalJson(value)).digest("hex");
}

function withoutDocs(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutDocs);
  if (typeof value !== "object" || value === null) return value;
  // Only a schema's own doc is text; a field that is named doc would be an object's value of "name". What a direction is of is no
  // part of what is stored either.
  return Object.fromEntries(
    Object.entries(value).flatMap(([k, v]) =>
      k === "doc" || k === "magnitude" ? [] : [[k, withoutDocs(v)]],
    ),
  );
}
