// How far the forecasts of one target and horizon were off at each station, newest first. Now: as verifications say, and the stream goes
// on saying. At a moment of the past: what had been forecast for it against what was measured.

import { useEffect, useState } from "preact/hooks";
import { answer, apiOf, type Station, type Verifications } from "./api.ts";
import { type Miss, type Misses, missesAt } from "./misses.ts";
import { momentWord } from "./moment.ts";
import { allStations, follow, onMissed } from "./store.ts";

interface Question {
  readonly pipeline: string;
  readonly key: string;
  readonly forecast: {
    readonly name: string;
    readonly target: string;
    readonly horizon_h: number;
    readonly column: string | null;
  };
  readonly at_ms: number | null;
}

/** Newest verifications that are looked through for one of each station: hours of a thousand stations, a day of fifty. */
const LIMIT = 1_000;
const HOUR_MS = 3_600_000;

async function verified({ pipeline, key, forecast }: Question): Promise<Misses> {
  const { target, horizon_h } = forecast;
  const query = { target: target as never, horizon: horizon_h as never, limit: LIMIT };
  const { verifications } = (await answer(
    apiOf(pipeline).GET("/verifications", { params: { query } }),
  )) as Verifications;
  const misses = new Map<string, Miss>();
  for (const one of verifications) {
    const id = String((one as unknown as Record<string, unknown>)[key]);
    if (one.status === "verified" && !misses.has(id))
      misses.set(id, { error: one.model.error, valid_ms: Date.parse(one.valid) });
  }
  return misses;
}

/** Null before they are known, and while nobody asks. */
export function useMisses(
  question: Question | null,
  measured: ReadonlyMap<string, Station> | null,
): Misses | null {
  const [misses, setMisses] = useState<Misses | null>(null);
  const { pipeline, key, forecast, at_ms } = question ?? {};
  const name = forecast?.name;
  useEffect(() => {
    setMisses(null);
    if (!question || pipeline === undefined || forecast === undefined) return;
    let wanted = true;
    const load = async () => {
      try {
        if (question.at_ms === null) {
          const now = await verified(question);
          if (wanted) setMisses(now);
        } else if (measured) {
          const issued = await allStations(
            pipeline,
            momentWord(question.at_ms - forecast.horizon_h * HOUR_MS),
          );
          if (wanted) setMisses(missesAt(issued.stations, measured, forecast, question.at_ms));
        }
      } catch {
        // What cannot be told now is left out; the frame says that the server or its store is away.
      }
    };
    void load();
    if (question.at_ms !== null)
      return () => {
        wanted = false;
      };
    const end = [
      onMissed(() => void load()),
      follow((kind, data) => {
        if (kind !== "verification" || !("verification" in data)) return;
        const { station_id, verification: one } = data;
        if (one.target !== forecast.target || one.horizon_h !== forecast.horizon_h) return;
        if (one.status !== "verified") return;
        const miss = { error: one.model.error, valid_ms: Date.parse(one.valid) };
        setMisses((before) => {
          if (!before || (before.get(station_id)?.valid_ms ?? 0) > miss.valid_ms) return before;
          return new Map(before).set(station_id, miss);
        });
      }),
    ];
    return () => {
      wanted = false;
      for (const one of end) one();
    };
  }, [pipeline, key, name, at_ms, at_ms === null || at_ms === undefined ? null : measured]);
  return misses;
}
