// Where observations of a polled source go: into Kafka with the cursor, or nowhere, for who only wants to see them.

import type { Clock } from "../../ground/clock.ts";
import type { Observation } from "../row.ts";
import { Session } from "../send/session.ts";
import { rawRecords, type SendTarget } from "../send/target.ts";
import { bounded, START, type Standpoint, standpointOf, tokenOf } from "./token.ts";

export interface Delivery {
  /** Becomes the only writer; resolves to where the source stands. */
  open(): Promise<Standpoint>;
  /** Observations and where the source then stands, together or not at all. */
  commit(observations: readonly Observation[], standpoint: Standpoint): Promise<void>;
  close(): Promise<void>;
}

/** What the tokens of a polled source are called in a cursor. */
export const POLL = "poll";

/** Errors of `open` and `commit`: those of a session. */
export function intoKafka(
  target: SendTarget,
  { clock, signal }: { readonly clock: Clock; readonly signal?: AbortSignal },
): Delivery {
  const session = new Session(target, { kind: POLL, clock, ...(signal === undefined ? {} : { signal }) });
  let newest_ms: number | null = null;
  return {
    async open() {
      const cursor = await session.open();
      newest_ms = cursor?.event_time ?? null;
      return cursor === null ? START : standpointOf(cursor.token);
    },
    async commit(observations, standpoint) {
      for (const { time } of observations) newest_ms = Math.max(newest_ms ?? time, time);
      const clock_ms = Math.floor(clock.nowMs());
      const records = rawRecords(
        target,
        observations.map(({ key, record }) => ({ key, record, clock_ms })),
      );
      await session.commit(records, { token: tokenOf(bounded(standpoint)), event_time: newest_ms });
    },
    close: () => session.close(),
  };
}

/** Hands on what would be sent. */
export function intoNothing(show: (observations: readonly Observation[]) => void): Delivery {
  return {
    open: async () => START,
    commit: async (observations) => show(observations),
    close: async () => {},
  };
}
