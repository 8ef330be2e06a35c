// What `millrace models` prints and refuses, over a registry in memory.

import { describe, expect, it } from "vitest";
import type { Mlflow, ModelVersion } from "../engines/mlflow.ts";
import { find, promote, table } from "./models.ts";

const version = (number: number, digest: string | null = `d${number}`): ModelVersion => ({
  model: "weather",
  version: String(number),
  aliases: [],
  created_ms: Date.UTC(2016, 11, number),
  run_id: null,
  digest,
  card: "card.html",
  fingerprint: "f",
  contract_fingerprint: null,
  parent: null,
});

function registry(held: readonly ModelVersion[]) {
  const aliases = new Map<string, string>();
  const by = (number: string | undefined) => held.find((v) => v.version === number) ?? null;
  const mlflow: Mlflow = {
    url: "http://mlflow",
    health: async () => {},
    byAlias: async (_, alias) => by(aliases.get(alias)),
    version: async (_, number) => by(number),
    versions: async () => [...held],
    setAlias: async (_, alias, number) => void aliases.set(alias, number),
    copy: async () => "1",
    artifact: async () => null,
    metrics: async () => ({}),
  };
  return { mlflow, aliases };
}

describe("promote()", () => {
  it("moves the alias before it says so", async () => {
    const { mlflow, aliases } = registry([version(1), version(2)]);
    const said: string[] = [];
    const found = await promote(mlflow, "weather", { which: "2", alias: "champion" }, async (moved) => {
      expect(aliases.get("champion")).toBe("2");
      said.push(`${moved.alias}=${moved.version}`);
    });
    expect(said).toEqual(["champion=2"]);
    expect(found.aliases).toEqual(["champion"]);
  });

  it("takes another alias as its source", async () => {
    const { mlflow, aliases } = registry([version(1), version(2)]);
    aliases.set("challenger", "1");
    await promote(mlflow, "weather", { which: "challenger", alias: "champion" }, async () => {});
    expect(aliases.get("champion")).toBe("1");
  });

  it("refuses a version without a model card", async () => {
    const { mlflow, aliases } = registry([{ ...version(1), card: null }]);
    await expect(
      promote(mlflow, "weather", { which: "1", alias: "champion" }, async () => {}),
    ).rejects.toMatchObject({ code: "model_refused", message: expect.stringContaining("model card") });
    expect(aliases.size).toBe(0);
  });

  it("refuses a version without a digest, an unknown alias and an unknown version", async () => {
    const { mlflow, aliases } = registry([version(1, null)]);
    const nothing = async () => {};
    await expect(
      promote(mlflow, "weather", { which: "1", alias: "champion" }, nothing),
    ).rejects.toMatchObject({
      code: "model_refused",
    });
    await expect(promote(mlflow, "weather", { which: "1", alias: "best" }, nothing)).rejects.toMatchObject({
      code: "config_invalid",
    });
    await expect(
      promote(mlflow, "weather", { which: "7", alias: "champion" }, nothing),
    ).rejects.toMatchObject({
      message: expect.stringContaining("an alias or one of 1"),
    });
    expect(aliases.size).toBe(0);
  });
});

describe("find()", () => {
  it("says how to get a model when there is none", async () => {
    await expect(find(registry([]).mlflow, "weather", "champion")).rejects.toMatchObject({
      message: expect.stringContaining("millrace train"),
    });
  });
});

describe("table()", () => {
  it("is one aligned line a version below a heading", () => {
    expect(table([{ ...version(2), aliases: ["champion"], parent: "1" }])).toEqual([
      "version  alias     created (UTC)     parent  digest  fingerprint",
      "2        champion  2016-12-02T00:00  1       d2      f",
    ]);
  });
});
