// The services of this machine, and which of them are ours to start. Looks at what is written down about them, starts nothing.

import { join } from "node:path";
import { enginesDir, type Settings } from "../../settings/settings.ts";
import type { Service } from "../entry.ts";
import { SERVICES } from "../services.ts";
import type { Hook, LocalService } from "./hook.ts";
import { HOOKS } from "./hooks/index.ts";
import { fillOf } from "./prepare.ts";
import { readRecord } from "./record.ts";

export interface Topology {
  readonly services: readonly Service[];
  readonly hooks: Readonly<Record<string, Hook>>;
}

export const TOPOLOGY: Topology = { services: SERVICES, hooks: HOOKS };

export const localService = (settings: Settings, service: Service): LocalService => ({
  settings,
  service,
  dir: join(enginesDir(settings), service.name),
});

export const addressOf = (settings: Settings, service: Service): string =>
  fillOf(localService(settings, service))(service.address);

/** Errors: an entry that names a hook nobody has. */
export function hookOf({ hooks }: Topology, { name, hook }: Service): Hook | undefined {
  if (hook === undefined) return undefined;
  const found = hooks[hook];
  if (!found) throw new Error(`Service "${name}" names the hook "${hook}", which is none`);
  return found;
}

/** Whether its cluster is given by address. */
export const isExternal = ({ external }: Settings, { cluster }: Service): boolean =>
  (external as readonly string[]).includes(cluster);

/** Services that `up` starts: all but those of clusters given by address, and optional ones nobody has asked for. */
export const ownServices = (
  { services }: Topology,
  settings: Settings,
  asked: readonly string[] = [],
): readonly Service[] =>
  services.filter(
    (service) =>
      !isExternal(settings, service) &&
      (!service.optional || asked.includes(service.cluster) || readRecord(settings, service.name) !== null),
  );
