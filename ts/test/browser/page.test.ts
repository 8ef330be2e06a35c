// What a person sees: a real Chromium, the real server, real encoded records; only Kafka is in memory, and for what lies in the past a
// real PostgreSQL that a sink fills.

import type { Browser, BrowserContext, Locator, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startPostgres, type TestDatabase } from "../postgres.ts";
import { features, HOUR_MS, prediction, T0_MS, verification } from "../served/weather.ts";
import { chromiumPath, launch } from "./chromium.ts";
import { type Line, type LineOptions, startLine } from "./line.ts";

/** The text as it is shown: what is hidden does not count. */
const textOf = async (locator: Locator) => (await locator.allInnerTexts()).join(" ").replaceAll(/\s+/g, " ");

const seconds = { timeout: 10_000, interval: 50 };

/** Kilobytes of everything that a first look loads, compressed as they travel: the floor, beyond which nothing may grow. */
const LOAD_BYTES_MAX = 250_000;

/** A number that gets another digit begins further left: so much is no movement. */
const MOVED_MAX = 0.001;

const medians = (value: number) => {
  const { predictions, quantiles } = prediction();
  return {
    predictions: { ...predictions, temperature_6h: value },
    quantiles: {
      ...quantiles,
      temperature_6h: { ...quantiles["temperature_6h"], q05: value - 2, q95: value + 2 },
    },
  };
};
const flagged = {
  anomaly: {
    ...{ is_anomaly: true, anomaly_score: 1.2, anomaly_type: "step" },
    ...{ evidence: ["rose 13 K in 1 h"], method: "rules" },
  },
};

