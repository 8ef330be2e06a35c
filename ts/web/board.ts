// The scores that the scoreboard shows: asked once, and again when the stream says that forecasts have met their truth.

import { useEffect, useState } from "preact/hooks";
import { answer, apiOf, Refused, reasonOf, type Scoreboard, type Verifications } from "./api.ts";
import type { ScoreRow } from "./scores.ts";
import { follow, onMissed } from "./store.ts";

export const WINDOWS = ["24h", "7d"] as const;
export type WindowName = (typeof WINDOWS)[number];

export interface Board {
  /** By target, horizon and window; null before the first answer. */
  readonly scores: readonly ScoreRow[] | null;
  /** The same of each station; null where only the store could say. */
  readonly stations: readonly ScoreRow[] | null;
  readonly promised: Scoreboard["promised"];
  /** Newest valid time that was judged, epoch ms. */
  readonly frontier_ms: number | null;
  /** Why something is not there. */
  readonly fault: string | null;
}

const NOTHING: Board = { scores: null, stations: null, promised: {}, frontier_ms: null, fault: null };

/** Verifications come by the hundred each hour of event time: what they add up to is asked once for all that came meanwhile. */
const SETTLE_MS = 5_000;

async function load(pipeline: string, window: WindowName, promised: Scoreboard["promised"]): Promise<Board> {
  const ask = (by: "horizon" | "station", query: { readonly window?: WindowName }) =>
    answer(
      apiOf(pipeline).GET("/scoreboard", { params: { query: { by, ...query } } }),
    ) as Promise<Scoreboard>;
  try {
    const [all, stations] = await Promise.all([ask("horizon", {}), ask("station", { window })]);
    return {
      ...{ scores: all.scores, stations: stations.scores, promised: all.promised, fault: null },
      frontier_ms: all.frontier === null ? null : Date.parse(all.frontier),
    };
  } catch (error) {
    if (!(error instanceof Refused) || error.problem.code !== "store_unreachable") throw error;
    // The store is away: memory has the sums of all stations.
    const { scores, frontier } = (await answer(
      apiOf(pipeline).GET("/verifications", { params: { query: { limit: 0 } } }),
    )) as Verifications;
    return {
      scores: scores.filter(({ pairs, in_sample }) => pairs > 0 || in_sample > 0) as unknown as ScoreRow[],
      ...{ stations: null, promised, fault: reasonOf(error) },
      frontier_ms: frontier === null ? null : Date.parse(frontier),
    };
  }
}

/** `bands`: shares that are promised, for as long as the store does not say. */
export function useBoard(pipeline: string | null, window: WindowName, bands: readonly number[]): Board {
  const [board, setBoard] = useState<Board>(NOTHING);
  useEffect(() => {
    if (pipeline === null) return;
    let wanted = true;
    let timer: ReturnType<typeof setTimeout> | null = null;
    const promised = Object.fromEntries(bands.map((band) => [String(Math.round(band * 100)), band]));
    const ask = async () => {
      try {
        const now = await load(pipeline, window, promised);
        if (wanted) setBoard(now);
      } catch (error) {
        if (wanted) setBoard((before) => ({ ...before, fault: reasonOf(error) }));
      }
    };
    const soon = () => {
      timer ??= setTimeout(() => {
        timer = null;
        void ask();
      }, SETTLE_MS);
    };
    void ask();
    const ends = [onMissed(() => void ask()), follow((kind) => kind === "verification" && soon())];
    return () => {
      wanted = false;
      if (timer !== null) clearTimeout(timer);
      for (const end of ends) end();
    };
  }, [pipeline, window]);
  useEffect(() => setBoard(NOTHING), [pipeline]);
  return board;
}
