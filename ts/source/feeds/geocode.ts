// Names of places as coordinates, by Open-Meteo's geocoding (open-meteo.com/en/docs/geocoding-api). Two pure functions, as of a feed.

import { Unusable } from "./feed.ts";
import { isObject, objectOf, parseJson } from "./json.ts";

export const GEOCODING_ORIGIN = "https://geocoding-api.open-meteo.com";

export interface Found {
  readonly name: string;
  readonly country: string | null;
  readonly latitude: number;
  readonly longitude: number;
}

/** `origin` without a slash at its end. */
export function geocodeRequest(origin: string, name: string): string {
  return `${origin}/v1/search?name=${encodeURIComponent(name)}&count=1&language=en&format=json`;
}

/** The place that is meant most likely; null where nobody knows one. Errors: Unusable. */
export function parseGeocode(body: Buffer): Found | null {
  const value = parseJson(body);
  if (!isObject(value)) throw new Unusable("expected an object, got another kind of JSON");
  const [first] = Array.isArray(value["results"]) ? value["results"] : [];
  if (first === undefined) return null;
  const { name, country, latitude, longitude } = objectOf(first);
  if (typeof name !== "string" || typeof latitude !== "number" || typeof longitude !== "number")
    throw new Unusable(`expected a name and coordinates, got ${JSON.stringify(first).slice(0, 100)}`);
  return { name, country: typeof country === "string" ? country : null, latitude, longitude };
}

/** A name as the key of a station: lower case, digits and hyphens; without what letters carry above and below. */
export function keyOfPlace(name: string): string {
  const plain = name.normalize("NFD").replaceAll(/\p{M}/gu, "").toLowerCase();
  const key = plain.replaceAll(/[^\p{L}\p{N}]+/gu, "-").replaceAll(/^-+|-+$/g, "");
  return key.slice(0, 100);
}
