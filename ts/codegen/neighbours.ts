// Who stands around whom: the nearest stations of each in four sectors, from their places on the map.
// Part of derive.ts: what comes out is data of the contract, so that no engine measures a distance. Pure.

import type { Neighbour } from "../pipelines/contract.ts";
import type { Station } from "../pipelines/define.ts";

/** By the compass direction from the station, each a quarter of the circle around its name's direction. */
export const SECTORS = ["north", "east", "south", "west"] as const;

const EARTH_KM = 6_371;

interface Place {
  readonly latitude: number;
  readonly longitude: number;
}

/** Great-circle distance and initial bearing (degrees clockwise from north, 0 <= b < 360). */
export function way(from: Place, to: Place): { readonly distance_km: number; readonly bearing_deg: number } {
  const rad = Math.PI / 180;
  const [a, b] = [from.latitude * rad, to.latitude * rad];
  const turn = (to.longitude - from.longitude) * rad;
  const half = Math.sin((b - a) / 2) ** 2 + Math.cos(a) * Math.cos(b) * Math.sin(turn / 2) ** 2;
  const east = Math.sin(turn) * Math.cos(b);
  const north = Math.cos(a) * Math.sin(b) - Math.sin(a) * Math.cos(b) * Math.cos(turn);
  return {
    distance_km: 2 * EARTH_KM * Math.asin(Math.min(1, Math.sqrt(half))),
    bearing_deg: (Math.atan2(east, north) / rad + 360) % 360,
  };
}

/**
 * Each station's neighbours, sector by sector and nearest first; a tie goes by name. Stations without a place have none
 * and are nobody's; one without any neighbour is left out. Distances in whole tenths of a km: they are hashed.
 */
export function neighbours(
  stations: Readonly<Record<string, Station>>,
  { per_sector, reach_km }: { readonly per_sector: number; readonly reach_km: number },
): Record<string, Neighbour[]> {
  const placed = Object.entries(stations)
    .flatMap(([name, { latitude, longitude }]) =>
      latitude === null || longitude === null ? [] : [{ name, latitude, longitude }],
    )
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const found: Record<string, Neighbour[]> = {};
  for (const station of placed) {
    const others = placed
      .filter((other) => other !== station)
      .map((other) => ({ name: other.name, ...way(station, other) }))
      .filter(({ distance_km }) => distance_km <= reach_km)
      .sort((a, b) => a.distance_km - b.distance_km);
    const around = SECTORS.flatMap((sector, quarter) =>
      others
        .filter(({ bearing_deg }) => Math.floor(((bearing_deg + 45) % 360) / 90) === quarter)
        .slice(0, per_sector)
        .map(({ name, distance_km }, i) => ({
          station: name,
          sector,
          rank: i + 1,
          distance_km: Math.round(distance_km * 10) / 10,
        })),
    );
    if (around.length > 0) found[station.name] = around;
  }
  return found;
}
