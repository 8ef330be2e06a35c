// A line on which much is going on, for what is looked at: two days of forecasts that met their truth, an anomaly, a station that fell
// silent, a job that waits, processes that work. Made up, and the same each time.

import type { Settings } from "../../settings/settings.ts";
import { features, HOUR_MS, prediction, T0_MS, verification } from "../served/weather.ts";
import { type Line, startLine } from "./line.ts";

/** The same numbers between 0 and 1 in the same order each time. Source: mulberry32 of Tommy Ettinger. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const MEGABYTE = 1e6;
const process = (
  of: string,
  name: string,
  pid: number,
  cores: number,
  megabytes: number,
  traffic: number,
) => ({
  ...{ of, name, pid, cores, memory_bytes: megabytes * MEGABYTE, read_bytes_s: 0 },
  ...{ written_bytes_s: traffic / 3, received_bytes_s: traffic, sent_bytes_s: traffic * 0.8 },
});
const unknown = {
  ...{ of: "mlflow", name: "unknown", pid: null, cores: null, memory_bytes: null, read_bytes_s: null },
  ...{ written_bytes_s: null, received_bytes_s: null, sent_bytes_s: null },
};
const USES = {
  over_s: 2,
  processes: [
    process("kafka", "Kafka", 311, 0.21, 640, 1_900_000),
    unknown,
    process("postgres", "postgres", 320, 0.04, 160, 320_000),
    process("ray", "raylet", 412, 0.06, 210, 84_000),
    process("ray", "gcs_server", 405, 0.02, 96, 42_000),
    process("serve", "main.ts", 911, 0.05, 142, 210_000),
    process("spark", "Master", 371, 0.01, 190, 3_100),
    process("weather-features", "CoarseGrainedExecutorBackend", 702, 0.62, 1_180, 2_400_000),
    process("weather-infer", "Actor", 715, 0.34, 420, 650_000),
  ],
};

const AHEAD = { 6: 1.5, 12: 2.1, 24: 2.8 } as const;
const SCALE = { temperature: ["degC", 1], humidity: ["%", 4], pressure: ["hPa", 0.9] } as const;

/** Verified forecasts of the last two days at each of these stations. */
async function verified(line: Line, stations: readonly string[], hours: number): Promise<void> {
  const random = randomOf(7);
  const records = stations.flatMap((station, s) =>
    Array.from({ length: hours }, (_, hour) =>
      Object.entries(SCALE).flatMap(([target, [unit, scale]]) =>
        Object.entries(AHEAD).map(([horizon_h, spread]) => {
          const sigma = spread * scale * (0.8 + s / 20);
          const error = (random() + random() + random() - 1.5) * 2 * sigma;
          const valid = T0_MS - hour * HOUR_MS;
          const within = (times: number) => Math.abs(error) < times * sigma;
          return line.records.record("verifications", station, {
            ...verification({ target, unit, horizon_h: Number(horizon_h), valid }),
            id: `${s.toString(16).padStart(4, "0")}${hour.toString(16).padStart(4, "0")}${target.length.toString(16).padStart(8, "0")}${horizon_h.padStart(16, "0")}`,
            issued: valid - Number(horizon_h) * HOUR_MS,
            model: {
              ...{ value: 3 + error, error, pinball: sigma, width: 3.4 * sigma, winkler: 4 * sigma },
              ...{ covered_50: within(0.68), covered_80: within(1.25), covered_90: within(1.5) },
            },
            persistence: { value: 1, error: error * (0.7 + random() * 1.8) },
            dap: { value: 1, error: error * (0.6 + random() * 1.3) },
          });
        }),
      ),
    ).flat(),
  );
  await line.records.send(records);
}

export interface BusyOptions {
  readonly database?: Settings;
  readonly hours?: number;
}

/** Starts one; it has caught up. */
export async function startBusyLine({ database, hours = 48 }: BusyOptions = {}): Promise<Line> {
  const line = await startLine({
    ...(database && { database }),
    ...{ meters: true, uses: USES },
    models: [
      {
        ...{ pipeline: "weather", model: "weather", version: "3", aliases: ["champion"], parent: "2" },
        ...{ created_ms: T0_MS, digest: null, contract_fingerprint: null },
        url: "http://127.0.0.1:5000/#/models/weather/versions/3",
      },
    ],
  });
  const stations = Object.keys(line.records.contract.stations).slice(0, 12);
  const random = randomOf(3);
  const now_ms = Date.now();
  for (const [i, station] of stations.entries()) {
    // One fell silent, and one has a sensor that reads what cannot be.
    const timestamp = i === 1 ? T0_MS - 5 * HOUR_MS : T0_MS;
    const took = () => 200 + Math.round(random() * 400);
    const [raw, window] = [now_ms - 4_000, took()];
    const marks = [raw, raw + window, raw + window + 60, raw + window + 60 + took()];
    await line.send("features", station, features({ window_end: timestamp, temperature_mean: 2 + i }));
    await line.send("predictions", station, {
      ...prediction({ timestamp }),
      id: i.toString(16).padStart(32, "0"),
      anomaly:
        i === 2
          ? {
              ...{ is_anomaly: true, anomaly_score: 1, anomaly_type: "range", method: "rules" },
              evidence: ["temperature: 84.0 degC is beyond 60 degC in 5 of 5 observations"],
            }
          : { is_anomaly: false, anomaly_score: 0.1, anomaly_type: null, evidence: [], method: "rules" },
      stages: {
        event_time: timestamp - 1_000,
        raw_append_time: marks[0]!,
        feature_processing_time: marks[1]!,
        feature_append_time: marks[2]!,
        predict_time: marks[3]!,
      },
    });
  }
  for (let i = 0; i < 3; i++) await line.send("rejects", stations[0]!, { reason: "out_of_range" });
  await line.send("rejects", stations[0]!, { reason: "undecodable" });
  await verified(line, stations, hours);
  await line.report("weather-features", {
    ...{ batch_id: 418, batch_rows: 1_032, batch_ms: 640, add_batch_ms: 480, latest_offset_ms: 20 },
    ...{ query_planning_ms: 45, wal_commit_ms: 38, commit_ms: 42, rows_per_s: 1_612, lag: 96, late_rows: 12 },
    ...{ state_rows: 4_210, state_bytes: 3_400_000, input_rows: 410_000, watermark_ms: T0_MS - 60_000 },
  });
  await line.report("weather-infer", {
    ...{ actors: 4, actor_restarts: 1, predict_ms: 14.2, batch_ms: 61, feature_to_commit_ms: 210 },
    ...{ rows: 81_000, lag: 7, stations: 12, model_version: 3 },
  });
  await line.serving.caught_up;
  return line;
}
