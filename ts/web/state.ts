// How a station does, in a word that people and shapes on the map share. Pure.

import type { Pipeline, Station } from "./api.ts";
import { spanText, titleOf } from "./words.ts";

export type StateKind = "well" | "anomaly" | "stale" | "quiet";

export interface StationState {
  readonly kind: StateKind;
  readonly text: string;
  /** What is known of it beyond the word. */
  readonly detail: string;
}

export interface Known {
  /** Newest window end of the network, epoch ms; null before the first. */
  readonly frontier_ms: number | null;
  /** Wall time since anything of the network was committed; null where time stands still. */
  readonly silent_s: number | null;
  readonly rule: Pipeline["stale_after"];
}

/** Newest window of a station, epoch ms; null for one that has none. */
export function newestOf({ forecast, observed }: Station): number | null {
  const ends = [forecast?.timestamp, observed?.window_end].flatMap((end) => (end ? [Date.parse(end)] : []));
  return ends.length === 0 ? null : Math.max(...ends);
}

/** An anomaly counts more than that it is old: it is what was last heard. */
export function stateOf(station: Station, { frontier_ms, silent_s, rule }: Known): StationState {
  const newest_ms = newestOf(station);
  if (newest_ms === null) return { kind: "quiet", text: "Not heard of", detail: "It has not reported yet." };
  const { forecast } = station;
  if (forecast?.is_anomaly)
    return {
      kind: "anomaly",
      text: `Anomaly: ${titleOf(forecast.anomaly_type ?? "unusual").toLowerCase()}`,
      detail: forecast.evidence?.join("; ") ?? "",
    };
  const behind_s = frontier_ms === null ? 0 : (frontier_ms - newest_ms) / 1000;
  if (behind_s > rule.behind_s)
    return {
      kind: "stale",
      text: `Stale: ${spanText(behind_s)} behind`,
      detail: "Its newest window ends long before that of the network.",
    };
  if (silent_s !== null && silent_s > rule.silent_s)
    return { kind: "stale", text: "Stale: nothing arrives", detail: "No station has been heard for long." };
  return { kind: "well", text: "Reports", detail: "" };
}
