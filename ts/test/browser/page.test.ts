// What a person sees at "/": a real Chromium, the real server, real encoded records; only Kafka is in memory.

import type { Browser, BrowserContext, Locator, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { encoder } from "../../contract/index.ts";
import { sendOnce } from "../../kafka/kafka.ts";
import { CONTRACT } from "../../pipelines/generated/weather.ts";
import type { EngineProbe } from "../../serve/health.ts";
import { decoderOf } from "../../serve/live.ts";
import { type Serving, startApi } from "../../serve/start.ts";
import { type FakeKafka, fakeKafka } from "../fakes/kafka.ts";
import { absentStore, features, HOUR_MS, prediction, T0_MS } from "../served/weather.ts";
import { chromiumPath, launch } from "./chromium.ts";

const topics = { "weather-predictions": "predictions", "weather-features": "features" } as const;
type Topic = keyof typeof topics;

/** A value for every column of a feature record that the test does not speak about. */
const blank: Record<string, unknown> = Object.fromEntries(
  (JSON.parse(CONTRACT.schemas.features) as { fields: { name: string; type: unknown }[] }).fields.map((f) => [
    f.name,
    Array.isArray(f.type) ? null : 0,
  ]),
);

const SCHEMA_ID = { "weather-predictions": 11, "weather-features": 12 } as const;
const schema = { 11: CONTRACT.schemas.predictions, 12: CONTRACT.schemas.features };
const encode = {
  "weather-predictions": encoder(schema[11], SCHEMA_ID["weather-predictions"]),
  "weather-features": encoder(schema[12], SCHEMA_ID["weather-features"]),
};

/** The text as it is shown: what is hidden does not count. */
const seen = async (locator: Locator) => (await locator.allInnerTexts()).join(" ");

const seconds = { timeout: 10_000, interval: 50 };

describe.skipIf(chromiumPath === null)("the page (needs a Chromium: infra/local/chromium.sh)", () => {
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let kafka: FakeKafka;
  let serving: Serving;
  let ray: EngineProbe;
  /** Everything the page asked for and every error it had. */
  let asked: string[];
  let errors: string[];

  beforeAll(async () => {
    browser = await launch(chromiumPath!);
  });
  afterAll(() => browser?.close());

  const send = (topic: Topic, station_id: string, record: object) => {
    const value = encode[topic]({
      ...(topic === "weather-features" ? blank : { inputs: [] }),
      ...record,
      station_id,
    });
    return sendOnce(kafka, "test", [{ topic, key: station_id, value }]);
  };

  beforeEach(async () => {
    kafka = fakeKafka(() => Date.now());
    ray = { name: "ray", address: "a", needed: true, up: true, detail: "answers", next: null };
    await kafka.admin.ensure(Object.keys(topics).map((topic) => ({ topic, partitions: 4, config: {} })));
    const running = {
      desired: true,
      state: "running",
      reason: null,
      submission: "s",
      restarts: 0,
      gave_up: false,
      pipeline: "weather",
      schedule: null,
      due_ms: null,
      last: null,
    };
    serving = await startApi({
      pipelines: [
        {
          contract: CONTRACT,
          topics,
          groups: [],
          needed_jobs: ["weather-features", "weather-infer"],
          rule: { trail_ms: 2 * HOUR_MS, silent_ms: 120_000 },
          store: absentStore,
          decode: decoderOf(CONTRACT, { schemaById: async (id) => schema[id as keyof typeof schema] }),
        },
      ],
      version: "0.1.0",
      confidence: "",
      host: "127.0.0.1",
      port: 0,
      setting: "--port",
      guard: { hosts: [], origins: [], keys: null, rate: null, access: null },
      engines: async () => [ray],
      models: async () => [],
      links: [
        { name: "Spark", href: "http://127.0.0.1:8080/" },
        { name: "Ray", href: "http://127.0.0.1:8265/" },
        { name: "MLflow", href: "http://127.0.0.1:5000/" },
      ],
      arm: "champion",
      kafka,
      jobs: async () => [
        { name: "weather-features", engine: "spark", ...running },
        { name: "weather-infer", engine: "ray", ...running },
      ],
      clock: { nowMs: () => Date.now() },
      log: (error) => errors.push(String(error)),
    });
    await send("weather-features", "new-york", features({ temperature_mean: 2.64, wind_speed_mean: 3.2 }));
    await send("weather-predictions", "new-york", prediction());
    await send("weather-predictions", "denver", prediction({ timestamp: T0_MS - 5 * HOUR_MS }));
    await serving.caught_up;
    context = await browser.newContext({ viewport: { width: 1500, height: 900 } });
    page = await context.newPage();
    asked = [];
    errors = [];
    page.on("request", (request) => asked.push(request.url()));
    page.on("pageerror", (error) => errors.push(String(error)));
    page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
    await page.goto(serving.url);
  });
  afterEach(async () => {
    await context?.close();
    await serving?.close();
  });

  const row = (name: string) => page.getByRole("row").filter({ has: page.getByRole("rowheader", { name }) });
  const cell = async (name: string, head: string) => {
    const heads = await page.getByRole("columnheader").allInnerTexts();
    const at = heads.findIndex((text) => text.replaceAll("\n", " ").startsWith(head));
    expect(at, `column "${head}" among ${heads.join(" | ")}`).toBeGreaterThan(0);
    return (
      await seen(
        row(name)
          .getByRole("cell")
          .nth(at - 1),
      )
    ).replaceAll("\n", " ");
  };

  it("shows each station's values and forecasts with units, and loads nothing from elsewhere", async () => {
    expect(await seen(page.getByRole("heading", { level: 1 }))).toBe("Weather forecasts");
    await expect.poll(() => seen(page.getByRole("status")), seconds).toBe("Everything runs");
    expect(await page.getByRole("columnheader", { name: "Temperature °C" }).count()).toBe(1);
    expect(await page.getByRole("columnheader", { name: "In 6 h °C" }).count()).toBe(1);
    expect(await cell("New York", "Temperature")).toBe("2.6");
    expect(await cell("New York", "In 6 h")).toBe("3.1 1.1 to 5.6");
    expect(await cell("New York", "Confidence")).toBe("70 %");
    expect(await cell("New York", "Anomaly")).toBe("none");
    expect(await cell("New York", "Age")).toMatch(/^\d+(\.\d)? s$/);
    expect(await cell("Denver", "Age")).toContain("stale: 5.0 h behind");
    for (const name of ["Spark", "Ray", "MLflow"])
      expect(await page.getByRole("navigation").getByRole("link", { name, exact: true }).count()).toBe(1);
    expect(asked.filter((url) => !url.startsWith(serving.url) && !url.startsWith("data:"))).toEqual([]);
    expect(errors).toEqual([]);
  });

  it("follows what arrives without a reload, and leaves the keyboard where it was", async () => {
    const link = page.getByRole("link", { name: "New York", exact: true });
    await link.focus();
    await send(
      "weather-predictions",
      "new-york",
      prediction({
        timestamp: T0_MS + HOUR_MS,
        anomaly: {
          is_anomaly: true,
          anomaly_score: 1.2,
          anomaly_type: "step",
          evidence: ["rose 13 K in 1 h"],
          method: "rules",
        },
      }),
    );
    await expect.poll(() => cell("New York", "Anomaly"), seconds).toContain("step");
    expect(await row("New York").getByText("rose 13 K in 1 h").count()).toBe(1);
    expect(await page.getByText("1 anomaly").count()).toBe(1);
    expect(await link.evaluate((element) => element === element.ownerDocument.activeElement)).toBe(true);
  });

  it("finds a station by name and shows the forecast of another target", async () => {
    await expect.poll(() => asked.some((url) => url.endsWith("/stations")), seconds).toBe(true);
    await page.getByLabel("Forecast of").selectOption("pressure");
    await expect.poll(() => cell("New York", "In 6 h"), seconds).toBe("1021.4 1019.4 to 1023.9");
    expect(await page.getByRole("columnheader", { name: "In 6 h hPa" }).count()).toBe(1);
    await page.getByLabel("Find a station").fill("denv");
    await expect.poll(() => row("New York").count(), seconds).toBe(0);
    expect(await row("Denver").count()).toBe(1);
  });

  it("a station's name leads to its forecast as the API gives it", async () => {
    await page.getByRole("link", { name: "New York", exact: true }).click();
    expect(JSON.parse(await seen(page.locator("body")))).toMatchObject({ station_id: "new-york" });
  });

  it("says which engine is down and what to do, and when it is back", async () => {
    ray = { ...ray, up: false, detail: "connection refused", next: "Run: millrace up" };
    await expect
      .poll(() => seen(page.getByRole("status")), { ...seconds, timeout: 20_000 })
      .toBe("Something needed is down");
    const item = page.getByRole("listitem").filter({ hasText: "engine ray" });
    expect(await seen(item)).toContain("connection refused. Run: millrace up");
    ray = { ...ray, up: true, detail: "answers" };
    await expect
      .poll(() => seen(page.getByRole("status")), { ...seconds, timeout: 20_000 })
      .toBe("Everything runs");
  });

  it("says that its values are old when the server is gone", async () => {
    await expect.poll(() => asked.some((url) => url.endsWith("/stations")), seconds).toBe(true);
    await serving.close();
    await expect
      .poll(() => seen(page.getByRole("alert")), seconds)
      .toBe("These values are not being refreshed: No answer from the server.");
    expect(await cell("New York", "In 6 h")).toBe("3.1 1.1 to 5.6");
  });

  it("is complete without scripts", async () => {
    const plain = await browser.newContext({ javaScriptEnabled: false });
    const bare = await plain.newPage();
    await bare.goto(serving.url);
    expect(await seen(bare.getByRole("row").filter({ hasText: "New York" }))).toContain("1.1 to 5.6");
    await plain.close();
  });
});
