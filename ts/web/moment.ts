// Which moment is shown: now, as the stream moves it, or one of the past that the address names with `at`. What was then is asked once a
// moment, and never mixed with what the stream says.

import { computed, effect, signal } from "@preact/signals";
import { reasonOf, type Station } from "./api.ts";
import { route } from "./navigate.ts";
import { allStations, frontier, pipeline, stations } from "./store.ts";

/** The moment that the address names, epoch ms; null for now, and for a word that is no moment. */
export const at = computed<number | null>(() => {
  const word = route.value.query["at"];
  const ms = word === undefined ? Number.NaN : Date.parse(word);
  return Number.isFinite(ms) ? ms : null;
});

/** As the API and the address have it: `2016-12-04T13:00:00Z`. */
export const momentWord = (ms: number): string => new Date(ms).toISOString().replace(".000Z", "Z");

interface Past {
  readonly at_ms: number;
  readonly stations: ReadonlyMap<string, Station>;
  readonly frontier_ms: number | null;
}
const past = signal<Past | null>(null);
/** Why the past cannot be shown; null while it can. */
export const pastFault = signal<string | null>(null);

/** While the slider is moved only the last moment counts. */
const SETTLE_MS = 80;

/** Asks for a moment once the address names one. Called once. */
export function followMoment(): void {
  effect(() => {
    const at_ms = at.value;
    const name = pipeline.value?.pipeline;
    if (at_ms === null || name === undefined) {
      past.value = null;
      pastFault.value = null;
      return;
    }
    let wanted = true;
    const timer = setTimeout(async () => {
      try {
        const { stations: rows, frontier: end } = await allStations(name, momentWord(at_ms));
        if (!wanted) return;
        past.value = {
          at_ms,
          stations: new Map(rows.map((row) => [row.station_id, row])),
          frontier_ms: end === null ? null : Date.parse(end),
        };
        pastFault.value = null;
      } catch (error) {
        if (wanted) pastFault.value = reasonOf(error);
      }
    }, SETTLE_MS);
    return () => {
      wanted = false;
      clearTimeout(timer);
    };
  });
}

export interface Shown {
  readonly stations: ReadonlyMap<string, Station> | null;
  /** Newest window end of what is shown. */
  readonly frontier_ms: number | null;
  /** The moment of the past it is of; null for now. */
  readonly at_ms: number | null;
}

/** What every page shows. While a moment is being asked for, the one before stays. */
export const shown = computed<Shown>(() => {
  if (at.value === null) return { stations: stations.value, frontier_ms: frontier.value, at_ms: null };
  const { value } = past;
  return { stations: value?.stations ?? null, frontier_ms: value?.frontier_ms ?? null, at_ms: at.value };
});
