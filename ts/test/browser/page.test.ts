// What a person sees: a real Chromium, the real server, real encoded records; only Kafka is in memory.

import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { features, HOUR_MS, prediction, T0_MS } from "../served/weather.ts";
import { chromiumPath, launch } from "./chromium.ts";
import { type Line, startLine } from "./line.ts";

const seconds = { timeout: 10_000, interval: 50 };

describe.skipIf(chromiumPath === null)("the page (needs a Chromium: infra/local/chromium.sh)", () => {
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let line: Line;
  /** Everything the page asked for and every error it had. */
  let asked: string[];
  let errors: string[];

  beforeAll(async () => {
    browser = await launch(chromiumPath!);
  });
  afterAll(() => browser?.close());

  beforeEach(async () => {
    line = await startLine();
    await line.send("features", "new-york", features({ temperature_mean: 2.64, wind_speed_mean: 3.2 }));
    await line.send("predictions", "new-york", prediction());
    await line.send("predictions", "denver", prediction({ timestamp: T0_MS - 5 * HOUR_MS }));
    await line.serving.caught_up;
    context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
    page = await context.newPage();
    asked = [];
    errors = [];
    page.on("request", (request) => asked.push(request.url()));
    page.on("pageerror", (error) => errors.push(String(error)));
    page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
    await page.goto(line.serving.url);
  });
  afterEach(async () => {
    await context?.close();
    await line?.close();
  });

  it("shows the stations, and loads nothing from elsewhere", async () => {
    await expect.poll(() => page.getByRole("link", { name: "New York" }).count(), seconds).toBe(1);
    await expect.poll(() => page.getByRole("status").allInnerTexts(), seconds).toEqual(["Live, replay"]);
    for (const name of ["Spark", "Ray", "MLflow"])
      expect(await page.getByRole("navigation").getByRole("link", { name, exact: true }).count()).toBe(1);
    expect(asked.filter((url) => !url.startsWith(line.serving.url) && !url.startsWith("data:"))).toEqual([]);
    expect(errors).toEqual([]);
  });
});
