// The entries against the files that must agree with them: versions, pages of the documentation, files they read.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Artifact, Service } from "./entry.ts";
import { filler } from "./fill.ts";
import { addressesOf, OPTIONAL, PORT_SETTING, PORTS, portEntries } from "./ports.ts";
import { SERVICES } from "./services.ts";
import { versionOf } from "./versions.ts";

const root = join(import.meta.dirname, "..", "..");
const services: readonly Service[] = SERVICES;

describe("versionOf()", () => {
  it.each(services.map(({ name, artifact }) => [name, artifact] as const))(
    "finds that of %s in the one file that has it",
    (_, artifact) => expect(versionOf(root, artifact)).toMatch(/^\d+\.\d+(\.\d+)?$/),
  );
  it("reads package-lock.json", () =>
    expect(versionOf(root, { from: "npm", package: "axios" })).toMatch(/^\d+\.\d+\.\d+$/));
  it.each<Artifact>([
    { from: "maven", module: "kafka", property: "kafka-version", jar: ["", ""] },
    { from: "jobs", package: "ra" },
    { from: "mlflow", package: "mlflo" },
    { from: "npm", package: "axio" },
  ])("refuses what is not there, naming the file: %j", (artifact) =>
    expect(() => versionOf(root, artifact)).toThrow(/expected it in ".+", it is not there/),
  );
});

it("fill() fills each place, and refuses one that nobody knows", () => {
  const fill = filler((name, argument) => (name === "port" ? (argument === "a" ? 1 : undefined) : name));
  expect(fill("http://{host}:{port:a}/{}")).toBe("http://host:1/{}");
  expect(() => fill("{port:b}")).toThrow('"{port:b}"');
});

describe("the entries", () => {
  it("have each port, setting and address once", () => {
    const entries = portEntries(services);
    for (const values of [
      entries.map(({ name }) => name),
      entries.map(({ number }) => number),
      entries.map(({ setting }) => setting),
      addressesOf(services).map(({ name }) => name),
    ])
      expect(new Set<string | number>(values).size).toBe(values.length);
  });
  it("read files that are there", () => {
    const paths = services.flatMap(({ reads, configuration }) => [
      ...Object.values(reads),
      ...(configuration ? [configuration.base] : []),
    ]);
    expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });
  it("call a cluster's silence by one name, and are optional together", () => {
    for (const group of Map.groupBy(services, ({ cluster }) => cluster).values()) {
      expect(new Set(group.map(({ unreachable }) => unreachable)).size).toBe(1);
      expect(new Set(group.map(({ optional }) => optional)).size).toBe(1);
    }
    expect(OPTIONAL).toEqual(["hdfs"]);
  });
});

describe("docs/settings.md", () => {
  const page = readFileSync(join(root, "docs", "settings.md"), "utf8");
  /** Settings and numbers of each row of a table whose first column is settings: `A`, `B` | 1, 2. */
  const rows = [...page.matchAll(/^\| (`MILLRACE_\w+_PORT`(?:, `\w+`)*) \| ([\d, ]+) \|/gm)].flatMap(
    ([, settings, numbers]) => {
      const said = numbers!.split(", ").map(Number);
      return settings!.split(", ").map((setting, i) => [setting.slice(1, -1), said[i]] as const);
    },
  );
  it("says every port's setting with its number, and no other", () => {
    const ours = Object.entries(PORT_SETTING).map(([name, setting]) => [
      setting,
      PORTS[name as keyof typeof PORTS],
    ]);
    expect([...rows].sort()).toEqual(ours.sort());
  });
  it("says every address's setting", () => {
    const settings = addressesOf(services).flatMap(({ setting }) => setting ?? []);
    expect(settings.filter((setting) => !page.includes(`\`${setting}\``))).toEqual([]);
  });
});
