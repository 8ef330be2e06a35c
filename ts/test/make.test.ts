// Where the Makefile lets caches lie: in the home folder, or in this one when that cannot be written.

import { execFileSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";

const root = join(import.meta.dirname, "..", "..");

/** The caches that recipes are given: variables of their environment, and Maven's flag. */
function caches(env: Record<string, string>): string[] {
  const names = ["npm_config_cache", "PIP_CACHE_DIR", "UV_CACHE_DIR"];
  const print = `caches: ; @printf '%s\\n' ${names.map((name) => `"$$${name}"`).join(" ")} $(maven_cache)`;
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !names.includes(name)));
  return execFileSync("make", ["--silent", `--eval=${print}`, "caches"], {
    cwd: root,
    encoding: "utf8",
    env: { ...clean, ...env },
  })
    .split("\n")
    .filter((line) => line !== "");
}

it("the home folder's caches are used while it can be written", () => {
  expect(caches({ HOME: mkdtempSync(join(tmpdir(), "home-")) })).toEqual([]);
});

it.each(["/nowhere/at/all", "/proc", ""])("caches lie in target/cache with the home folder %j", (HOME) => {
  const cache = join(root, "target", "cache");
  expect(caches({ HOME })).toEqual([
    join(cache, "npm"),
    join(cache, "pip"),
    join(cache, "uv"),
    `-Dmaven.repo.local=${join(cache, "maven")}`,
  ]);
});

it("a cache that a variable names stays where it is", () => {
  expect(caches({ HOME: "/nowhere", UV_CACHE_DIR: "/elsewhere" })).toContain("/elsewhere");
});
