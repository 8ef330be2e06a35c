// The repo keeps its own rules. Each rule is shown to fail on a planted fault before it is applied to the tree.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  crossings,
  dead,
  environmentRead,
  foreignPaths,
  importsOf,
  type Source,
  surroundings,
  targets,
  targetsSaid,
} from "./tidy.ts";

const root = join(import.meta.dirname, "..", "..");
const tracked = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
  cwd: root,
  encoding: "utf8",
})
  .split("\n")
  .filter((path) => path !== "" && existsSync(join(root, path)));
const read = (path: string): Source => ({ path, text: readFileSync(join(root, path), "utf8") });
const typescript = tracked.filter((path) => /^ts\/.*\.tsx?$/.test(path)).map(read);
const prose = tracked
  .filter((path) =>
    /\.(tsx?|py|md|json|css|html|toml|xml|avsc|sh|yml|yaml|lock)$|Makefile$|^bin\/|^\.ci\//.test(path),
  )
  .filter((path) => path !== "ts/test/tidy.ts" && path !== "ts/test/repo.test.ts")
  .map(read);
const text = (path: string) => readFileSync(join(root, path), "utf8");

describe("imports", () => {
  it("finds an import in every form", () => {
    const source =
      'import { a } from "./a.ts";\nexport { b } from "b";\nconst c = await import("./c.ts");\nimport "./d.ts";';
    expect(importsOf(source)).toEqual(["./a.ts", "b", "./c.ts", "./d.ts"]);
  });
  it("names a wall that is crossed", () => {
    expect(
      crossings([{ path: "ts/contract/a.ts", text: 'import { x } from "../kafka/b.ts";' }]),
    ).toHaveLength(1);
    expect(crossings([{ path: "ts/topology/a.ts", text: 'import { x } from "./local/b.ts";' }])).toHaveLength(
      1,
    );
    expect(
      crossings([{ path: "ts/source/send/a.ts", text: 'import { x } from "../replay/b.ts";' }]),
    ).toHaveLength(1);
    expect(crossings([{ path: "ts/serve/a.ts", text: 'import { Kafka } from "kafkajs";' }])).toHaveLength(1);
  });
  it("names product code that knows tests or what only tests are written with", () => {
    const product = 'import { fakeKafka } from "../test/fakes/kafka.ts";\nimport { it } from "vitest";';
    expect(crossings([{ path: "ts/kafka/a.ts", text: product }])).toHaveLength(2);
    expect(crossings([{ path: "ts/kafka/a.test.ts", text: product }])).toEqual([]);
  });
  it("the tree crosses no wall", () => expect(crossings(typescript)).toEqual([]));
});

describe("surroundings", () => {
  it("names a read of the environment outside ts/cli", () => {
    expect(surroundings([{ path: "ts/kafka/a.ts", text: "const h = process.env.HOST;" }])).toHaveLength(1);
  });
  it("only ts/cli reads the environment, the arguments and sets the exit code", () =>
    expect(surroundings(typescript)).toEqual([]));
});

describe("files", () => {
  const entries =
    /\.test\.ts$|^ts\/cli\/|^ts\/test\/|^ts\/codegen\/main\.ts$|^ts\/web\/(main\.tsx|vite\.(config|d)\.ts)$|^ts\/pipelines\/[^/]+\/(serve\.ts|page\.tsx)$|\/golden\/|\/fixtures?\//;
  it("names a file nobody imports", () => {
    expect(dead([{ path: "ts/serve/a.ts", text: "" }], entries)).toEqual(["ts/serve/a.ts"]);
  });
  it("no file is dead", () => expect(dead(typescript, entries)).toEqual([]));
  it("no file is called utils, helpers, common, manager or service", () => {
    const vague = /(^|\/)(utils?|helpers?|common|manager|service)s?\.(ts|py)$/;
    // Compose's word, and exactly what is in it.
    const meant = "ts/topology/services.ts";
    expect(tracked.filter((path) => vague.test(path) && path !== meant)).toEqual([]);
  });
  it("names a path of a machine and a registry host", () => {
    const planted = [`/${"root"}/x`, `https://${"registry.npmjs"}.org/a`].join("\n");
    expect(foreignPaths([{ path: "a.md", text: planted }])).toEqual(["a.md:1", "a.md:2"]);
  });
  it("no committed file holds a path of a machine or a registry host", () => {
    expect(foreignPaths(prose.filter((s) => s.path !== "uv.lock"))).toEqual([]);
  });
});

describe("README", () => {
  const readme = text("README.md");
  it("says every Makefile target, and no other", () => {
    expect(targetsSaid(readme).sort()).toEqual(targets(text("Makefile")).sort());
  });
  it("finds targets in a Makefile", () =>
    expect(targets("demo: setup ## runs\nfoo:\n\ttrue\n")).toEqual(["demo"]));
  it("documents every environment variable the code reads", () => {
    const said = text("docs/settings.md");
    expect(
      environmentRead(typescript.filter((s) => !/\.test\.ts$|^ts\/test\//.test(s.path))).filter(
        (name) => !said.includes(name),
      ),
    ).toEqual([]);
  });
});
