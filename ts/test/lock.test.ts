// The lock file against what npm ci demands: a platform package that is named but has no entry stops every fresh clone,
// while a machine with an old node_modules notices nothing.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

interface Lock {
  readonly packages: Readonly<
    Record<
      string,
      { readonly version?: string; readonly optionalDependencies?: Readonly<Record<string, string>> }
    >
  >;
}

/** Names of optional dependencies that no entry of the lock satisfies. */
function missing({ packages }: Lock): string[] {
  const locked = new Set(
    Object.keys(packages).map((path) => path.slice(path.lastIndexOf("node_modules/") + 13)),
  );
  return Object.values(packages)
    .flatMap(({ optionalDependencies = {} }) => Object.keys(optionalDependencies))
    .filter((name) => !locked.has(name));
}

describe("package-lock.json", () => {
  const lock = JSON.parse(
    readFileSync(join(import.meta.dirname, "..", "..", "package-lock.json"), "utf8"),
  ) as Lock;

  it("has an entry for every optional dependency it names", () => expect(missing(lock)).toEqual([]));

  it("would say which is missing", () => {
    expect(
      missing({
        packages: {
          "node_modules/a": {
            version: "1.0.0",
            optionalDependencies: { "@a/linux": "1.0.0", "@a/darwin": "1.0.0" },
          },
          "node_modules/@a/linux": { version: "1.0.0" },
        },
      }),
    ).toEqual(["@a/darwin"]);
  });
});
