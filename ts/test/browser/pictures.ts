// Takes the README's pictures of a line that runs: the map, a station, the system, in light and in dark.
//   node ts/test/browser/pictures.ts http://127.0.0.1:8000 docs/pictures [station]
// Waits until each page shows what it has; a page that does not is an error, and its picture is not taken.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { chromiumPath, launch } from "./chromium.ts";

const SIZE = { width: 1280, height: 800 };
/** Longest wait for a page to show what it has: a replay's first forecast needs a minute. */
const WITHIN_MS = 90_000;
/** Tiles of atlases, fonts and the first curve have settled by then. */
const SETTLE_MS = 2_500;

interface Picture {
  readonly name: string;
  readonly path: string;
  /** There once the page shows what it has. */
  shown(page: Page): Promise<unknown>;
}

const picturesOf = (station: string): readonly Picture[] => [
  {
    name: "map",
    path: "/",
    shown: (page) => page.locator("main svg .station").first().waitFor({ timeout: WITHIN_MS }),
  },
  {
    name: "station",
    path: `/stations/${encodeURIComponent(station)}`,
    shown: (page) => page.locator("main canvas").first().waitFor({ timeout: WITHIN_MS }),
  },
  {
    name: "system",
    path: "/pages/system",
    shown: (page) => page.getByRole("table", { name: "Latency by stage" }).waitFor({ timeout: WITHIN_MS }),
  },
  {
    name: "scoreboard",
    path: "/pages/scoreboard",
    shown: (page) => page.getByRole("main").getByRole("table").first().waitFor({ timeout: WITHIN_MS }),
  },
  {
    name: "alerts",
    path: "/pages/alerts",
    shown: (page) => page.getByRole("main").getByRole("heading").nth(1).waitFor({ timeout: WITHIN_MS }),
  },
];

/** Returns the pictures that were not taken. */
async function take(url: string, folder: string, station: string): Promise<string[]> {
  if (chromiumPath === null)
    throw new Error("Cannot take pictures: expected a Chromium, found none; run infra/local/chromium.sh");
  mkdirSync(folder, { recursive: true });
  const browser = await launch(chromiumPath);
  const missing: string[] = [];
  try {
    for (const { name, path, shown } of picturesOf(station))
      for (const colorScheme of ["light", "dark"] as const) {
        const context = await browser.newContext({ viewport: SIZE, colorScheme, timezoneId: "UTC" });
        const page = await context.newPage();
        const file = join(folder, `${name}${colorScheme === "dark" ? "-dark" : ""}.png`);
        try {
          await page.goto(new URL(path, url).href);
          await shown(page);
          await page.waitForTimeout(SETTLE_MS);
          await page.screenshot({ path: file });
          console.log(file);
        } catch (error) {
          missing.push(file);
          console.error(
            `Cannot take "${file}": ${error instanceof Error ? error.message.split("\n")[0] : error}`,
          );
        } finally {
          await context.close();
        }
      }
  } finally {
    await browser.close();
  }
  return missing;
}

const [url, folder, station = "new-york"] = process.argv.slice(2);
if (url === undefined || folder === undefined) {
  console.error("usage: node ts/test/browser/pictures.ts http://127.0.0.1:8000 docs/pictures [station]");
  process.exitCode = 2;
} else process.exitCode = (await take(url, folder, station)).length === 0 ? 0 : 1;
