// What a feed is: one small file that knows the form of one provider's answers, and nothing of time, Kafka or failures. Two pure
// functions, what to ask and what an answer says; the poll loop (source/poll) is one for all.
// Values are named by what they are (a quantity of the contract, in CF's words) and carry the unit they came in: poll/observe.ts
// makes the contract's of it.

import type { FeedName } from "../../pipelines/index.ts";

/** Something to ask for: the key that its observations get, and the feed's own word for it. */
export interface Place {
  readonly key: string;
  /** By `Feed.at`: `52.52,13.41`, `KNYC` or a URL. */
  readonly at: string;
}

export interface Asked {
  /** At most `places_max` of the feed. */
  readonly places: readonly Place[];
  /** Newest event time already sent, by key. */
  readonly since: ReadonlyMap<string, number>;
  /** Quantities and attributes that the contract has. */
  readonly wanted: readonly string[];
  readonly now_ms: number;
  /** Where the feed is, without a slash at its end. */
  readonly origin: string;
}

/** What is asked. A secret is no part of it. */
export interface FeedRequest {
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A value as it came; null stays null. */
export interface Measured {
  readonly value: unknown;
  /** A word of ts/contract/units.ts, in any of its spellings. */
  readonly unit: string;
}

/** One observation as the feed says it. */
export interface Reading {
  readonly key: string;
  /** The feed's own time, epoch ms. */
  readonly time: number;
  /** By quantity, or by name for an attribute. */
  readonly values: Readonly<Record<string, Measured | string | number | boolean | null>>;
}

/** Something in an answer that cannot be used; the rest of it is. */
export interface Problem {
  /** Null when it is of no one place. */
  readonly key: string | null;
  /** Quantity or attribute; null for the whole observation. */
  readonly field: string | null;
  readonly reason: string;
}

export interface Parsed {
  readonly readings: readonly Reading[];
  readonly problems: readonly Problem[];
}

/** So many calls in any span of that length. */
export interface CallLimit {
  readonly calls: number;
  readonly per_ms: number;
}

export interface Feed {
  readonly name: FeedName;
  /** One sentence for people: who provides it, and what its values are. */
  readonly summary: string;
  /** Where it is, without a slash at its end; null where each place is a URL of its own. */
  readonly origin: string | null;
  readonly at: "coordinates" | "code" | "url";
  /** Quantities and attributes it has. */
  readonly words: readonly string[];
  /** Places one request may name. */
  readonly places_max: number;
  /** How often it is asked if nothing else is said, and the shortest span between two rounds. */
  readonly every_ms: number;
  readonly every_ms_min: number;
  readonly limits: readonly CallLimit[];
  /** Calls that a request for so many places counts as, to the provider. */
  readonly cost: (places: number) => number;
  readonly bytes_max: number;
  /** How long an answering feed may bring nothing new before that is said. */
  readonly stale_ms: number;
  /** The query parameter of its key, and what the secret is called where nothing else is said. */
  readonly key?: { readonly parameter: string; readonly secret: string };
  readonly request: (asked: Asked) => FeedRequest;
  /** Errors: Unusable, when nothing of the answer can be used. */
  readonly parse: (body: Buffer, asked: Asked) => Parsed;
}

/** An answer of which nothing can be used; the message is the reason. */
export class Unusable extends Error {}

/** `52.52,13.41` as numbers; null for what is none. */
export function coordinatesOf(at: string): { readonly latitude: number; readonly longitude: number } | null {
  const parts = /^\s*([+-]?\d+(?:\.\d+)?)\s*,\s*([+-]?\d+(?:\.\d+)?)\s*$/.exec(at);
  if (parts === null) return null;
  const [latitude, longitude] = [Number(parts[1]), Number(parts[2])];
  return Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180 ? { latitude, longitude } : null;
}

/** How far a provider's grid point may lie from the place asked for, degrees of latitude: two cells of the coarsest model. */
const NEAR_DEG = 0.5;

/** Whether an answer is about the place: providers answer with the centre of a grid cell. */
export function isNear(at: string, latitude: unknown, longitude: unknown): boolean {
  const place = coordinatesOf(at);
  if (place === null || typeof latitude !== "number" || typeof longitude !== "number") return false;
  const turn = Math.abs(((((longitude - place.longitude) % 360) + 540) % 360) - 180);
  const shrink = Math.max(0.05, Math.cos((place.latitude * Math.PI) / 180));
  return Math.abs(latitude - place.latitude) <= NEAR_DEG && turn * shrink <= NEAR_DEG;
}
