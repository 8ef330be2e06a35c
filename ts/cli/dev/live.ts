// What a live demo stands on instead of a sample: places looked up by name, their last 92 days as history, a source of the pipeline
// as the stream; where there is no internet all of it from a stand-in on this machine, which says so.

import { createServer } from "node:net";
import { PipelineError } from "../../contract/index.ts";
import { type Get, get } from "../../ground/get.ts";
import type { Contract, Pipeline } from "../../pipelines/index.ts";
import { coordinatesOf, type Place, Unusable } from "../../source/feeds/feed.ts";
import {
  type Found,
  GEOCODING_ORIGIN,
  geocodeRequest,
  keyOfPlace,
  parseGeocode,
} from "../../source/feeds/geocode.ts";
import { FEEDS } from "../../source/feeds/index.ts";
import { objectOf, parseJson } from "../../source/feeds/json.ts";
import { PAST_DAYS_MAX } from "../../source/feeds/open_meteo.ts";
import { worthOf } from "../../source/poll/answer.ts";
import { historyOf } from "../../source/poll/history.ts";
import type { Input } from "../../source/row.ts";

export const LIVE_FEEDS = ["open-meteo", "nws"] as const;
export type LiveFeed = (typeof LIVE_FEEDS)[number];

export interface LiveWish {
  readonly feed: LiveFeed;
  /** Names of places, or for `nws` codes of stations; empty for five of each. */
  readonly names: readonly string[];
}

const CITIES = ["New York", "Chicago", "Denver", "Seattle", "Miami"];
/** By keys that the pipeline has on its map. */
const STATIONS = { "new-york": "KNYC", boston: "KBOS", chicago: "KORD", denver: "KDEN", seattle: "KSEA" };

/** One place of a live demo, before anybody has looked it up. */
export interface Named {
  readonly key: string;
  readonly name: string;
}

/** Errors: `config_invalid` for a feed that no demo has, and for a name that makes no key. */
export function wishOf(feed: string, words: readonly string[]): LiveWish {
  const known = LIVE_FEEDS.find((name) => name === feed);
  if (known === undefined)
    throw new PipelineError(
      "config_invalid",
      `Cannot show feed "${feed}": expected one of ${LIVE_FEEDS.join(", ")}`,
    );
  const names = words
    .flatMap((word) => word.split(","))
    .map((name) => name.trim())
    .filter((name) => name !== "");
  for (const name of names)
    if (keyOfPlace(name) === "" || (known === "nws" && !/^[A-Za-z0-9]{3,12}$/.test(name)))
      throw new PipelineError(
        "config_invalid",
        `Cannot look up "${name}": expected ${known === "nws" ? "a station's code as in KNYC" : "the name of a place"}`,
      );
  return { feed: known, names };
}

export function namedOf({ feed, names }: LiveWish): readonly Named[] {
  if (feed === "nws")
    return names.length === 0
      ? Object.entries(STATIONS).map(([key, name]) => ({ key, name }))
      : names.map((name) => ({ key: name.toLowerCase(), name: name.toUpperCase() }));
  return (names.length === 0 ? CITIES : names).map((name) => ({ key: keyOfPlace(name), name }));
}

/** What is measured, what a model says and what is made up are three time lines: none is begun in the namespace of another. */
export function namespaceOf({ feed }: LiveWish, online: boolean): string {
  return `${online ? "live" : "made-up"}${feed === "nws" ? "-nws" : ""}`;
}

/** The source of a pipeline that asks a feed, by its name. Errors: `config_invalid` for a pipeline without. */
export function sourceFor({ name, sources = {} }: Pipeline, feed: LiveFeed): string {
  const found = Object.keys(sources).find((source) => sources[source]!.feed === feed);
  if (found !== undefined) return found;
  throw new PipelineError(
    "config_invalid",
    `Cannot show pipeline "${name}" live: expected a source of feed "${feed}" in its definition, it has none`,
  );
}

/** Longest wait for a sign of the internet. */
const REACH_MS = 8_000;
const LOOK_MS = 20_000;

/** Whether Open-Meteo, from which the history is, answers at all. */
export async function isOnline(agent: string, ask: Get = get): Promise<boolean> {
  const url = `${FEEDS["open-meteo"].origin}/v1/forecast?latitude=0&longitude=0&current=temperature_2m`;
  const got = await ask({ url, headers: { "User-Agent": agent }, bytes_max: 100_000, limit_ms: REACH_MS });
  return got.kind === "answer";
}

