import { expect, it } from "vitest";
import { openBrowser } from "./browser.ts";

const URL_ = "http://127.0.0.1:8000";

it("hands the address on", async () => expect(await openBrowser(URL_, "true")).toBeNull());

it("says why nothing was opened, and what to open", async () => {
  expect(await openBrowser(URL_, "false")).toBe(
    "No browser was opened (false ended with 1): open http://127.0.0.1:8000",
  );
  expect(await openBrowser(URL_, "no-such-opener")).toBe(
    "No browser was opened (no-such-opener is not here): open http://127.0.0.1:8000",
  );
});
