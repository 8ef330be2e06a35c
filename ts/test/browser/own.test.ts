// The page that a domain brings, as a person sees it: the city system's, over the real server and files in memory, for everybody, at every
// width, in both lights; it asks again by itself, and says so where nothing newer can be had.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import type axe from "axe-core";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { LinesReader } from "../../lines/reader.ts";
import { pipelineOf } from "../../pipelines/index.ts";
import { domainOf } from "../../serve/domain.ts";
import { type Serving, startApi } from "../../serve/start.ts";
import type { FakeFiles } from "../fakes/files.ts";
import { fakeKafka } from "../fakes/kafka.ts";
import { cityFiles, publish } from "../served/city.ts";
import { absentStore, HOUR_MS, SERVER } from "../served/weather.ts";
import { chromiumPath, launch } from "./chromium.ts";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const seconds = { timeout: 10_000, interval: 50 };
const root = join(import.meta.dirname, "..", "..", "..");

describe.skipIf(chromiumPath === null)(
  "a domain's own page (needs a Chromium: infra/local/chromium.sh)",
  () => {
    let browser: Browser;
    let files: FakeFiles;
    let serving: Serving;
    let context: BrowserContext;
    let page: Page;
    const asked: string[] = [];
    const errors: string[] = [];

    beforeAll(async () => {
      browser = await launch(chromiumPath!);
      files = await cityFiles(Date.now());
      await publish(files, Date.now());
      const kafka = fakeKafka(() => Date.now());
      const { pipeline, contract } = pipelineOf("city");
      serving = await startApi({
        ...SERVER,
        pipelines: [
          {
            contract,
            topics: {},
            groups: [],
            needed_jobs: [],
            rule: { trail_ms: 2 * HOUR_MS, silent_ms: 120_000 },
            domain: domainOf({ pipeline, folder: null }),
            lines: new LinesReader(files, "weather", { nowMs: () => Date.now() }),
            store: absentStore,
            decode: () => Promise.reject(new Error("nothing is read")),
          },
        ],
        port: 0,
        engines: async () => [],
        links: [],
        web: join(root, "target", "web"),
        kafka,
        jobs: async () => [],
        clock: { nowMs: () => Date.now() },
      });
      context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
      page = await context.newPage();
      page.on("request", (request) => asked.push(request.url()));
      page.on("pageerror", (error) => errors.push(String(error)));
      page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
    }, 60_000);
    afterAll(async () => {
      await browser?.close();
      await serving?.close();
    });

    const shown = async () => (await page.locator("main").allInnerTexts()).join(" ").replaceAll(/\s+/g, " ");

    it("shows tables and charts, how old they are and that values are made up; nothing comes from elsewhere", async () => {
      await page.goto(serving.url);
      await expect.poll(shown, seconds).toContain("Newest records");
      const words = await shown();
      for (const said of ["London", "−5.5", "71 %", "Simulated:", "computed 9"])
        expect(words).toContain(said);
      await expect.poll(() => page.locator(".plot canvas").count(), seconds).toBe(2);
      expect(await page.locator(".bars .stretch").first().boundingBox()).toMatchObject({
        height: expect.any(Number),
      });
      expect(asked.filter((url) => !url.startsWith(serving.url))).toEqual([]);
      expect(errors).toEqual([]);
    });

    it("is for everybody, at every width, in both lights", { timeout: 60_000 }, async () => {
      await page.evaluate(AXE);
      for (const width of [1280, 390])
        for (const colorScheme of ["light", "dark"] as const) {
          await page.setViewportSize({ width, height: 900 });
          await page.emulateMedia({ colorScheme });
          const { violations } = await page.evaluate(() =>
            (globalThis as unknown as { axe: typeof axe }).axe.run(),
          );
          expect([width, colorScheme, violations.map(({ id, nodes }) => [id, nodes[0]?.html])]).toEqual([
            width,
            colorScheme,
            [],
          ]);
          const wide = await page.evaluate(() => document.documentElement.scrollWidth);
          expect(wide).toBeLessThanOrEqual(width);
        }
    });

    it("asks again by itself, keeps what it has while nothing newer can be had, and says so", {
      timeout: 60_000,
    }, async () => {
      await page.clock.install();
      await page.goto(serving.url);
      await expect.poll(shown, seconds).toContain("Newest records");
      files.away = true;
      await page.clock.fastForward(31_000);
      await expect.poll(shown, seconds).toContain("What is shown stands still");
      expect(await shown()).toContain("London");
      files.away = false;
      await page.clock.fastForward(31_000);
      await expect.poll(shown, seconds).not.toContain("What is shown stands still");
    });
  },
);
