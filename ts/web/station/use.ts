// A station's windows, forecasts as they were issued, truths and scores, from the store and, as long as it is now that is shown, from the
// stream. Without a store what the stream brings is all there is, and the page says so.

import { useEffect, useState } from "preact/hooks";
import {
  type Anomalies,
  answer,
  apiOf,
  type Forecast,
  type History,
  type Observations,
  reasonOf,
  type Scoreboard,
  type Verifications,
} from "../api.ts";
import { momentWord } from "../moment.ts";
import { follow, onMissed } from "../store.ts";
import { NOTHING, type StationRecord, withEvent } from "./record.ts";
import type { Issued } from "./series.ts";

export interface Asked {
  readonly pipeline: string;
  readonly station: string;
  readonly forecasts: boolean;
  readonly anomalies: boolean;
  /** Whether the store has anything: what cannot be there is not asked for. */
  readonly stored: boolean;
  /** Whether it has a forecast now. */
  readonly forecast: boolean;
  /** Event time, inclusive. */
  readonly from_ms: number;
  /** Event time, inclusive; null for now. */
  readonly at_ms: number | null;
}

/** Pages of a thousand that are drawn: more points than a screen has columns. */
const PAGES_MAX = 3;

const LIMIT = 1_000;
class NothingStored extends Error {}

/** Events of one station that are held until the store has them. */
const CAME_MAX = 500;

async function paged<T extends { readonly next: string | null }>(
  ask: (cursor: string | undefined) => Promise<T>,
): Promise<T[]> {
  const pages: T[] = [];
  for (let cursor: string | null | undefined; pages.length < PAGES_MAX && cursor !== null; ) {
    const page = await ask(cursor);
    pages.push(page);
    cursor = page.next;
  }
  return pages;
}

async function load(asked: Asked): Promise<Partial<StationRecord>> {
  const { pipeline, station, from_ms, at_ms, forecasts, anomalies } = asked;
  if (!asked.stored) throw new NothingStored();
  const api = apiOf(pipeline);
  const path = { station_id: station };
  // A page's end is exclusive; the moment itself is shown.
  const range = {
    from: momentWord(from_ms),
    ...(at_ms === null ? {} : { to: momentWord(at_ms + 1) }),
    limit: LIMIT,
  };
  const windows = paged(async (cursor) => {
    const query = { ...range, ...(cursor === undefined ? {} : { cursor }) };
    return (await answer(
      api.GET("/stations/{station_id}/observations", { params: { path, query } }),
    )) as Observations;
  });
  const issued = forecasts
    ? paged(async (cursor) => {
        const query = { ...range, ...(cursor === undefined ? {} : { cursor }) };
        return (await answer(
          api.GET("/predictions/{station_id}/history", { params: { path, query } }),
        )) as History;
      })
    : [];
  const runs = anomalies
    ? answer(api.GET("/anomalies", { params: { query: { ...range, limit: 100, station } } }))
    : null;
  const board = forecasts ? answer(api.GET("/scoreboard", { params: { query: { station } } })) : null;
  const [w, i, a, s] = await Promise.all([windows, issued, runs, board]);
  return {
    windows: w.flatMap(({ observations }) => observations).reverse(),
    issued: (i as History[]).flatMap(({ predictions }) => predictions).reverse() as Issued[],
    anomalies: (a as Anomalies | null)?.anomalies ?? [],
    scores: (s as Scoreboard | null)?.scores ?? [],
  };
}

/** The parts that memory answers: they are there without a store. */
async function loadNow({
  pipeline,
  station,
  at_ms,
  forecasts,
  forecast,
}: Asked): Promise<Partial<StationRecord>> {
  if (!forecasts) return {};
  const api = apiOf(pipeline);
  const verified = answer(
    api.GET("/verifications", { params: { query: { station, limit: LIMIT } } }),
  ) as Promise<unknown>;
  const newest =
    at_ms === null && forecast
      ? (answer(api.GET("/predictions/{station_id}", { params: { path: { station_id: station } } })).catch(
          () => null,
        ) as Promise<unknown>)
      : null;
  const { verifications } = (await verified) as Verifications;
  return {
    newest: (await newest) as Forecast | null,
    verifications: verifications.filter((one) => at_ms === null || Date.parse(one.judged) <= at_ms),
  };
}

/** Kept fresh until something else is asked. */
export function useRecord(asked: Asked | null): StationRecord {
  const [record, setRecord] = useState<StationRecord>(NOTHING);
  const word = asked === null ? "" : JSON.stringify(asked);
  useEffect(() => {
    if (asked === null) return;
    let wanted = true;
    const came: { readonly kind: string; readonly data: object }[] = [];
    setRecord((before) => ({ ...before, loaded: false }));
    const take = (part: Partial<StationRecord>) => wanted && setRecord((before) => ({ ...before, ...part }));
    const all = async () => {
      // What memory knows is there at once, and without a store.
      const now = loadNow(asked).then(take, () => undefined);
      const past = load(asked).then(
        (part) =>
          wanted &&
          setRecord((before) =>
            // What the stream has brought meanwhile, the store may not have yet.
            came.reduce<StationRecord>((held, { kind, data }) => withEvent(held, kind, data, asked.from_ms), {
              ...before,
              ...part,
              fault: null,
            }),
          ),
        (error) =>
          take({
            fault: error instanceof NothingStored ? "Nothing is stored of it." : reasonOf(error),
          }),
      );
      await Promise.all([now, past]);
      take({ loaded: true });
    };
    void all();
    if (asked.at_ms !== null)
      return () => {
        wanted = false;
      };
    const end = [
      onMissed(() => void all()),
      follow((kind, data) => {
        if (!("station_id" in data) || data.station_id !== asked.station) return;
        if (came.push({ kind, data }) > CAME_MAX) came.shift();
        setRecord((before) => withEvent(before, kind, data, asked.from_ms));
      }),
    ];
    return () => {
      wanted = false;
      for (const one of end) one();
    };
  }, [word]);
  return record;
}
