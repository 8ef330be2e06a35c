// Where the Delta tables of a pipeline lie. Paths and URLs only; opens nothing.

import { join } from "node:path";
import type { Lines, Query } from "../../pipelines/index.ts";
import { archivePlace, resolvePlace, type Settings, stateDir } from "../../settings/settings.ts";

export interface Tables {
  readonly features: string;
  readonly rejects: string;
  readonly archive: string;
  /** Where the results of a query go, unless that is a topic. */
  readonly results: (query: Pick<Query, "name" | "sink">) => string;
  /** Where the JSON Lines of the pipeline lie: a URL. */
  readonly lines: (lines: Pick<Lines, "place">) => string;
  /** Folder of certificates, beside the feature table they stand for. */
  readonly certificates: string;
}

/** The tables of the settings' pipeline; the archive's may lie elsewhere, by a setting, and is then a URL. */
export function tables(settings: Settings): Tables {
  const folder = join(stateDir(settings), "tables");
  const archive = `${settings.pipeline}-archive`;
  const place = archivePlace(settings);
  return {
    archive:
      place === null ? join(folder, archive) : `${place}/${settings.namespace || "default"}/${archive}`,
    results({ name, sink }) {
      const own = `${settings.pipeline}-${name}`;
      const root = "place" in sink && sink.place ? resolvePlace(sink.place, settings) : null;
      return root === null ? join(folder, own) : `${root}/${settings.namespace || "default"}/${own}`;
    },
    lines: ({ place }) =>
      `${resolvePlace(place, settings)}${settings.namespace === "" ? "" : `-${settings.namespace}`}`,
    features: join(folder, `${settings.pipeline}-features`),
    certificates: join(folder, `${settings.pipeline}-features-certificates`),
    rejects: join(folder, `${settings.pipeline}-rejects`),
  };
}
