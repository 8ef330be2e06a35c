// On what the stations are drawn: which atlas, under which projection, fitted to those that have something to show. Pure; atlas.ts loads.

import {
  type GeoProjection,
  geoAlbersUsa,
  geoBounds,
  geoDistance,
  geoMercator,
  geoNaturalEarth1,
  geoPath,
} from "d3-geo";

export interface Place {
  readonly longitude: number;
  readonly latitude: number;
}

export type GroundName = "us" | "world";

/** Where stations of the United States lie, west, south, east, north: the states that touch, Alaska, Hawaii. */
const STATES: readonly (readonly [number, number, number, number])[] = [
  [-125, 24.3, -66.8, 49.4],
  [-179.9, 51, -129.9, 71.5],
  [-161, 18.5, -154.5, 22.5],
];

/** The atlas that shows all of them best: the states where all lie within them, else the world. */
export function groundOf(places: readonly Place[]): GroundName {
  const within = ({ longitude, latitude }: Place) =>
    STATES.some(
      ([west, south, east, north]) =>
        longitude >= west && longitude <= east && latitude >= south && latitude <= north,
    );
  return places.length > 0 && places.every(within) ? "us" : "world";
}

const EARTH_KM = 6_371;
/** A pixel is at least as much: the atlases have nothing that is finer. */
const KM_A_PIXEL: Readonly<Record<GroundName, number>> = { us: 1, world: 0.05 };
/** Part of the picture that stays free around the stations, for their numbers. */
const MARGIN = 0.1;
/** Wider than this, degrees, a region is drawn as the round thing it lies on. */
const WIDE_DEG = 120;

function flatOf(ground: GroundName, [[west], [east]]: [[number, number], [number, number]]): GeoProjection {
  if (ground === "us") return geoAlbersUsa();
  const width = east >= west ? east - west : east - west + 360;
  const middle = west + width / 2;
  return (width > WIDE_DEG ? geoNaturalEarth1() : geoMercator()).rotate([-middle, 0]);
}

/** A projection that holds all places within a picture of this size. Edges: one place, or none, is a picture of its surroundings. */
export function projectionOf(
  ground: GroundName,
  places: readonly Place[],
  width: number,
  height: number,
): GeoProjection {
  const points = {
    type: "MultiPoint" as const,
    coordinates: places.map(({ longitude, latitude }) => [longitude, latitude]),
  };
  const all = { type: "Sphere" as const };
  if (places.length === 0) return geoNaturalEarth1().fitSize([width, height], all);
  const bounds = geoBounds(points);
  const projection = flatOf(ground, bounds);
  const [x, y] = [width * MARGIN, height * MARGIN];
  const most = EARTH_KM / KM_A_PIXEL[ground];
  const spread = Math.max(...places.map((one) => geoDistance(bounds[0], [one.longitude, one.latitude])));
  if (spread > 1e-6)
    projection.fitExtent(
      [
        [x, y],
        [width - x, height - y],
      ],
      points,
    );
  else projection.scale(most * 2);
  if (projection.scale() <= most) return projection;
  projection.scale(most);
  const [[left, top], [right, bottom]] = geoPath(projection).bounds(points);
  const [tx, ty] = projection.translate();
  return projection.translate([tx + width / 2 - (left + right) / 2, ty + height / 2 - (top + bottom) / 2]);
}

/** Which way a bearing, degrees clockwise from north, points in the picture at a place: degrees clockwise from up. */
export function bearingIn(
  projection: GeoProjection,
  { longitude, latitude }: Place,
  bearing: number,
): number {
  const here = projection([longitude, latitude]);
  const north = projection([longitude, Math.min(89.9, latitude + 0.1)]);
  if (!here || !north) return bearing;
  return (Math.atan2(north[0] - here[0], here[1] - north[1]) * 180) / Math.PI + bearing;
}

/** A box in the picture, by its middle. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

const apart = (a: Box, b: Box): boolean =>
  Math.abs(a.x - b.x) * 2 >= a.width + b.width || Math.abs(a.y - b.y) * 2 >= a.height + b.height;

/**
 * Where each label can stand without hiding another or what is taken already: the first of its places that is free, null for none. The
 * first of two labels wins.
 */
export function standing(labels: readonly (readonly Box[])[], taken: readonly Box[]): (Box | null)[] {
  const all = [...taken];
  return labels.map((places) => {
    const free = places.find((place) => all.every((other) => apart(place, other))) ?? null;
    if (free) all.push(free);
    return free;
  });
}
