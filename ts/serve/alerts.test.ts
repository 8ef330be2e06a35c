import { describe, expect, it } from "vitest";
import type { StoredAnomaly } from "../store/queries.ts";
import { absentStore, app, arrival, HOUR_MS, NOW_MS, prediction, T0_MS } from "../test/served/weather.ts";
import { LAG_MAX, REJECTS_MS, Since } from "./alerts.ts";
import type { Alert } from "./routes/alerts.ts";

type Api = ReturnType<typeof app>;
async function alerts({ app: api }: Api, query = ""): Promise<readonly Alert[]> {
  const response = await api.request(`/alerts${query}`);
  expect(response.status).toBe(200);
  const body = (await response.json()) as { count: number; alerts: Alert[] };
  expect(body.count).toBeGreaterThanOrEqual(body.alerts.length);
  return body.alerts;
}
const iso = (ms: number) => new Date(ms).toISOString();
const report = (job: string, more: object = {}) => ({
  job,
  submission: `${job}-1`,
  state: "running",
  timestamp: NOW_MS,
  error_code: null,
  message: null,
  counters: {},
  ...more,
});
const flaggedPrediction = (evidence: string) =>
  prediction({
    anomaly: {
      is_anomaly: true,
      anomaly_score: 2,
      anomaly_type: "range",
      evidence: [evidence],
      method: "rules",
    },
  });

