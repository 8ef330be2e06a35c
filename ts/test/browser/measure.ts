// Measures the page on a line that runs, in a real Chromium:
//   node ts/test/browser/measure.ts http://127.0.0.1:8000 [station] [seconds]
// From the commit of a station's prediction until the page shows it; from the address until the page can be used; how far anything is moved
// while rows arrive. Prints JSON. Page, server and this program share the machine's clock, and its processor.

import type { Browser } from "playwright-core";
import { percentile } from "../../rehearse/bench/latency.ts";
import { utcText } from "../../web/time.ts";
import { chromiumPath, launch } from "./chromium.ts";

const SIZE = { width: 1280, height: 900 };
const WITHIN_MS = 60_000;
const LOADS = 5;
const PAGES = ["/", "/pages/alerts", "/pages/scoreboard", "/pages/system"] as const;
const SHIFT_MS = 8_000;

interface Committed {
  readonly prediction: {
    readonly valid_at: Readonly<Record<string, string>>;
    readonly stages: { readonly commit_time: string };
  };
}

/** When each forecast of the station was committed, by the words that the page has for its last valid time. Ends with the signal. */
async function commits(url: string, station: string, signal: AbortSignal): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  const reply = await fetch(`${url}/stream?kind=prediction&station=${encodeURIComponent(station)}`, {
    signal,
  });
  let text = "";
  const decoder = new TextDecoder();
  void (async () => {
    try {
      for await (const chunk of reply.body!) {
        text += decoder.decode(chunk as Uint8Array, { stream: true });
        const events = text.split("\n\n");
        text = events.pop() ?? "";
        for (const event of events) {
          const data = /^data: (.*)$/m.exec(event)?.[1];
          if (!data || !event.includes("event: prediction")) continue;
          const { prediction } = JSON.parse(data) as Committed;
          // The furthest: a nearer one has the same hour as an earlier forecast further ahead.
          const last = Object.values(prediction.valid_at).at(-1);
          const words = utcText(Date.parse(last!));
          if (!found.has(words)) found.set(words, Date.parse(prediction.stages.commit_time));
        }
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  })();
  return found;
}

/** Milliseconds from the commit of a forecast to the first moment at which its last valid time stands on the station's page. */
async function delays(browser: Browser, url: string, station: string, seconds: number): Promise<number[]> {
  const stop = new AbortController();
  const context = await browser.newContext({ viewport: SIZE, timezoneId: "Etc/UTC" });
  try {
    const page = await context.newPage();
    await page.goto(`${url}/stations/${encodeURIComponent(station)}`);
    await page.locator("main canvas").first().waitFor({ timeout: WITHIN_MS });
    await page.evaluate(() => {
      const seen: Record<string, number> = {};
      Object.assign(globalThis, { seen });
      const look = () => {
        for (const words of document
          .querySelector("main")!
          .textContent.match(/\d\d \w+ \d{4}, \d\d:\d\d UTC/g) ?? [])
          seen[words] ??= Date.now();
      };
      look();
      new MutationObserver(look).observe(document.querySelector("main")!, {
        subtree: true,
        childList: true,
        characterData: true,
      });
    });
    const before = new Set(await page.evaluate(() => Object.keys((globalThis as unknown as Shown).seen)));
    const committed = await commits(url, station, stop.signal);
    await page.waitForTimeout(seconds * 1_000);
    const seen = await page.evaluate(() => (globalThis as unknown as Shown).seen);
    return [...committed].flatMap(([words, commit_ms]) =>
      seen[words] === undefined || before.has(words) ? [] : [seen[words] - commit_ms],
    );
  } finally {
    stop.abort();
    await context.close();
  }
}

interface Shown {
  readonly seen: Readonly<Record<string, number>>;
}

/** Milliseconds from the address to a list of stations that can be clicked. */
async function interactive(browser: Browser, url: string): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < LOADS; i++) {
    const context = await browser.newContext({ viewport: SIZE });
    const page = await context.newPage();
    const begin_ms = performance.now();
    await page.goto(url, { waitUntil: "commit" });
    await page.locator("main a[href*='/stations/']").first().click({ timeout: WITHIN_MS, trial: true });
    times.push(performance.now() - begin_ms);
    await context.close();
  }
  return times;
}

/** How far things are moved while a page is open, by page: the sum of all shifts that nobody asked for. Source: web.dev, CLS. */
async function shifts(browser: Browser, url: string): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const path of PAGES) {
    const context = await browser.newContext({ viewport: SIZE });
    const page = await context.newPage();
    await page.addInitScript(() => {
      Object.assign(globalThis, { shifted: 0 });
      new PerformanceObserver((list) => {
        for (const entry of list.getEntries() as unknown as { value: number; hadRecentInput: boolean }[])
          if (!entry.hadRecentInput) (globalThis as unknown as { shifted: number }).shifted += entry.value;
      }).observe({ type: "layout-shift", buffered: true });
    });
    await page.goto(url + path);
    await page.waitForTimeout(SHIFT_MS);
    found[path] = await page.evaluate(() => (globalThis as unknown as { shifted: number }).shifted);
    await context.close();
  }
  return found;
}

const [url, station = "new-york", seconds = "60"] = process.argv.slice(2);
if (!url || chromiumPath === null)
  throw new Error("expected the address of a server that runs, and a Chromium (infra/local/chromium.sh)");
const browser = await launch(chromiumPath);
try {
  const opened = (await interactive(browser, url)).sort((a, b) => a - b);
  const shown = (await delays(browser, url, station, Number(seconds))).sort((a, b) => a - b);
  const shifted = await shifts(browser, url);
  console.log(
    JSON.stringify({
      interactive_ms: { p50: percentile(opened, 0.5), max: opened.at(-1) },
      delay_ms: { count: shown.length, p50: percentile(shown, 0.5), p99: percentile(shown, 0.99) },
      layout_shift: shifted,
    }),
  );
} finally {
  await browser.close();
}
