// The outlines that a map is drawn on, from atlases that the server has: a file each, loaded once a map is there to need it.

import type { FeatureCollection, Geometry, MultiLineString } from "geojson";
import { feature, mesh } from "topojson-client";
import type { GeometryCollection, Topology } from "topojson-specification";
import us from "us-atlas/states-10m.json?url";
import world from "world-atlas/countries-110m.json?url";
import type { GroundName } from "./ground.ts";

export interface Atlas {
  readonly land: FeatureCollection<Geometry>;
  /** Borders between states or countries. */
  readonly borders: MultiLineString;
}

const ATLASES: Readonly<
  Record<GroundName, { readonly url: string; readonly parts: string; readonly land: string }>
> = {
  us: { url: us, parts: "states", land: "nation" },
  world: { url: world, parts: "countries", land: "land" },
};

const loaded = new Map<GroundName, Promise<Atlas>>();

async function load(ground: GroundName): Promise<Atlas> {
  const { url, parts, land } = ATLASES[ground];
  const response = await fetch(url);
  if (!response.ok) throw new TypeError(`HTTP ${response.status}`);
  const topology = (await response.json()) as Topology<Record<string, GeometryCollection>>;
  return {
    land: feature(topology, topology.objects[land]!) as FeatureCollection<Geometry>,
    borders: mesh(topology, topology.objects[parts]! as never, (a, b) => a !== b),
  };
}

/** An atlas; one that failed is asked for again by the next who needs it. */
export function atlasOf(ground: GroundName): Promise<Atlas> {
  let one = loaded.get(ground);
  if (!one) {
    one = load(ground);
    loaded.set(ground, one);
    one.catch(() => loaded.delete(ground));
  }
  return one;
}
