// The past of some places from a feed that has one, as an input that a backfill can stage: the same readings, units and refusals as
// of the present. Asks once a batch of places; whoever wants it again asks again.

import type { Get } from "../../ground/get.ts";
import { type Asked, type Place, Unusable } from "../feeds/feed.ts";
import { historyRequest, openMeteo } from "../feeds/open_meteo.ts";
import type { SourceContract } from "../formats/cells.ts";
import type { Input, Row } from "../row.ts";
import { worthOf } from "./answer.ts";
import { observerOf, wantedOf } from "./observe.ts";

export interface HistoryWish {
  readonly places: readonly Place[];
  /** Inclusive, a whole day of UTC. */
  readonly from_ms: number;
  /** Exclusive. */
  readonly to_ms: number;
  /** Where the feed is, without a slash at its end. */
  readonly origin: string;
  readonly agent: string;
}

/** Places of one request: three months of fifty would be 40 MB. */
const PLACES_MAX = 5;
/** Three months of one place are 170 kB, a year 700 kB. */
const BYTES_MAX = 20_000_000;
const LIMIT_MS = 60_000;

/** Errors: Unusable, with what was answered instead. */
export async function historyOf(
  { places, from_ms, to_ms, origin, agent }: HistoryWish,
  contract: SourceContract,
  { get, now_ms }: { readonly get: Get; readonly now_ms: number },
): Promise<Input> {
  const observe = observerOf(contract);
  const rows: Row[] = [];
  for (let first = 0; first < places.length; first += PLACES_MAX) {
    const asked: Asked = {
      ...{ places: places.slice(first, first + PLACES_MAX), since: new Map(), now_ms, origin },
      wanted: wantedOf(contract),
    };
    const got = await get({
      url: historyRequest(asked, from_ms, to_ms),
      headers: { "User-Agent": agent, Accept: "application/json" },
      bytes_max: BYTES_MAX,
      limit_ms: LIMIT_MS,
    });
    const worth = worthOf(got, now_ms);
    if (worth.kind !== "body")
      throw new Unusable(worth.kind === "failure" ? worth.reason : "it says not modified");
    const { readings, problems } = openMeteo.parse(worth.body, asked);
    const [problem] = problems;
    if (problem !== undefined) throw new Unusable(`${problem.key}: ${problem.reason}`);
    for (const reading of readings) {
      const observation = observe(reading, () => {});
      if (observation === null || observation.time < from_ms || observation.time >= to_ms) continue;
      rows.push({ ...observation, clock: observation.time });
    }
  }
  rows.sort((a, b) => a.time - b.time);
  return {
    name: `the past of ${places.map(({ key }) => key).join(", ")}`,
    fingerprint: async () => `${openMeteo.name} ${from_ms} ${to_ms} ${places.map(({ at }) => at).join(" ")}`,
    async *rows() {
      if (rows.length > 0) yield rows;
    },
  };
}