describe("GET /alerts", () => {
  it("is empty when all is well", async () => {
    const api = app();
    api.latest.predicted("denver", prediction(), arrival(1));
    expect(await alerts(api)).toEqual([]);
  });

  it("names an engine and a job that health finds down, with what health says to do", async () => {
    const gone = {
      name: "spark",
      address: "a",
      needed: true,
      up: false,
      detail: "refused",
      next: "Run: millrace up",
    };
    const shown = { ...gone, name: "mlflow", needed: false };
    const off = { ...gone, name: "hdfs", needed: false, off: true };
    const job = (name: string, more: object) => ({
      ...{ name, engine: "spark", desired: true, state: "running", reason: null, submission: "s" },
      ...{ restarts: 0, gave_up: false, pipeline: "weather", schedule: null, due_ms: null, last: null },
      ...more,
    });
    const api = app({
      engines: async () => [gone, shown, off],
      jobs: async () => [
        job("weather-features", {
          ...{ state: "failed", gave_up: true, reason: "given up" },
          last: { at_ms: NOW_MS - 60_000, reason: "exit code 1" },
        }),
        job("weather-infer", {}),
        job("weather-train", { state: "failed", desired: false }),
      ],
    });
    api.progress.report(report("weather-infer", { timestamp: NOW_MS - 100_000 }));
    const found = await alerts(api);
    expect(
      found.map(({ id, severity, subject, since, next }) => [id, severity, subject.name, since, next]),
    ).toEqual([
      ["engine:mlflow", "warning", "mlflow", iso(NOW_MS), "Run: millrace up"],
      ["engine:spark", "critical", "spark", iso(NOW_MS), "Run: millrace up"],
      [
        "job:weather-features",
        "critical",
        "weather-features",
        iso(NOW_MS - 60_000),
        "Run: millrace logs weather-features",
      ],
      [
        "job:weather-infer",
        "critical",
        "weather-infer",
        iso(NOW_MS - 100_000),
        "Run: millrace logs weather-infer",
      ],
    ]);
  });

  it("a job that waits is a warning, since it began to", async () => {
    const api = app();
    api.progress.report(report("weather-infer", { state: "starting", timestamp: NOW_MS - 300_000 }));
    api.progress.report(report("weather-infer", { state: "starting", message: "no model" }));
    expect(await alerts(api)).toMatchObject([
      { kind: "job_waiting", severity: "warning", pipeline: "weather", since: iso(NOW_MS - 300_000) },
    ]);
  });

  it("names a station that trails, and one whose newest window is flagged while the store is away", async () => {
    const api = app();
    api.latest.predicted("denver", prediction(), arrival(1));
    api.latest.predicted(
      "seattle",
      prediction({ timestamp: T0_MS - 3 * HOUR_MS }),
      arrival(2, { append_time_ms: NOW_MS - 90_000 }),
    );
    api.latest.predicted("new-york", flaggedPrediction("temperature_mean 99 is above 60"), arrival(3));
    const found = await alerts(api);
    expect(found).toMatchObject([
      {
        ...{ kind: "anomaly", pipeline: "weather", subject: { kind: "station", name: "new-york" } },
        ...{ text: "new-york: temperature_mean 99 is above 60", anomaly_id: null, event_time: iso(T0_MS) },
      },
      {
        ...{ kind: "station_stale", subject: { kind: "station", name: "seattle" } },
        ...{ since: iso(NOW_MS - 90_000), event_time: iso(T0_MS - 3 * HOUR_MS) },
      },
    ]);
    expect(found[0]!.next).toContain("/weather/stations/new-york/observations");
  });

  it("takes an anomaly's id and its beginning from the store", async () => {
    const run: StoredAnomaly = {
      ...{ id: "a1", entity: "new-york", type: "range", opened_ms: T0_MS - HOUR_MS, peak_ms: T0_MS },
      ...{ last_ms: T0_MS, ended_ms: null, severity: 2, windows: 12 },
    };
    const store = { ...absentStore(), anomalies: async () => ({ rows: [run], next: null }) };
    const api = app({ store });
    api.latest.predicted("new-york", flaggedPrediction("hot"), arrival(3));
    expect(await alerts(api)).toMatchObject([{ anomaly_id: "a1", event_time: iso(T0_MS - HOUR_MS) }]);
  });

  it("a silent network is one alert, not one a station", async () => {
    const api = app();
    for (const id of ["denver", "seattle", "new-york"])
      api.latest.predicted(id, prediction(), arrival(1, { append_time_ms: NOW_MS - 200_000 }));
    expect(await alerts(api)).toMatchObject([
      { kind: "network_silent", severity: "critical", since: iso(NOW_MS - 200_000) },
    ]);
  });

  it("says what waits to be read and written, and what is refused", async () => {
    const lag = (records: number) => [
      { group: "ray-ml-inference", topic: "weather-features", partition: 0, lag: records },
      { group: "ray-ml-inference", topic: "weather-features", partition: 1, lag: 1 },
    ];
    const api = app({ lags: async () => lag(LAG_MAX) });
    api.progress.report(
      report("weather-sink", {
        message: "waits: Cannot reach the store",
        counters: { predictions_rows: 5, lag: 9 },
      }),
    );
    api.flow.rejected("out_of_range", NOW_MS - REJECTS_MS + 1);
    api.flow.rejected("late", NOW_MS - REJECTS_MS);
    expect((await alerts(api)).map(({ id }) => id)).toEqual([
      "lag:ray-ml-inference:weather-features",
      "rejects:weather:out_of_range",
      "store:weather-sink",
    ]);
    expect(await alerts(app({ lags: async () => lag(LAG_MAX - 1) }))).toEqual([]);
  });

  it("says whom of anomalies nobody could tell", async () => {
    const api = app();
    const counters = { messages_sent: 1, messages_given_up: 0 };
    api.progress.report(report("weather-alerts", { message: null, counters }));
    expect(await alerts(api)).toEqual([]);
    const message = '"ops" waits: 10.0.0.1 answered HTTP 500, tried 9 times in 12 min';
    api.progress.report(report("weather-alerts", { message, counters }));
    expect(await alerts(api)).toMatchObject([
      { kind: "untold", id: "untold:weather-alerts", text: expect.stringContaining("HTTP 500") },
    ]);
  });

  it("says when a topic is about to take what a job has not read, and not before", async () => {
    const api = app();
    const HOUR = 3_600_000;
    const said = async (unread_ms: number) => {
      const counters = { lag: 3, unread_ms, retention_ms: 24 * HOUR };
      api.progress.report(report("weather-features", { counters }));
      return alerts(api);
    };
    expect(await said(12 * HOUR)).toEqual([]);
    expect(await said(13 * HOUR)).toMatchObject([
      {
        ...{ kind: "retention", severity: "critical", id: "retention:weather-features" },
        text: "weather-features may have left records unread for 13.0 h; its topic keeps them for 24.0 h, then they are lost",
      },
    ]);
  });

  it("says that the feed does not run, and that it is catching up", async () => {
    const feed = { caught_up: false, topics: [], error: null };
    expect(await alerts(app({ feed: () => feed }))).toMatchObject([
      { kind: "catching_up", severity: "info" },
    ]);
    expect(await alerts(app({ feed: () => ({ ...feed, error: "no broker" }) }))).toMatchObject([
      { kind: "feed_down", severity: "critical", text: expect.stringContaining("no broker") },
    ]);
  });

  it("chooses by pipeline and length, and refuses a pipeline there is not", async () => {
    const api = app();
    for (const id of ["a", "b", "c"]) api.latest.predicted(id, flaggedPrediction("hot"), arrival(1));
    expect(await alerts(api, "?pipeline=weather")).toHaveLength(3);
    expect(await alerts(api, "?limit=2")).toHaveLength(2);
    expect((await api.app.request("/alerts?pipeline=tides")).status).toBe(400);
  });
});

describe("Since", () => {
  const found = (id: string, since_ms: number | null = null) => ({
    ...({
      id,
      pipeline: null,
      kind: "lag",
      severity: "info",
      subject: { kind: "topic", name: "t" },
    } as const),
    ...{ anomaly_id: null, text: "", next: "", since_ms, event_ms: null },
  });

  it("keeps the first moment while an alert stays, and forgets one that went", () => {
    const since = new Since();
    expect(since.look([found("a"), found("b", 7)], 100)).toEqual(
      new Map([
        ["a", 100],
        ["b", 7],
      ]),
    );
    expect(since.look([found("a"), found("b", 50)], 200)).toEqual(
      new Map([
        ["a", 100],
        ["b", 7],
      ]),
    );
    expect(since.look([], 300)).toEqual(new Map());
    expect(since.look([found("a")], 400)).toEqual(new Map([["a", 400]]));
  });
});