/** A port of this machine that nobody has. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

export interface Located extends Named {
  readonly latitude: number;
  readonly longitude: number;
  /** Where that is, for people. */
  readonly words: string;
}

/** Errors: `config_invalid` for a place that nobody knows; `job_failed` for a server that answers something else. */
export async function locate(
  { key, name }: Named,
  {
    feed,
    standin,
    agent,
    stations,
  }: {
    readonly feed: LiveFeed;
    readonly standin: string | null;
    readonly agent: string;
    readonly stations: Contract["stations"];
  },
  ask: Get = get,
): Promise<Located> {
  const known = Object.hasOwn(stations, key) ? stations[key]! : null;
  if (feed === "nws" && known?.latitude != null && known.longitude != null)
    return {
      key,
      name,
      latitude: known.latitude,
      longitude: known.longitude,
      words: `${name}, ${known.name}`,
    };
  const url =
    feed === "nws"
      ? `${standin ?? FEEDS.nws.origin}/stations/${name}`
      : geocodeRequest(standin ?? GEOCODING_ORIGIN, name);
  const worth = worthOf(
    await ask({ url, headers: { "User-Agent": agent }, bytes_max: 1_000_000, limit_ms: LOOK_MS }),
    Date.now(),
  );
  const failed = (reason: string, code: "config_invalid" | "job_failed" = "job_failed") =>
    new PipelineError(code, `Cannot look up "${name}": ${reason}`);
  if (worth.kind !== "body")
    throw failed(
      worth.kind === "failure" ? worth.reason : "it says not modified",
      worth.kind === "failure" && worth.whose === "gone" ? "config_invalid" : "job_failed",
    );
  try {
    const found = feed === "nws" ? stationIn(worth.body) : parseGeocode(worth.body);
    if (found === null)
      throw failed(
        "expected a place of that name, nobody knows one; write it as a map does",
        "config_invalid",
      );
    const { latitude, longitude, country } = found;
    return {
      key,
      name,
      latitude,
      longitude,
      words: `${found.name}${country === null ? "" : `, ${country}`} (${latitude.toFixed(2)}, ${longitude.toFixed(2)})`,
    };
  } catch (error) {
    if (error instanceof Unusable) throw failed(error.message);
    throw error;
  }
}

/** A station of the National Weather Service, from its own page. */
function stationIn(body: Buffer): Found | null {
  const { geometry, properties } = objectOf(parseJson(body));
  const at = objectOf(geometry)["coordinates"];
  const [longitude, latitude] = Array.isArray(at) ? at : [];
  if (typeof latitude !== "number" || typeof longitude !== "number") return null;
  return { name: String(objectOf(properties)["name"] ?? "station"), country: null, latitude, longitude };
}

/** What the source asks for, as words of `millrace produce`. */
export function sourceWords(feed: LiveFeed, places: readonly Located[], standin: string | null): string[] {
  const asked = places.flatMap(({ key, name, latitude, longitude }) => [
    "--place",
    `${key}=${feed === "nws" ? name : `${latitude},${longitude}`}`,
  ]);
  return standin === null ? asked : [...asked, "--url", standin];
}

const DAY_MS = 86_400_000;

/** Hours of the places from 92 days ago up to the cut, exclusive. Errors: `job_failed`, with what was answered instead. */
export async function pastOf(
  places: readonly Located[],
  {
    cut_ms,
    standin,
    agent,
    contract,
  }: {
    readonly cut_ms: number;
    readonly standin: string | null;
    readonly agent: string;
    readonly contract: Contract;
  },
  ask: Get = get,
): Promise<Input> {
  const now_ms = Date.now();
  const first = Math.floor((cut_ms - (PAST_DAYS_MAX - 1) * DAY_MS) / DAY_MS) * DAY_MS;
  const asked: readonly Place[] = places.map(({ key, latitude, longitude }) => ({
    key,
    at: `${latitude},${longitude}`,
  }));
  const odd = asked.find(({ at }) => coordinatesOf(at) === null);
  if (odd !== undefined) throw new Error(`no coordinates: ${odd.at}`);
  try {
    const origin = standin ?? FEEDS["open-meteo"].origin!;
    return await historyOf({ places: asked, from_ms: first, to_ms: cut_ms, origin, agent }, contract, {
      get: ask,
      now_ms,
    });
  } catch (error) {
    if (!(error instanceof Unusable)) throw error;
    throw new PipelineError(
      "job_failed",
      `Cannot read the past of ${places.map(({ name }) => name).join(", ")}: ${error.message}`,
    );
  }
}
