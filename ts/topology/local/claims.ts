// Which ports the services that are about to start would open, and who stands in the way.

import { alive } from "../../ground/identity.ts";
import { listenerOn } from "../../ground/proc.ts";
import type { Settings } from "../../settings/settings.ts";
import type { Service } from "../entry.ts";
import { free } from "./port.ts";
import { readRecord } from "./record.ts";
import { ownServices, TOPOLOGY, type Topology } from "./topology.ts";

/** The number of each port as the settings have it. */
export const portNumber = ({ ports }: Settings, name: string): number | undefined =>
  (ports as Readonly<Record<string, number>>)[name];

/** One line for each port that a service could not open: who holds it, and the setting that moves it. */
export async function collisions(settings: Settings, services: readonly Service[]): Promise<string[]> {
  const claims = services.flatMap(({ name, ports }) =>
    ports.map((port) => ({ service: name, port, number: portNumber(settings, port.name) ?? port.number })),
  );
  const found: string[] = [];
  for (const { service, port, number } of claims) {
    const twin = claims.find((other) => other.port.name !== port.name && other.number === number);
    if (twin)
      found.push(
        `port ${number} for "${service}" is also that of "${twin.service}", set ${port.setting} to move it`,
      );
    else if (!(await free(number, settings.host))) {
      const by = listenerOn(number);
      found.push(
        `port ${number} for "${service}" is in use${by === null ? "" : ` by ${by}`}, set ${port.setting} to move it`,
      );
    }
  }
  return found;
}

/** What stands in the way of the services that are not running; empty when nothing does. */
export function portsInUse(settings: Settings, topology: Topology = TOPOLOGY): Promise<string[]> {
  const idle = ownServices(topology, settings).filter((service) => {
    const started = readRecord(settings, service.name);
    return !started || !alive(started);
  });
  return collisions(settings, idle);
}
