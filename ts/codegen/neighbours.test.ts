// Who stands around whom: distances, directions, sectors, ranks and the reach.

import { describe, expect, it } from "vitest";
import { stations } from "../pipelines/weather/stations.ts";
import { neighbours, way } from "./neighbours.ts";

const place = (latitude: number | null, longitude: number | null) => ({
  name: "x",
  latitude,
  longitude,
  elevation_m: null,
});

describe("way()", () => {
  it("knows a quarter of the meridian and both directions along the equator", () => {
    expect(way(place(0, 0) as never, place(90, 0) as never).distance_km).toBeCloseTo(10_007.5, 1);
    expect(way(place(0, 0) as never, place(0, 1) as never).bearing_deg).toBeCloseTo(90, 6);
    expect(way(place(0, 179) as never, place(0, -179) as never)).toEqual({
      distance_km: expect.closeTo(222.4, 1),
      bearing_deg: expect.closeTo(90, 6),
    });
  });
});

describe("neighbours()", () => {
  it("takes the nearest of each sector within the reach, and leaves out who has no place", () => {
    const found = neighbours(
      {
        middle: place(0, 0),
        near: place(1, 0),
        far: place(2, 0),
        farther: place(3, 0),
        beyond: place(-30, 0),
        lost: place(null, null),
      },
      { per_sector: 2, reach_km: 1000 },
    );
    expect(found["middle"]).toEqual([
      { station: "near", sector: "north", rank: 1, distance_km: 111.2 },
      { station: "far", sector: "north", rank: 2, distance_km: 222.4 },
    ]);
    expect(found["near"]!.map(({ station, sector }) => `${sector} ${station}`)).toEqual([
      "north far",
      "north farther",
      "south middle",
    ]);
    expect(Object.keys(found)).toEqual(["far", "farther", "middle", "near"]);
  });

  it("finds Philadelphia west of New York and no ocean east of Boston", () => {
    const found = neighbours(stations, { per_sector: 3, reach_km: 2500 });
    expect(found["new-york"]!.find(({ sector }) => sector === "west")!.station).toBe("philadelphia");
    expect(found["boston"]!.some(({ sector }) => sector === "east")).toBe(false);
    expect(found["sg-s100"]).toBeUndefined();
  });
});
