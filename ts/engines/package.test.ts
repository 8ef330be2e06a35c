// The package that travels to Ray: equal files, equal name and bytes; anything else, another name.

import { mkdirSync, mkdtempSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { unzipSync } from "fflate";
import { expect, it } from "vitest";
import { zipOf } from "./package.ts";

function folder(text: string): string {
  const path = mkdtempSync(join(tmpdir(), "millrace-package-"));
  mkdirSync(join(path, "a", "tests"), { recursive: true });
  mkdirSync(join(path, "a", "__pycache__"));
  writeFileSync(join(path, "a", "fold.py"), text);
  writeFileSync(join(path, "a", "tests", "test_fold.py"), Math.random().toString());
  writeFileSync(join(path, "a", "__pycache__", "fold.pyc"), Math.random().toString());
  return path;
}

it("zipOf() gives equal files equal bytes, whatever their times, caches and tests", () => {
  const one = folder("x = 1\n");
  const two = folder("x = 1\n");
  utimesSync(join(two, "a", "fold.py"), new Date(2001, 1, 1), new Date(2001, 1, 1));
  expect(zipOf(two)).toEqual(zipOf(one));
  expect(Object.keys(unzipSync(zipOf(one).bytes))).toEqual(["a/fold.py"]);
});

it("zipOf() gives a changed file another name", () => {
  expect(zipOf(folder("x = 2\n")).name).not.toBe(zipOf(folder("x = 1\n")).name);
});
