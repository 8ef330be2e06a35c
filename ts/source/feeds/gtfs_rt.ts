// GTFS-Realtime vehicle positions: where each vehicle of an agency was last seen. One agency, one URL, one protobuf message.
// Source: gtfs.org/documentation/realtime/reference. Positions are of the vehicle's own time; where a feed gives none, of the message's.

import bindings from "gtfs-realtime-bindings";
import { type Feed, type Measured, type Place, type Problem, type Reading, Unusable } from "./feed.ts";

const { FeedMessage, VehiclePosition } = bindings.transit_realtime;

const WORDS = [
  "latitude",
  "longitude",
  "speed",
  "bearing",
  "odometer",
  "trip_id",
  "route_id",
  "direction_id",
  "stop_id",
  "label",
  "occupancy_status",
  "current_status",
];

export const gtfsRt: Feed = {
  name: "gtfs-rt",
  summary: "GTFS-Realtime: where the vehicles of a transit agency are, by the URL of its vehicle positions",
  origin: null,
  at: "url",
  words: WORDS,
  places_max: 1,
  every_ms: 30_000,
  every_ms_min: 10_000,
  limits: [],
  cost: (places) => places,
  // The largest that is known, 1,700 vehicles of Delhi, is 180 kB.
  bytes_max: 20_000_000,
  stale_ms: 600_000,
  request: ({ places }) => ({ url: places[0]!.at, headers: { Accept: "application/x-protobuf, */*" } }),
  parse(body, { places }) {
    const place = places[0]!;
    if (body.length === 0) throw new Unusable("expected a FeedMessage of GTFS-Realtime, got an empty body");
    const message = decoded(body);
    const problems: Problem[] = [];
    const vehicles = message.entity.filter(({ vehicle, isDeleted }) => vehicle && !isDeleted);
    if (vehicles.length === 0 && message.entity.length > 0)
      throw new Unusable(
        `expected vehicle positions, got ${message.entity.length} entities of another kind (trip updates, alerts)`,
      );
    const sent_s = Number(message.header.timestamp ?? 0);
    const readings = vehicles.flatMap((entity) => readingOf(entity, sent_s, place, problems) ?? []);
    return { readings: readings.sort((a, b) => a.time - b.time), problems };
  },
};

type Message = ReturnType<typeof FeedMessage.decode>;

function decoded(body: Buffer): Message {
  try {
    return FeedMessage.decode(body);
  } catch {
    const text = body
      .subarray(0, 30)
      .toString("latin1")
      .replaceAll(/[^\x20-\x7e]/g, "·");
    throw new Unusable(
      `expected a FeedMessage of GTFS-Realtime, got ${body.length} bytes that are none or end in the middle, beginning ${JSON.stringify(text)}`,
    );
  }
}

function readingOf(
  entity: Message["entity"][number],
  sent_s: number,
  place: Place,
  problems: Problem[],
): Reading | null {
  const vehicle = entity.vehicle!;
  const id = vehicle.vehicle?.id || vehicle.vehicle?.label || null;
  const bad = (reason: string): null => {
    problems.push({ key: id, field: null, reason });
    return null;
  };
  if (id === null) return bad(`expected the id of a vehicle, got none in entity "${entity.id}"`);
  const { position, trip } = vehicle;
  if (!position) return bad("expected a position, got none");
  const { latitude, longitude } = position;
  if (latitude === 0 && longitude === 0)
    return bad("expected a position, got 0,0: what a receiver without a fix says");
  if (!(Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180))
    return bad(`expected a position on earth, got ${latitude},${longitude}`);
  // A time that is not in the message reads as 0, as a number or as text.
  const time = (Number(vehicle.timestamp) || sent_s) * 1000;
  if (!(time > 0)) return bad("expected a time of the vehicle or of the message, got none");
  const measured = (name: "speed" | "bearing" | "odometer", unit: string): Measured => ({
    // A number that is not in the message reads as 0.
    value: Object.hasOwn(position, name) ? position[name] : null,
    unit,
  });
  const said = <T>(of: object | null | undefined, name: string, value: T | null | undefined): T | null =>
    of && Object.hasOwn(of, name) && value !== "" ? (value ?? null) : null;
  const values = {
    latitude: { value: latitude, unit: "deg" },
    longitude: { value: longitude, unit: "deg" },
    speed: measured("speed", "m/s"),
    bearing: measured("bearing", "deg"),
    odometer: measured("odometer", "m"),
    trip_id: said(trip, "tripId", trip?.tripId),
    route_id: said(trip, "routeId", trip?.routeId),
    direction_id: said(trip, "directionId", trip?.directionId),
    stop_id: said(vehicle, "stopId", vehicle.stopId),
    label: said(vehicle.vehicle, "label", vehicle.vehicle?.label),
    occupancy_status: wordOf(
      VehiclePosition.OccupancyStatus,
      said(vehicle, "occupancyStatus", vehicle.occupancyStatus),
    ),
    current_status: wordOf(
      VehiclePosition.VehicleStopStatus,
      said(vehicle, "currentStatus", vehicle.currentStatus),
    ),
  };
  return { key: place.key === "" ? id : `${place.key}-${id}`, time, values };
}

/** A number of an enumeration by its word. */
const wordOf = (words: object, value: unknown): string | null =>
  value === null ? null : ((words as Record<string, string>)[String(value)] ?? String(value));
