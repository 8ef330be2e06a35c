// Finds the machine's Chromium and starts it for a test, without anything that calls home. Downloads nothing.

import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Path of a Chromium, or null. `MILLRACE_CHROMIUM` names one elsewhere. */
export const chromiumPath: string | null =
  process.env["MILLRACE_CHROMIUM"] ?? PLACES.find((path) => existsSync(path)) ?? null;

export function launch(executablePath: string): Promise<Browser> {
  return chromium.launch({
    executablePath,
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}
