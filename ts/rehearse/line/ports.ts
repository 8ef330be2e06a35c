// A set of ports for engines of one's own, that are free now. Looks only; the engines open them.

import { ephemeralPortMin } from "../../ground/proc.ts";
import { free } from "../../topology/local/port.ts";
import { PORTS, type Ports, rangesOf } from "../../topology/ports.ts";
import { SERVICES } from "../../topology/services.ts";

/** Ports that a range gets: Ray's workers run a handful at a time. */
const RANGE = 100;
/** Above Ray's default worker ports, so that such a set never meets one on the default ports. */
const LOWEST = 20_300;

/**
 * A set of ports that are free now, all in one block outside the ephemeral range: the ranges first, the single ones after
 * them. `random` in [0, 1) picks the block, so that two test runs at once seldom try the same one.
 */
export async function freePorts(random: () => number = Math.random): Promise<Ports> {
  const ranges = rangesOf(SERVICES);
  const ends = new Set<string>(ranges.flatMap(({ first, last }) => [first.name, last.name]));
  const single = Object.keys(PORTS).filter((name) => !ends.has(name));
  const size = RANGE * ranges.length + single.length;
  // An outgoing connection could sit on a port that the system hands out.
  const blocks = Math.floor((ephemeralPortMin() - LOWEST) / size);
  for (let attempt = 0; attempt < 50; attempt++) {
    const first = LOWEST + Math.floor(random() * blocks) * size;
    const numbers = Array.from({ length: size }, (_, i) => first + i);
    const all = await Promise.all(numbers.map((n) => free(n)));
    if (!all.every(Boolean)) continue;
    return {
      ...PORTS,
      ...Object.fromEntries(
        ranges.flatMap((range, i) => [
          [range.first.name, first + RANGE * i],
          [range.last.name, first + RANGE * (i + 1) - 1],
        ]),
      ),
      ...Object.fromEntries(single.map((name, i) => [name, first + RANGE * ranges.length + i])),
    };
  }
  throw new Error(`No block of ${size} free ports between ${LOWEST} and ${ephemeralPortMin()}`);
}
