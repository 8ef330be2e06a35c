// A private set of engines, as tests, proofs and bench start one.

import { type Overrides, type Settings, settingsOf } from "../../settings/settings.ts";
import { down, type EngineOptions, up } from "../../topology/local/index.ts";
import { freePorts } from "./ports.ts";

/** Starts it on free ports unless given; stops what came up if one does not. Errors: as `up` in ts/topology/local. */
export async function startEngines(
  { root, ...overrides }: { readonly root: string; readonly home: string } & Overrides,
  effects: EngineOptions = {},
): Promise<Settings> {
  const settings = settingsOf(root, { ...overrides, ports: overrides.ports ?? (await freePorts()) });
  try {
    await up(settings, effects);
  } catch (error) {
    await down(settings, effects);
    throw error;
  }
  return settings;
}
