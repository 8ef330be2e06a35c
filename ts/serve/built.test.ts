import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { assetResponse, builtPage } from "./built.ts";

const folder = mkdtempSync(join(tmpdir(), "millrace-web-"));
const script = `export const a = ${JSON.stringify("x".repeat(5_000))};`;
beforeAll(() => {
  mkdirSync(join(folder, "assets"));
  writeFileSync(join(folder, "index.html"), "<!doctype html><title>Millrace</title>");
  writeFileSync(join(folder, "page.css"), "body {}");
  writeFileSync(join(folder, "assets", "index-Ab_3x-Zq.js"), script);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const ask = (headers: Record<string, string> = {}) => new Request("http://127.0.0.1/", { headers });

describe("builtPage()", () => {
  it("serves what was built, and nothing beside it", () => {
    const web = builtPage(folder);
    expect(web.shell.body.toString()).toContain("<title>Millrace</title>");
    expect(web.asset("/web/page.css")).toMatchObject({ type: "text/css; charset=utf-8", lasting: false });
    expect(web.asset("/web/assets/index-Ab_3x-Zq.js")).toMatchObject({
      type: "text/javascript; charset=utf-8",
      lasting: true,
    });
    for (const path of ["/web/index.html", "/web/../built.ts", "/web/none.js", "/page.css", "/web/"])
      expect(web.asset(path)).toBeNull();
  });

  it("says what to do where nothing was built, and only once it is asked", () => {
    const web = builtPage(join(folder, "none"));
    expect(() => web.shell).toThrow(
      /expected it to be built in ".*none", got no such folder; run "make setup"/,
    );
    expect(() => builtPage(join(folder, "assets")).shell).toThrow(/expected "index.html"/);
  });
});

describe("assetResponse()", () => {
  it("is smaller for whoever takes that", async () => {
    const asset = builtPage(folder).asset("/web/assets/index-Ab_3x-Zq.js")!;
    const plain = assetResponse(asset, ask());
    expect(plain.headers.get("content-encoding")).toBeNull();
    expect(await plain.text()).toBe(script);
    const small = assetResponse(asset, ask({ "accept-encoding": "br, gzip" }));
    expect(small.headers.get("content-encoding")).toBe("gzip");
    expect(gunzipSync(Buffer.from(await small.arrayBuffer())).toString()).toBe(script);
    expect(small.headers.get("cache-control")).toContain("immutable");
  });

  it("has no body for whoever has it already", () => {
    const asset = builtPage(folder).asset("/web/page.css")!;
    const first = assetResponse(asset, ask());
    expect(first.headers.get("cache-control")).toBe("no-cache");
    const again = assetResponse(asset, ask({ "if-none-match": first.headers.get("etag")! }));
    expect([again.status, again.body]).toEqual([304, null]);
  });
});
