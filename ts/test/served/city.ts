// What lies on HDFS of the city system after a run of its batch: small tables and a few records, made up, as of a moment.

import { hourFile } from "../../lines/layout.ts";
import { type FakeFiles, fakeFiles } from "../fakes/files.ts";

const HOUR_MS = 3_600_000;

const rows = (...all: readonly object[]) => all.map((row) => `${JSON.stringify(row)}\n`).join("");

/** The tables of a run that ended a minute and a half before. */
export async function publish(files: FakeFiles, now_ms: number, version = "run-7"): Promise<void> {
  const hour_ms = Math.floor(now_ms / HOUR_MS) * HOUR_MS;
  const iso = (ms: number) => new Date(ms).toISOString();
  const city = (city: string, simulated_count: number) => ({
    ...{
      city,
      count: 10,
      temperature_mean: 4.25,
      temperature_min: -1,
      temperature_max: 9,
      temperature_std: null,
    },
    ...{ humidity_mean: 71, simulated_count },
  });
  await files.write(`analytics/city_statistics/${version}.jsonl`, rows(city("london", 0), city("tokyo", 4)));
  const hour = (city: string, at_ms: number, temperature_mean: number | null) => ({
    ...{ city, hour: iso(at_ms), count: 6, temperature_mean, humidity_mean: 70, wind_speed_mean: 3 },
  });
  await files.write(
    `analytics/hourly_trends/${version}.jsonl`,
    rows(
      hour("london", hour_ms - 2 * HOUR_MS, 4),
      hour("london", hour_ms - HOUR_MS, 5),
      hour("tokyo", hour_ms - HOUR_MS, null),
    ),
  );
  await files.write(
    `analytics/anomalies/${version}.jsonl`,
    rows({
      ...{ city: "tokyo", time: iso(hour_ms - HOUR_MS + 600_000), field: "pressure", value: 900 },
      ...{ mean: 1010, std: 20, sigmas: -5.5 },
    }),
  );
  await files.write(
    "analytics/current.json",
    JSON.stringify({
      ...{ version, computed_ms: now_ms - 90_000, from_ms: now_ms - 24 * HOUR_MS, to_ms: now_ms - 60_000 },
      observations: 3,
      rows: { city_statistics: 2, hourly_trends: 3, anomalies: 1 },
    }),
  );
}

/** Three records, of this hour and the one before. */
export async function cityFiles(now_ms: number): Promise<FakeFiles> {
  const files = fakeFiles();
  const line = (city: string, timestamp: number) => ({
    ...{ city, timestamp, temperature: 4, humidity: 71, pressure: 1010, wind_speed: 3, wind_direction: 10 },
    ...{ rain: null, clouds: 50, description: "mist", simulated: city === "tokyo" },
  });
  const before_ms = now_ms - HOUR_MS;
  await files.write(
    hourFile("weather", before_ms),
    rows(line("london", before_ms), line("tokyo", before_ms + 60_000)),
  );
  await files.write(hourFile("weather", now_ms), rows(line("london", now_ms)));
  return files;
}
