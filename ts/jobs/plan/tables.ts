// Where the Delta tables of a pipeline lie. Paths and URLs only; opens nothing.

import { join } from "node:path";
import { archivePlace, type Settings, stateDir } from "../../engines/settings.ts";

export interface Tables {
  readonly features: string;
  readonly rejects: string;
  readonly archive: string;
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
    features: join(folder, `${settings.pipeline}-features`),
    certificates: join(folder, `${settings.pipeline}-features-certificates`),
    rejects: join(folder, `${settings.pipeline}-rejects`),
  };
}
