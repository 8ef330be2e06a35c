// The order of job types by what they read and write. Pure.

import type { JobType } from "./type.ts";

/**
 * Writers before their readers, else by name. What a job both reads and writes orders nobody: it is its own state. Among jobs
 * that read each other in a circle the first by name goes first.
 */
export function upstreamFirst<T extends Pick<JobType, "name" | "reads" | "writes">>(
  types: readonly T[],
): T[] {
  const left = [...types].sort((a, b) => (a.name < b.name ? -1 : 1));
  const feeds = (from: T, to: T) =>
    from !== to &&
    from.writes.some(
      (channel) =>
        to.reads.includes(channel) && !to.writes.includes(channel) && !from.reads.includes(channel),
    );
  const ordered: T[] = [];
  while (left.length > 0) {
    const at = left.findIndex((type) => !left.some((other) => feeds(other, type)));
    ordered.push(...left.splice(Math.max(at, 0), 1));
  }
  return ordered;
}
