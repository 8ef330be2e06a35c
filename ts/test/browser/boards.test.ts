// Every page of the dashboard as axe sees it, light and dark, on a phone and on a laptop; and what a person reads on alerts, scoreboard
// and system. A real Chromium, the real server over a busy line, a real PostgreSQL that a sink has filled.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type axe from "axe-core";
import type { Browser, BrowserContext, Locator, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { startPostgres, type TestDatabase } from "../postgres.ts";
import { HOUR_MS, prediction, T0_MS } from "../served/weather.ts";
import { startBusyLine } from "./busy.ts";
import { chromiumPath, launch } from "./chromium.ts";
import { type Line, startLine } from "./line.ts";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const seconds = { timeout: 10_000, interval: 50 };
const WIDTHS = [1280, 390] as const;
const SCHEMES = ["light", "dark"] as const;

/** Words that are on each page once it shows what it has. */
const PAGES: readonly (readonly [path: string, words: string])[] = [
  ["/", "Albuquerque"],
  [`/?at=${new Date(T0_MS).toISOString()}&by=health`, "Albuquerque"],
  ["/stations/albuquerque", "Albuquerque"],
  ["/pages/alerts", "84.0 degC"],
  ["/pages/scoreboard", "Best and worst stations"],
  ["/pages/system", "CoarseGrainedExecutorBackend"],
  ["/meters/", "1 not heard of"],
  ["/meters/pages/scoreboard", "met its truth"],
];

const textOf = async (locator: Locator) => (await locator.allInnerTexts()).join(" ").replaceAll(/\s+/g, " ");

describe.skipIf(chromiumPath === null)("the boards (needs a Chromium: infra/local/chromium.sh)", () => {
  let browser: Browser;
  let database: TestDatabase;
  let busy: Line;
  let context: BrowserContext;
  let page: Page;
  let asked: string[];
  let errors: string[];
  let own: Line | null = null;

  beforeAll(async () => {
    [browser, database] = await Promise.all([launch(chromiumPath!), startPostgres()]);
    busy = await startBusyLine({ database: database.settings, hours: 26 });
    await busy.records.fill();
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    await busy?.close();
    await database?.remove();
  });
  afterEach(async () => {
    await context?.close();
    await own?.close();
    own = null;
  });

  async function open(line: Line, path: string): Promise<void> {
    context = await browser.newContext({
      viewport: { width: WIDTHS[0], height: 900 },
      timezoneId: "America/New_York",
    });
    page = await context.newPage();
    [asked, errors] = [[], []];
    page.on("request", (request) => asked.push(request.url()));
    page.on("pageerror", (error) => errors.push(String(error)));
    page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
    await page.goto(line.serving.url + path);
  }

  it.each(PAGES)(
    "%s is for everybody, at every width, in both lights",
    { timeout: 60_000 },
    async (path, words) => {
      await open(busy, path);
      await expect.poll(() => textOf(page.locator("main")), seconds).toContain(words);
      await page.evaluate(AXE);
      for (const width of WIDTHS)
        for (const colorScheme of SCHEMES) {
          await page.setViewportSize({ width, height: 900 });
          await page.emulateMedia({ colorScheme });
          const violations = await page.evaluate(async () => {
            const { axe: here } = window as unknown as { axe: typeof axe };
            const found = await here.run(document, { resultTypes: ["violations"] });
            return found.violations.map(
              ({ id, help, nodes }) =>
                `${id}: ${help}: ${nodes.map(({ html }) => html.slice(0, 160)).join(" | ")}`,
            );
          });
          expect(violations, `${width} ${colorScheme}`).toEqual([]);
          expect(
            await page.evaluate(() => document.documentElement.scrollWidth),
            `${width}`,
          ).toBeLessThanOrEqual(width);
        }
      expect(asked.filter((url) => !url.startsWith(busy.serving.url) && !url.startsWith("data:"))).toEqual(
        [],
      );
      // Meters have no store here: that it is away is an answer, which a browser writes down.
      expect(errors.filter((text) => !(path.startsWith("/meters") && text.includes("503")))).toEqual([]);
    },
  );

  it("axe would find a fault", async () => {
    await open(busy, "/pages/alerts");
    await page.evaluate(AXE);
    const found = await page.evaluate(async () => {
      document.body.insertAdjacentHTML("beforeend", '<main><img src="/web/none.png"></main>');
      return (await (window as unknown as { axe: typeof axe }).axe.run(document)).violations.map(
        ({ id }) => id,
      );
    });
    expect(found).toContain("image-alt");
  });

  describe("alerts", () => {
    it("brings a planted range fault by itself, counts it, says what to do, and lets it go", async () => {
      own = await startLine({ meters: true });
      await own.send("predictions", "new-york", prediction());
      await own.serving.caught_up;
      await open(own, "/pages/alerts");
      await expect.poll(() => textOf(page.locator("main")), seconds).toContain("Nothing is wrong");
      await own.send("predictions", "new-york", {
        ...prediction({ timestamp: T0_MS + 60_000 }),
        anomaly: {
          ...{ is_anomaly: true, anomaly_score: 1, anomaly_type: "range", method: "rules" },
          evidence: ["temperature: 84.0 degC is beyond 60 degC in 5 of 5 observations"],
        },
      });
      const alert = page.getByRole("listitem").filter({ hasText: "84.0 degC is beyond 60 degC" });
      await expect.poll(() => textOf(alert), seconds).toMatch(/Warning New York ?Anomaly.*What to do/);
      const badge = page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: /Alerts/ });
      expect(await textOf(badge)).toBe("Alerts 1");
      await alert.getByRole("link", { name: "New York" }).click();
      await expect.poll(() => page.url(), seconds).toContain("/stations/new-york");
      await page.goBack();
      await own.send("predictions", "new-york", prediction({ timestamp: T0_MS + 120_000 }));
      await expect.poll(() => textOf(page.locator("main")), seconds).toContain("Nothing is wrong");
      expect(asked.filter((url) => new URL(url).pathname === "/alerts")).toEqual([]);
    });

    it("shows machinery too, worst tone in the number, and either alone", async () => {
      own = await startLine();
      await own.send("predictions", "new-york", prediction());
      await own.send("predictions", "denver", prediction({ timestamp: T0_MS - 5 * HOUR_MS }));
      await own.serving.caught_up;
      Object.assign(own.ray, { up: false, detail: "connection refused", next: "Run: millrace up" });
      await open(own, "/pages/alerts");
      await expect
        .poll(() => textOf(page.getByRole("listitem").filter({ hasText: "Critical" })), seconds)
        .toMatch(/connection refused.*Run millrace up/);
      await page.getByRole("radio", { name: "Stations" }).check({ force: true });
      const main = page.locator("main");
      await expect.poll(() => textOf(main), seconds).not.toContain("connection refused");
      expect(await textOf(main)).toContain("300 min of event time behind");
    });
  });

  describe("scoreboard", () => {
    it("puts skill beside baselines and coverage beside its promise, by target, horizon and station", async () => {
      await open(busy, "/pages/scoreboard");
      const table = page.getByRole("table", { name: "Temperature, by how far ahead" });
      const row = table.getByRole("row", { name: /^12 h/ });
      await expect
        .poll(() => textOf(row), seconds)
        .toMatch(/1\.\d °C \d+ % less \d+ % less \d\d % .*\d\d % .*288$/);
      const best = page.getByRole("table", { name: /^Best: Temperature 6 h ahead/ });
      expect(await best.getByRole("link").count()).toBe(5);
      await page.getByRole("radio", { name: "Last week" }).check({ force: true });
      await expect.poll(() => textOf(row), seconds).toMatch(/312$/);
      expect(page.url()).toContain("window=7d");
    });

    it("says when the first score comes", async () => {
      own = await startLine();
      await own.send("predictions", "new-york", prediction());
      await own.serving.caught_up;
      await open(own, "/pages/scoreboard");
      await expect
        .poll(() => textOf(page.locator("main")), seconds)
        .toContain("It comes 6.0 h of event time after the first forecast");
    });
  });

  describe("system", () => {
    it("shows the line as it runs, and what is unknown as such", async () => {
      await open(busy, "/pages/system");
      const row = (table: string, name: RegExp) =>
        textOf(page.getByRole("table", { name: table }).getByRole("row", { name }));
      await expect
        .poll(() => row("Processes", /^mlflow/), seconds)
        .toMatch(/^mlflow unknown unknown unknown/);
      expect(await row("Processes", /^weather-features/)).toContain("0.62 1.18 GB");
      expect(await row("Processes", /^All that is known/)).toContain("1.35 3.04 GB");
      expect(await row("Latency by stage", /^From first to last/)).toMatch(/\d(\.\d+)? m?s/);
      expect(await row("Spark: newest batches", /^weather-features/)).toMatch(
        /418 1,032 640 ms add batch 480 ms/,
      );
      expect(await row("Ray: actors", /^weather-infer/)).toMatch(/4 1 14 ms 61 ms 210 ms/);
      expect(await row("Jobs", /^weather-features/)).toContain("Running");
      for (const [name, href] of [
        ["Spark", ":8080/"],
        ["Ray", ":8265/"],
        ["MLflow", ":5000/"],
      ] as const)
        expect(
          await page.getByRole("main").getByRole("link", { name, exact: true }).getAttribute("href"),
        ).toContain(href);
      // What the job says next comes by itself: nothing is asked again.
      await busy.report("weather-features", { batch_id: 419, batch_rows: 7, batch_ms: 65, lag: 3 });
      await expect
        .poll(() => row("Spark: newest batches", /^weather-features/), seconds)
        .toContain("419 7 65 ms");
      expect(asked.filter((url) => new URL(url).pathname === "/system")).toHaveLength(1);
      expect(errors).toEqual([]);
    });
  });
});
