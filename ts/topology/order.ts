// The order in which services are started and stopped, as it follows from what they need and use. Knows nothing else of them.

import type { Service } from "./entry.ts";

type Node = Pick<Service, "name" | "after" | "uses">;

/** Whether `user` is stopped before `used`. */
const needs = (user: Node, used: Node) => user.after.includes(used.name) || user.uses.includes(used.name);

/**
 * Does `work` for each of the given services, independent ones side by side: one that waits for others once theirs is done.
 * Services that are not given are not waited for. Rejects with the first failure, when none is at work any more; what waits
 * for a failed one is not begun.
 */
async function inOrder<S extends Node>(
  services: readonly S[],
  waitsFor: (one: S, other: S) => boolean,
  work: (service: S) => Promise<void>,
): Promise<void> {
  const begun = new Map<S, Promise<void>>();
  const begin = (service: S): Promise<void> => {
    const known = begun.get(service);
    if (known) return known;
    const others = services.filter((other) => other !== service && waitsFor(service, other));
    const done = Promise.all(others.map(begin)).then(() => work(service));
    begun.set(service, done);
    return done;
  };
  const results = await Promise.allSettled(services.map(begin));
  const failed = results.find((result) => result.status === "rejected");
  if (failed) throw failed.reason;
}

/** Each after those it needs to start. */
export const startInOrder = <S extends Node>(services: readonly S[], start: (service: S) => Promise<void>) =>
  inOrder(services, (one, other) => one.after.includes(other.name), start);

/** Users before what they need and use. */
export const stopInOrder = <S extends Node>(services: readonly S[], stop: (service: S) => Promise<void>) =>
  inOrder(services, (one, other) => needs(other, one), stop);

/**
 * Refuses services that could not be started and stopped in any order. Errors: a name twice, one that does not exist, and
 * services that wait for each other in a ring.
 */
export function checkOrder(services: readonly Node[]): void {
  const byName = new Map(services.map((service) => [service.name, service]));
  if (byName.size < services.length) throw new Error("Two services have the same name");
  const safe = new Set<string>();
  const visit = (service: Node, path: readonly string[]): void => {
    if (safe.has(service.name)) return;
    if (path.includes(service.name))
      throw new Error(`Services wait for each other: ${[...path, service.name].join(", ")}`);
    for (const name of [...service.after, ...service.uses]) {
      const next = byName.get(name);
      if (!next) throw new Error(`Service "${service.name}" names "${name}", which is none`);
      visit(next, [...path, service.name]);
    }
    safe.add(service.name);
  };
  for (const service of services) visit(service, []);
}