describe.skipIf(chromiumPath === null)("the page (needs a Chromium: infra/local/chromium.sh)", () => {
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let line: Line;
  /** Everything the page asked for and every error it had. */
  let asked: string[];
  let errors: string[];
  /** Bytes that came, by address. */
  let loaded: Map<string, number>;

  beforeAll(async () => {
    browser = await launch(chromiumPath!);
  });
  afterAll(() => browser?.close());
  afterEach(async () => {
    await context?.close();
    await line?.close();
  });

  /** Serves some records and looks at them. What the page hears of the stream is written down, and how far anything moved. */
  async function open(path: string, options: LineOptions = {}): Promise<void> {
    line = await startLine(options);
    await line.send("features", "new-york", features({ temperature_mean: 2.64, wind_speed_mean: 3.2 }));
    await line.send("predictions", "new-york", prediction());
    await line.send(
      "features",
      "denver",
      features({ window_end: T0_MS - 5 * HOUR_MS, temperature_mean: -4 }),
    );
    await line.send("predictions", "denver", prediction({ timestamp: T0_MS - 5 * HOUR_MS }));
    await line.serving.caught_up;
    await look(path);
  }

  async function look(path: string): Promise<void> {
    context = await browser.newContext({
      viewport: { width: 1280, height: 800 },
      timezoneId: "America/New_York",
    });
    page = await context.newPage();
    asked = [];
    errors = [];
    loaded = new Map();
    page.on("request", (request) => asked.push(request.url()));
    page.on("pageerror", (error) => errors.push(String(error)));
    page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
    const devtools = await context.newCDPSession(page);
    const addresses = new Map<string, string>();
    devtools.on("Network.requestWillBeSent", ({ requestId, request }) =>
      addresses.set(requestId, request.url),
    );
    devtools.on("Network.loadingFinished", ({ requestId, encodedDataLength }) =>
      loaded.set(addresses.get(requestId) ?? requestId, encodedDataLength),
    );
    await devtools.send("Network.enable");
    await page.addInitScript(() => {
      const kept = window as unknown as { ids: string[]; moved: number };
      kept.ids = [];
      kept.moved = 0;
      new PerformanceObserver((list) => {
        for (const entry of list.getEntries())
          if (!(entry as unknown as { hadRecentInput: boolean }).hadRecentInput)
            kept.moved += (entry as unknown as { value: number }).value;
      }).observe({ type: "layout-shift", buffered: true });
      window.EventSource = class extends EventSource {
        constructor(url: string | URL) {
          super(url);
          this.addEventListener("prediction", (event) =>
            kept.ids.push((JSON.parse(event.data) as { prediction: { id: string } }).prediction.id),
          );
        }
      };
    });
    await page.goto(line.serving.url + path);
  }

  const row = (name: string) => page.getByRole("row").filter({ has: page.getByRole("rowheader", { name }) });
  const seen = (name: string) => textOf(row(name));
  const ids = () => page.evaluate(() => (window as unknown as { ids: string[] }).ids);
  const moved = () => page.evaluate(() => (window as unknown as { moved: number }).moved);
  const status = () => textOf(page.getByRole("status"));

  describe("of all stations", () => {
    it("shows them on the map and as a list, loads little and nothing from elsewhere, and nothing moves", async () => {
      await open("/");
      await expect.poll(() => seen("New York"), seconds).toBe("New York Reports 2.6 3.1 1.1 to 5.6");
      expect(await seen("Denver")).toBe("Denver Stale: 5.0 h behind −4.0 3.1 1.1 to 5.6");
      expect(await seen("Boston")).toContain("Not heard of");
      // A mark for each that reports, and the numbers beside them; the ground comes as a file of its own.
      await expect.poll(() => page.locator(".map .station").count(), seconds).toBe(2);
      await expect.poll(() => page.locator(".map .land").count(), seconds).toBe(1);
      expect((await page.locator(".map .number").allTextContents()).sort()).toEqual(["2.6", "−4.0"]);
      expect(await page.locator(".map .mark.stale").count()).toBe(1);
      await expect.poll(status, seconds).toBe("Live, replay");
      expect(await page.title()).toBe("Stations · Weather · Millrace");
      for (const name of ["Spark", "Ray", "MLflow"])
        expect(await page.getByRole("navigation").getByRole("link", { name, exact: true }).count()).toBe(1);
      expect(asked.filter((url) => !url.startsWith(line.serving.url) && !url.startsWith("data:"))).toEqual(
        [],
      );
      expect(errors).toEqual([]);
      expect(await moved()).toBeLessThan(MOVED_MAX);
      const bytes = [...loaded.values()].reduce((a, b) => a + b, 0);
      expect(asked.some((url) => url.includes("states-10m"))).toBe(true);
      expect(bytes).toBeGreaterThan(30_000);
      expect(bytes, JSON.stringify([...loaded])).toBeLessThan(LOAD_BYTES_MAX);
    });

    it("follows what comes without asking again, and leaves the keyboard where it was", async () => {
      await open("/");
      await expect.poll(status, seconds).toBe("Live, replay");
      const link = page.getByRole("link", { name: "New York", exact: true });
      await link.focus();
      const before = asked.length;
      await line.send(
        "features",
        "new-york",
        features({ window_end: T0_MS + HOUR_MS, temperature_mean: 7.04 }),
      );
      await line.send(
        "predictions",
        "new-york",
        prediction({ timestamp: T0_MS + HOUR_MS, ...medians(8.24), ...flagged }),
      );
      await expect.poll(() => seen("New York"), seconds).toBe("New York Anomaly: step 7.0 8.2 6.2 to 10.2");
      expect(await page.locator(".map .mark.anomaly").count()).toBe(1);
      expect(await page.getByText("1 with an anomaly").count()).toBe(1);
      expect(await link.evaluate((element) => element === element.ownerDocument.activeElement)).toBe(true);
      expect(asked.slice(before)).toEqual([]);
      expect(await moved()).toBeLessThan(MOVED_MAX);
    });

    it("says that the stream is cut, recovers by itself, and has missed nothing", async () => {
      await open("/");
      await expect.poll(status, seconds).toBe("Live, replay");
      const send = async (revision: number) => {
        const id = `${String(revision).padStart(4, "0")}${"0".repeat(28)}`;
        await line.send(
          "predictions",
          "new-york",
          prediction({ id, revision, timestamp: T0_MS + HOUR_MS, ...medians(revision / 10) }),
        );
        return id;
      };
      const sent = [await send(101), await send(102)];
      await expect.poll(ids, seconds).toEqual(sent);
      await line.serving.close();
      await expect
        .poll(() => page.getByRole("alert").allInnerTexts(), seconds)
        .toEqual([
          "The live stream is cut: what is shown stands still until it is back. It is tried again, and nothing will be missed.",
        ]);
      expect(await status()).toContain("Cut off");
      expect(await seen("New York")).toContain("10.2");
      for (let revision = 103; revision < 110; revision++) sent.push(await send(revision));
      const serving = await line.again();
      await serving.caught_up;
      await expect.poll(ids, { ...seconds, timeout: 30_000 }).toEqual(sent);
      await expect.poll(() => page.getByRole("alert").count(), seconds).toBe(0);
      await expect.poll(() => seen("New York"), seconds).toContain("10.9");
      sent.push(await send(110));
      await expect.poll(ids, seconds).toEqual(sent);
    });

    it("says that something needed is down, and when it is back", async () => {
      await open("/");
      await expect.poll(() => textOf(page.locator(".now")), seconds).toContain("Everything runs");
      Object.assign(line.ray, { up: false, detail: "connection refused", next: "Run: millrace up" });
      await expect.poll(() => textOf(page.locator(".now")), seconds).toContain("Something needed is down");
      Object.assign(line.ray, { up: true, detail: "answers" });
      await expect.poll(() => textOf(page.locator(".now")), seconds).toContain("Everything runs");
    });

    it("keeps what is looked at in the address, finds and sorts", async () => {
      await open("/?field=humidity&by=forecast&ahead=12h");
      await expect.poll(() => seen("New York"), seconds).toContain("58 61");
      expect(await textOf(page.getByRole("columnheader", { name: "In 12 h" }))).toContain("%");
      await page.getByLabel("Field").selectOption("pressure");
      await expect.poll(() => seen("New York"), seconds).toContain("1019.3 1021.4 1019.4 to 1023.9");
      expect(new URL(page.url()).search).toBe("?field=pressure&by=forecast&ahead=12h");
      await page.getByText("Health", { exact: true }).click();
      expect(new URL(page.url()).searchParams.get("by")).toBe("health");
      await page.getByRole("button", { name: "Pressure" }).click();
      expect(await textOf(page.getByRole("rowheader").first())).toMatch(/Denver|New York/);
      await page.getByLabel("Find").fill("denv");
      await expect.poll(() => page.getByRole("rowheader").count(), seconds).toBe(1);
      await page.getByRole("link", { name: "Denver" }).click();
      await expect.poll(() => new URL(page.url()).pathname, seconds).toBe("/stations/denver");
      await page.goBack();
      await expect.poll(() => page.locator(".map").count(), seconds).toBe(1);
      expect(errors).toEqual([]);
    });
  });

  describe("of a pipeline without places", () => {
    it("is a list, below the pipeline's name, and one can switch to it", async () => {
      await open("/", { meters: true });
      await page.getByRole("link", { name: "Meters", exact: true }).click();
      await expect.poll(() => seen("Meter 1"), seconds).toContain("Not heard of");
      expect(new URL(page.url()).pathname).toBe("/meters/");
      expect(await page.locator(".map").count()).toBe(0);
      expect(await textOf(page.getByRole("heading", { level: 2 }))).toBe("Meters");
      await page.getByRole("link", { name: "Meter 1" }).click();
      await expect.poll(() => new URL(page.url()).pathname, seconds).toBe("/meters/stations/m-1");
      await expect.poll(() => textOf(page.locator("main")), seconds).toContain("has not reported yet");
      expect(errors).toEqual([]);
    });
  });

  describe("of one station", () => {
    let database: TestDatabase;
    beforeAll(async () => {
      database = await startPostgres();
    }, 120_000);
    afterAll(() => database?.remove());

    beforeEach(async () => {
      line = await startLine({ database: database.settings });
      const { records } = line;
      const hours = Array.from({ length: 49 }, (_, i) => T0_MS - (48 - i) * HOUR_MS);
      await records.send(
        hours.flatMap((end_ms, i) => [
          records.record("features", "new-york", features({ window_end: end_ms, temperature_mean: i / 10 })),
          records.record(
            "predictions",
            "new-york",
            prediction({
              ...{ id: String(i).padStart(32, "0"), timestamp: end_ms, ...medians(i / 10) },
              ...(i === 40 ? flagged : {}),
            }),
          ),
          records.record(
            "verifications",
            "new-york",
            verification({ id: String(i).padStart(32, "f"), valid: end_ms, truth: i / 10 }),
          ),
        ]),
      );
      await records.fill();
      await line.serving.caught_up;
    });

    it("shows what is forecast and how sure that is, what came, what was odd, and how it is known", async () => {
      await look("/stations/new-york");
      await expect.poll(() => page.locator(".u-wrap canvas").count(), seconds).toBe(2);
      const main = () => textOf(page.locator("main"));
      await expect.poll(main, seconds).toContain("Model version 3");
      await expect.poll(main, seconds).toContain("rose 13 K in 1 h");
      const text = await main();
      expect(text).toContain("In 6 h 04 Dec 2016, 19:05 UTC 04 Dec, 14:05");
      expect(text).toContain("90 % between 2.8 to 6.8");
      expect(text).toContain("90 % band held 100 % of 49");
      await page.getByText("As a table").first().click();
      const table = page.locator("details[open] table");
      await expect.poll(() => table.getByRole("row").count(), seconds).toBeGreaterThan(40);
      expect(await textOf(table.getByRole("row").nth(4))).toContain("04 Dec 2016, 13:05 UTC");
      await page.getByText("12 h before", { exact: true }).first().click();
      expect(errors).toEqual([]);
      expect(asked.filter((url) => !url.startsWith(line.serving.url) && !url.startsWith("data:"))).toEqual(
        [],
      );
    });

    it("moves on with the stream, and not while a moment of the past is shown", async () => {
      await look("/stations/new-york");
      await expect.poll(() => page.locator(".u-wrap canvas").count(), seconds).toBe(2);
      const forecast = page.locator(".figure-card").filter({ hasText: "In 6 h" });
      await expect.poll(() => textOf(forecast), seconds).toContain("4.8");
      await line.send(
        "predictions",
        "new-york",
        prediction({ timestamp: T0_MS + HOUR_MS, ...medians(9.94) }),
      );
      await expect.poll(() => textOf(forecast), seconds).toContain("9.9");
      const slider = page.getByRole("slider", { name: "Time" });
      await slider.focus();
      for (let i = 0; i < 3; i++) await page.keyboard.press("ArrowLeft");
      await expect.poll(() => new URL(page.url()).searchParams.get("at"), seconds).not.toBeNull();
      const at_ms = Date.parse(new URL(page.url()).searchParams.get("at")!);
      const then = ((at_ms - T0_MS) / HOUR_MS + 48) / 10;
      await expect.poll(() => textOf(forecast), seconds).toContain((Math.floor(then * 10) / 10).toFixed(1));
      expect(await status()).toContain("As it was");
      await line.send(
        "predictions",
        "new-york",
        prediction({ timestamp: T0_MS + 2 * HOUR_MS, ...medians(-5) }),
      );
      await page.getByRole("button", { name: "Back to now" }).click();
      await expect.poll(() => textOf(forecast), seconds).toContain("−5.0");
      expect(errors).toEqual([]);
    });

    it("and all of them at a moment of the past", async () => {
      const at = new Date(T0_MS - 10 * HOUR_MS).toISOString();
      await look(`/?at=${at}`);
      await expect.poll(() => seen("New York"), seconds).toBe("New York Reports 3.8 3.8 1.8 to 5.8");
      await page.getByRole("link", { name: "New York", exact: true }).click();
      await expect.poll(() => page.url(), seconds).toContain(`/stations/new-york?at=`);
      await page.goBack();
      await page.getByRole("button", { name: "Back to now" }).click();
      await expect.poll(() => seen("New York"), seconds).toBe("New York Reports 4.8 4.8 2.8 to 6.8");
      expect(errors).toEqual([]);
    });
  });

  it("says something without scripts", async () => {
    await open("/");
    const plain = await browser.newContext({ javaScriptEnabled: false });
    const bare = await plain.newPage();
    await bare.goto(line.serving.url);
    expect(await textOf(bare.locator("noscript"))).toContain("This page needs JavaScript.");
    await plain.close();
  });
});
