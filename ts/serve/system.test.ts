import { describe, expect, it } from "vitest";
import { app, arrival, NOW_MS, prediction } from "../test/served/weather.ts";
import type { System } from "./routes/system.ts";

async function system({ app: api }: ReturnType<typeof app>): Promise<System> {
  const response = await api.request("/system");
  expect(response.status).toBe(200);
  return (await response.json()) as System;
}
const report = (job: string, counters: Record<string, number>, timestamp = NOW_MS) => ({
  ...{ job, submission: `${job}-1`, state: "running", timestamp, error_code: null, message: null },
  counters,
});

describe("GET /system", () => {
  it("answers before anything has said anything", async () => {
    const body = await system(app());
    expect(body).toMatchObject({ spark: [], ray: [], processes: [], processes_over_s: null });
    expect(body.pipelines).toMatchObject([
      { pipeline: "weather", stations: 0, latency: null, events_per_s: null, late_rows: null, rejected: [] },
    ]);
    expect(body.links).toContainEqual({ name: "Spark", href: "http://127.0.0.1:8080/" });
  });

  it("shows the newest micro-batch of a Spark job and how fast it reads", async () => {
    const api = app();
    const counters = {
      batch_id: 7,
      batch_rows: 500,
      batch_ms: 320,
      add_batch_ms: 250,
      lag: 12,
      late_rows: 3,
    };
    api.progress.report(
      report("weather-features", { ...counters, input_rows: 1_000, watermark_ms: 0 }, NOW_MS - 10_000),
    );
    api.progress.report(report("weather-features", { ...counters, input_rows: 4_000, watermark_ms: NOW_MS }));
    const body = await system(api);
    expect(body.spark).toMatchObject([
      {
        ...{ job: "weather-features", pipeline: "weather", batch: 7, rows: 500, took_ms: 320, lag: 12 },
        ...{ read_per_s: 300, watermark: new Date(NOW_MS).toISOString(), late_rows: 3 },
        parts_ms: { add_batch_ms: 250, commit_ms: 0 },
      },
    ]);
    expect(body.pipelines[0]).toMatchObject({ events_per_s: 300, late_rows: 3 });
  });

  it("shows the actors of a Ray job with what a call of the model takes", async () => {
    const api = app();
    api.progress.report(
      report("weather-infer", { actors: 2, actor_restarts: 1, predict_ms: 14.5, rows: 10, model_version: 3 }),
    );
    expect((await system(api)).ray).toMatchObject([
      {
        job: "weather-infer",
        actors: 2,
        restarts: 1,
        predict_ms: 14.5,
        read_per_s: null,
        model_version: "3",
        lag: null,
      },
    ]);
  });

  it("has the waterfall, versions, rejects, lag a group and rates a topic", async () => {
    const api = app();
    const one = prediction();
    api.latest.predicted("denver", one, arrival(1));
    api.flow.predicted(one.stages, NOW_MS - 2_000);
    api.flow.rejected("late", NOW_MS);
    const body = await system(api);
    expect(body.pipelines[0]).toMatchObject({
      ...{ model_versions: ["3"], champion: "3", stations: 1 },
      rejected: [{ reason: "late", records: 1 }],
      latency: {
        predictions: 1,
        p50_ms: 1_000,
        stages: [{ p50_ms: 400 }, { p50_ms: 100 }, { p50_ms: 400 }, { p50_ms: 100 }],
      },
      topics: [{ topic: "weather-predictions", lag: 0 }],
    });
    expect(body.groups).toEqual([{ group: "ray-ml-inference", topic: "weather-features", lag: 7 }]);
  });

  it("the registry of models may be away", async () => {
    const body = await system(app({ models: async () => Promise.reject(new Error("away")) }));
    expect(body.pipelines[0]!.champion).toBeNull();
  });
});
