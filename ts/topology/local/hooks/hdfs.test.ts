// When the names are made and when not, with a Java that only does as if; the real one is in ts/test/cluster/hdfs.test.ts.

import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { enginesDir, type Settings, settingsOf } from "../../../settings/settings.ts";
import { SERVICES } from "../../services.ts";
import { prepare as prepareWith } from "../prepare.ts";
import { dataNode, nameNode } from "./hdfs.ts";

const NAME_NODE = "hdfs-namenode";
const DATA_NODE = "hdfs-datanode";
const HOOKS = { [NAME_NODE]: nameNode, [DATA_NODE]: dataNode };

const prepare = (name: keyof typeof HOOKS, folder: string) =>
  prepareWith(
    { settings, service: SERVICES.find((service) => service.name === name)!, dir: folder },
    HOOKS[name],
  );

let root: string;
let settings: Settings;
let dir: string;
/** One line a run of Java. */
const runs = () =>
  existsSync(join(root, "runs")) ? readFileSync(join(root, "runs"), "utf8").trim().split("\n") : [];

/** A Java that notes what it is asked for and then does this. */
function java(then: string): void {
  writeFileSync(settings.javaPath, `#!/bin/sh\necho "$*" >> "${join(root, "runs")}"\n${then}\n`);
  chmodSync(settings.javaPath, 0o755);
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "hdfs-"));
  settings = settingsOf(root, { home: join(root, "home"), javaPath: join(root, "java") });
  dir = join(enginesDir(settings), NAME_NODE);
  mkdirSync(dir, { recursive: true });
  mkdirSync(join(root, "target", "engines", "hdfs"), { recursive: true });
  writeFileSync(join(root, "target", "engines", "hdfs", "hadoop-client-minicluster-3.4.1.jar"), "");
  java(`mkdir "${join(dir, "names.new")}"`);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

describe("the NameNode", () => {
  it("formats at the first start and never again", async () => {
    const { args } = await prepare(NAME_NODE, dir);
    expect(runs()).toHaveLength(1);
    expect(runs()[0]).toMatch(/names\.new -format -nonInteractive$/);
    expect(existsSync(join(dir, "names"))).toBe(true);
    expect(await prepare(NAME_NODE, dir)).toMatchObject({ args });
    expect(runs()).toHaveLength(1);
    expect(args).toContain(`dfs.namenode.name.dir=file://${join(dir, "names")}`);
    expect(args).toContain("fs.defaultFS=hdfs://127.0.0.1:9820");
  });

  it.each(["ho me", "#1", "zoë"])(
    "refuses a folder that the DataNode cannot use, by its name: %s",
    async (folder) => {
      const odd = join(root, folder, "engines", NAME_NODE);
      for (const name of [NAME_NODE, DATA_NODE] as const)
        await expect(prepare(name, odd)).rejects.toThrow(`Cannot keep HDFS in "${odd}"`);
      expect(runs()).toEqual([]);
    },
  );

  it("begins anew after a format that was cut short", async () => {
    mkdirSync(join(dir, "names.new", "current"), { recursive: true });
    await prepare(NAME_NODE, dir);
    expect(existsSync(join(dir, "names", "current"))).toBe(false);
  });

  it("leaves no names behind when the format fails, and hands on what Hadoop said", async () => {
    java("echo no disk; exit 1");
    await expect(prepare(NAME_NODE, dir)).rejects.toMatchObject({
      code: "config_invalid",
      cause: { message: "no disk" },
    });
    expect(existsSync(join(dir, "names"))).toBe(false);
  });

  it("does not make new names for blocks that are there", async () => {
    const blocks = join(enginesDir(settings), DATA_NODE, "blocks");
    mkdirSync(blocks, { recursive: true });
    await expect(prepare(NAME_NODE, dir)).rejects.toThrow(`expected no blocks, "${blocks}" holds some`);
    expect(runs()).toEqual([]);
  });
});

it("says what to do without its jars", async () => {
  rmSync(join(root, "target"), { recursive: true });
  for (const name of [NAME_NODE, DATA_NODE] as const)
    await expect(prepare(name, dir)).rejects.toThrow(/Cannot find HDFS in .*: run "make setup"$/);
});
