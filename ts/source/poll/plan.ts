// What a source will ask, before it asks anything: places that the feed can read, requests a round, and the cadence that its quota
// leaves. Pure; refuses what cannot be asked, with what to do instead.

import { PipelineError } from "../../contract/index.ts";
import { coordinatesOf, type Feed, type Place } from "../feeds/feed.ts";
import { cadenceOf } from "./quota.ts";

export interface Wish {
  readonly places: readonly Place[];
  /** Null: the feed's own. */
  readonly every_ms: number | null;
  /** Null: the provider's own. */
  readonly origin: string | null;
}

export interface PollPlan {
  /** Places of each request. */
  readonly groups: readonly (readonly Place[])[];
  readonly every_ms: number;
  /** Calls that a round counts as. */
  readonly calls: number;
  readonly origin: string;
  /** All of it in words. */
  readonly words: string;
}

const AT_WORDS: Readonly<Record<Feed["at"], string>> = {
  coordinates: "degrees north and east as in 38.72,-9.14",
  code: "a station's code as in KNYC",
  url: "the URL of vehicle positions, http: or https:",
};

/** Errors: `config_invalid` for places that are none, a cadence below the feed's, and what no quota allows. */
export function planOf(feed: Feed, { places, every_ms, origin }: Wish): PollPlan {
  const refused = (wanted: string, seen: string) =>
    new PipelineError("config_invalid", `Cannot ask feed "${feed.name}": expected ${wanted}, got ${seen}`);
  if (places.length === 0)
    throw refused(`places to ask for (--place KEY=${feed.at === "code" ? "KNYC" : "…"})`, "none");
  for (const { key, at } of places)
    if (!isPlace(feed, at)) throw refused(`${AT_WORDS[feed.at]} for "${key}"`, `"${at}"`);
  if (every_ms !== null && every_ms < feed.every_ms_min)
    throw refused(`at least ${spanWords(feed.every_ms_min)} between two rounds`, spanWords(every_ms));
  if (origin !== null && !isUrl(origin)) throw refused("a URL, http: or https:", `"${origin}"`);
  const groups = Array.from({ length: Math.ceil(places.length / feed.places_max) }, (_, i) =>
    places.slice(i * feed.places_max, (i + 1) * feed.places_max),
  );
  const calls = groups.reduce((sum, group) => sum + feed.cost(group.length), 0);
  const cadence_ms = Math.max(every_ms ?? feed.every_ms, feed.every_ms_min, cadenceOf(feed.limits, calls));
  return {
    groups,
    every_ms: cadence_ms,
    calls,
    origin: (origin ?? feed.origin ?? "").replace(/\/+$/, ""),
    words: wordsOf(feed, places.length, groups.length, calls, cadence_ms, every_ms ?? feed.every_ms),
  };
}

const DAY_MS = 86_400_000;

function wordsOf(
  feed: Feed,
  places: number,
  requests: number,
  calls: number,
  cadence_ms: number,
  wished_ms: number,
): string {
  const daily = feed.limits.find(({ per_ms }) => per_ms === DAY_MS);
  const n = (count: number, word: string) =>
    `${count.toLocaleString("en-US")} ${word}${count === 1 ? "" : "s"}`;
  const quota =
    daily === undefined
      ? ""
      : `: ${Math.ceil((calls * DAY_MS) / cadence_ms).toLocaleString("en-US")} of ${daily.calls.toLocaleString("en-US")} calls a day`;
  const slower =
    cadence_ms > wished_ms ? ` (${spanWords(wished_ms)} would be more than its quota leaves)` : "";
  return `${feed.name}: ${n(places, "place")}, ${n(requests, "request")} a round, a round every ${spanWords(cadence_ms)}${slower}${quota}`;
}

function isPlace(feed: Feed, at: string): boolean {
  if (feed.at === "coordinates") return coordinatesOf(at) !== null;
  return feed.at === "url" ? isUrl(at) : /^[A-Za-z0-9]{3,12}$/.test(at);
}

const isUrl = (text: string): boolean => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);

/** `15 s`, `7 min 54 s`, `2 h`. */
export function spanWords(span_ms: number): string {
  const seconds = Math.round(span_ms / 1000);
  const [h, min, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return [h > 0 ? `${h} h` : "", min > 0 ? `${min} min` : "", s > 0 || seconds < 1 ? `${s} s` : ""]
    .filter(Boolean)
    .join(" ");
}
