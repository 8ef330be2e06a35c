// GET /pipelines: what is served and how to read it: fields, columns, targets, horizons, units. A program, and the page first of all,
// needs no name of any domain of its own.

import { entityKey, forecastName, horizonHours, horizonName } from "../../pipelines/index.ts";
import { withDeadline } from "../cache.ts";
import type { AppEffects, Served } from "../effects.ts";
import { forecastUnits, iso, valueColumns } from "../forecast.ts";
import { defineRoute, textTag } from "../route.ts";
import { flag, list, nullable, number, said, seconds, text, time, z } from "../schema.ts";

const Pipeline = z
  .object({
    pipeline: text("Its name, and the first segment of its paths."),
    default: flag("Whether the paths that name no pipeline are its."),
    entity: text("What forecasts are of, in the domain's word."),
    key: text("Field that names one of them, and the parameter of their paths."),
    parts: list(z.string(), "Parts it has; without one its routes are not there."),
    window_ms: number("Length of a window.", { unit: "ms" }),
    step_ms: number("From one step of the history to the next.", { unit: "ms" }),
    bands: list(z.number(), "Shares of outcomes that the intervals are meant to hold, narrowest first."),
    stale_after: said(
      z.object({
        behind_s: seconds("Event time behind the network's newest window."),
        silent_s: seconds("Wall time without any prediction; then every station is."),
      }),
      "When a station counts as stale: beyond either.",
    ),
    history: said(
      nullable(
        z.object({
          from: time("Oldest window end, event time."),
          to: time("Newest window end, event time."),
        }),
      ),
      "What the store holds; null while it holds nothing, or is away.",
    ),
    values: list(
      z.object({
        column: text("Name in the answers."),
        field: text("The field it is of."),
        unit: text("Its unit."),
        quantity: nullable(
          text("What it is, in the words of the CF conventions; null where the contract says none."),
        ),
        circular: flag("Whether it is a direction, in which 0 and the end of the range are one."),
        magnitude: nullable(
          text("Column of what has this direction, where the contract says so; null otherwise."),
        ),
      }),
      "Columns of the latest values of /stations, in order.",
    ),
    forecasts: list(
      z.object({
        name: text("Name in the answers."),
        target: text("The field that is forecast."),
        unit: text("Of the forecast and its intervals."),
        horizon: text("How far ahead, as in its name."),
        horizon_h: number("How far ahead.", { unit: "h" }),
        column: nullable(text("Column of the latest values that it comes to be; null for none.")),
      }),
      "Targets first, then horizons; empty without a forecast.",
    ),
  })
  .openapi("Pipeline");

const Pipelines = z
  .object({
    at: time("When this was answered, wall time."),
    version: text("Version of the software."),
    pipelines: list(Pipeline, "The default one first."),
    links: list(
      z.object({ name: text("For people."), href: text("Address, or a path of this server.") }),
      "The engines' own pages, and what else is worth a look.",
    ),
  })
  .openapi("Pipelines");

async function pipelineOf(served: Served, usual: boolean): Promise<z.infer<typeof Pipeline>> {
  const { contract, latest, store } = served;
  // What lies far back is no part of how a pipeline is read: nobody waits for a store that is away.
  const span = await withDeadline(store.span(), SPAN_MS).catch(() => null);
  const features = new Map(contract.features.map((one) => [one.column, one]));
  const fields = new Map(contract.fields.map((one) => [one.name, one]));
  const columns = valueColumns(contract);
  const columnOf = (field: string | undefined) =>
    columns.find((column) => features.get(column)?.field === field) ?? null;
  const units = forecastUnits(contract);
  return {
    pipeline: contract.pipeline,
    default: usual,
    entity: contract.entity,
    key: entityKey(contract),
    parts: contract.parts,
    window_ms: contract.window_ms,
    step_ms: contract.step_ms,
    bands: contract.bands,
    stale_after: { behind_s: latest.rule.trail_ms / 1000, silent_s: latest.rule.silent_ms / 1000 },
    history:
      span === null || span.oldest_ms === null || span.newest_ms === null
        ? null
        : { from: iso(span.oldest_ms), to: iso(span.newest_ms) },
    values: columns.map((column) => {
      const field = features.get(column)?.field ?? column;
      const { role, quantity, magnitude } = fields.get(field) ?? {};
      return {
        column,
        field,
        unit: features.get(column)?.unit ?? "1",
        quantity: quantity ?? null,
        circular: role === "circular",
        magnitude: magnitude === undefined ? null : columnOf(magnitude),
      };
    }),
    forecasts: contract.targets.flatMap((target) =>
      contract.horizons_ms.map((ms) => {
        const horizon = horizonName(horizonHours(ms));
        const name = forecastName(target, horizonHours(ms));
        const unit = units[name] ?? "1";
        return { name, target, unit, horizon, horizon_h: horizonHours(ms), column: columnOf(target) };
      }),
    ),
  };
}

/** Longest wait for the store, wall time: it knows at once, or is away. */
const SPAN_MS = 500;

export function pipelinesRoute({ pipelines, version, links, clock }: AppEffects) {
  return defineRoute({
    name: "pipelines",
    path: "/pipelines",
    tag: "description",
    summary: "What is served, and how to read it",
    description:
      "Of each pipeline the columns of its values and its forecasts with units, targets and horizons, and links to the engines' own pages.",
    schema: Pipelines,
    answer: async () => {
      const body = {
        version,
        pipelines: await Promise.all(pipelines.map((served, i) => pipelineOf(served, i === 0))),
        links,
      };
      return { body: { at: iso(clock.nowMs()), ...body }, etag: textTag(JSON.stringify(body)) };
    },
  });
}
