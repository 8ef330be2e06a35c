// The current weather of five cities, kept as JSON Lines by hour on HDFS and summed up every hour by one Spark batch; serve.ts answers
// from there. No windows and no forecast. Without a key for the provider a seeded generator in its form stands in, and every record of it says so.

import { definePipeline } from "../define.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** Degrees north and east. */
const CITIES = {
  "new-york": { name: "New York", latitude: 40.71, longitude: -74.01 },
  london: { name: "London", latitude: 51.51, longitude: -0.13 },
  tokyo: { name: "Tokyo", latitude: 35.68, longitude: 139.69 },
  sydney: { name: "Sydney", latitude: -33.87, longitude: 151.21 },
  dubai: { name: "Dubai", latitude: 25.26, longitude: 55.3 },
} as const;

export const city = definePipeline({
  name: "city",
  entity: "city",
  streams: {
    raw: {
      observation: "city_observation",
      format: "json",
      partitions: 3,
      duplicates: "source",
      // The provider's values of one moment are up to half an hour apart.
      lateness_ms: HOUR_MS,
      lead_ms: 10 * MINUTE_MS,
    },
  },
  stations: Object.fromEntries(
    Object.entries(CITIES).map(([id, place]) => [id, { ...place, elevation_m: null }]),
  ),
  // Five places every ten minutes are 720 calls a day; the provider allows a thousand.
  simulated: { form: "openweathermap", every_ms: 10 * MINUTE_MS, seed: 16 },
  queries: [
    {
      name: "analytics",
      summary: "statistics, hourly trends and values far off, of each city since yesterday",
      function: "city.analytics",
      reads: "raw",
      of: "lines",
      sink: {
        kind: "versions",
        folder: "analytics",
        tables: ["city_statistics", "hourly_trends", "anomalies"],
      },
      schedule: "5 * * * *",
      // Yesterday to now.
      span_ms: 24 * HOUR_MS,
      step_ms: MINUTE_MS,
      from_midnight: true,
    },
  ],
  serve: {
    silent_ms: 30 * MINUTE_MS,
    routes: [
      "/api/city-statistics",
      "/api/hourly-trends",
      "/api/temperature-chart",
      "/api/humidity-chart",
      "/api/anomalies",
      "/api/raw-data",
    ],
  },
  demo: {
    sample: null,
    from_ms: null,
    // An hour every two seconds.
    speed: 1_800,
    batch: "analytics",
    path: "/api/city-statistics",
    closing: ["npm run submit -- city-analytics --now", "bin/millrace jobs --pipeline city"],
  },
  lines: { place: "hdfs:/weather_data", prefix: "weather", batch_records: 100 },
});
