// Routes that a domain brings beside the general ones. A pipeline's definition claims their paths (`serve.routes`); the module
// beside it answers them: `serve.ts` in the pipeline's folder. The module exports `routes`, a function of the tools below, and
// imports nothing that runs, so that it works from any folder.

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { PipelineError } from "../contract/index.ts";
import type { LinesReader } from "../lines/reader.ts";
import type { Registered } from "../pipelines/index.ts";
import type { AppEffects, Served } from "./effects.ts";
import { problem, respond } from "./problem.ts";
import { defineRoute, type Route, weakTag } from "./route.ts";
import * as schema from "./schema.ts";

/** What a domain's module is given. */
export interface DomainTools {
  /** Words for schemas, zod among them. */
  readonly schema: typeof schema;
  readonly defineRoute: typeof defineRoute;
  readonly problem: typeof problem;
  readonly respond: typeof respond;
  readonly weakTag: typeof weakTag;
  /** The pipeline: its contract, what is known of it in memory, its store. */
  readonly served: Served;
  readonly clock: AppEffects["clock"];
  /** What its JSON Lines and the tables beside them say; null for a pipeline that keeps none. */
  readonly lines: LinesReader | null;
}

export type DomainRoutes = (tools: DomainTools) => readonly Route[];

/** What a pipeline brings of its own. */
export interface Domain {
  /** In OpenAPI's form, as the definition claims them. */
  readonly paths: readonly string[];
  readonly routes: DomainRoutes;
}

const load = createRequire(import.meta.url);

/** The domain of a pipeline, whose module is loaded when it is mounted; null for one that claims no path. */
export function domainOf({ pipeline, folder }: Pick<Registered, "pipeline" | "folder">): Domain | null {
  const paths = pipeline.serve?.routes ?? [];
  if (paths.length === 0) return null;
  const path = join(folder ?? join(import.meta.dirname, "..", "pipelines"), pipeline.name, "serve.ts");
  return { paths, routes: (tools) => loaded(pipeline.name, path)(tools) };
}

/** Errors: `config_invalid` for a module that is not there, or is none. */
function loaded(pipeline: string, path: string): DomainRoutes {
  const refused = (seen: string, cause?: unknown) =>
    new PipelineError(
      "config_invalid",
      `Cannot serve the routes of pipeline "${pipeline}": expected "${path}" to export the function "routes", got ${seen}`,
      { cause },
    );
  if (!existsSync(path)) throw refused("no file");
  let exported: Record<string, unknown>;
  try {
    exported = load(path) as Record<string, unknown>;
  } catch (cause) {
    throw refused("an error", cause);
  }
  const { routes } = exported;
  if (typeof routes !== "function") throw refused(Object.keys(exported).join(", ") || "nothing");
  return routes as DomainRoutes;
}

/** The routes as they are mounted. Errors: `config_invalid` where there are none, or not those that the definition claims. */
export function domainRoutes(served: Served, { clock }: Pick<AppEffects, "clock">): readonly Route[] {
  const { domain, contract } = served;
  if (!domain) return [];
  const { lines } = served;
  const routes = domain.routes({ schema, defineRoute, problem, respond, weakTag, served, clock, lines });
  const made = routes.map(({ path }) => path).sort();
  const claimed = [...domain.paths].sort();
  if (made.join() !== claimed.join())
    throw new PipelineError(
      "config_invalid",
      `Cannot serve the routes of pipeline "${contract.pipeline}": expected those that its definition claims, ${claimed.join(", ")}, got ${made.join(", ") || "none"}`,
    );
  return routes;
}
