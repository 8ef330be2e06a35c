// Who serves: what a person may promote, and what becomes of a version that was just trained, over a registry in memory.

import { describe, expect, it } from "vitest";
import { versionTable } from "../cli/models/models.ts";
import type { Mlflow, ModelVersion } from "../engines/mlflow.ts";
import { findVersion, promote, promoteTrained, describe as sentence } from "./promote.ts";

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
  submission: null,
  rival: null,
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
    await expect(findVersion(registry([]).mlflow, "weather", "champion")).rejects.toMatchObject({
      message: expect.stringContaining("millrace train"),
    });
  });
});

describe("table()", () => {
  it("is one aligned line a version below a heading", () => {
    expect(versionTable([{ ...version(2), aliases: ["champion"], parent: "1" }])).toEqual([
      "version  alias     created (UTC)     parent  digest  fingerprint",
      "2        champion  2016-12-02T00:00  1       d2      f",
    ]);
  });
});

describe("promoteTrained()", () => {
  const trained = (change: Partial<ModelVersion> = {}): ModelVersion => ({
    ...version(2),
    submission: "s-2",
    parent: "1",
    rival: { version: "1", ratio: 1 },
    ...change,
  });
  const decide = async (
    held: readonly ModelVersion[],
    champion: string | null,
    during: (aliases: Map<string, string>) => void = () => {},
  ) => {
    const { mlflow, aliases } = registry(held);
    if (champion !== null) aliases.set("champion", champion);
    const moved: string[] = [];
    const say = async ({ version: number }: { version: string }) => void moved.push(number);
    const verdict = await promoteTrained(
      { ...mlflow, versions: async (model) => mlflow.versions(model).finally(() => during(aliases)) },
      "weather",
      "s-2",
      say,
    );
    return { verdict, champion: aliases.get("champion") ?? null, moved };
  };

  it("makes the first version champion, and says so", async () => {
    expect(await decide([trained({ parent: null, rival: null })], null)).toEqual({
      verdict: { kind: "promoted", version: "2", before: null },
      champion: "2",
      moved: ["2"],
    });
  });
  it.each([
    [0.9, true],
    [1.01, true],
    [1.0101, false],
  ])("lets errors of %d times the champion's take its place: %s", async (ratio, promoted) => {
    const { verdict, champion } = await decide(
      [version(1), trained({ rival: { version: "1", ratio } })],
      "1",
    );
    expect([verdict.kind, champion]).toEqual(promoted ? ["promoted", "2"] : ["kept", "1"]);
  });
  it("takes the place of a champion that cannot serve the contract any more", async () => {
    expect((await decide([version(1), trained({ rival: null })], "1")).champion).toBe("2");
  });
  it("leaves a champion that a person made meanwhile, and says how to promote all the same", async () => {
    const { verdict, champion, moved } = await decide([version(1), trained(), version(3)], "1", (aliases) =>
      aliases.set("champion", "3"),
    );
    expect(champion).toBe("3");
    expect(moved).toEqual([]);
    expect(sentence("weather", verdict)).toMatch(/compared with 1, and 3.*millrace models promote 2/);
  });
  it("announces again what it had promoted when it was killed, and moves nothing", async () => {
    expect(await decide([version(1), trained()], "2")).toEqual({
      verdict: { kind: "champion", version: "2" },
      champion: "2",
      moved: ["2"],
    });
  });
  it("does nothing for a submission without a version", async () => {
    expect(await decide([version(1)], "1")).toMatchObject({ verdict: { kind: "none" }, champion: "1" });
  });
  it("lets no version without a digest serve", async () => {
    await expect(decide([trained({ digest: null })], null)).rejects.toMatchObject({ code: "model_refused" });
  });
});

it("promote() gives way to who moved the alias since it looked", async () => {
  const { mlflow, aliases } = registry([version(1), version(2), version(3)]);
  let looks = 0;
  const racing: Mlflow = {
    ...mlflow,
    byAlias: async (model, alias) => {
      if (++looks === 2) aliases.set("champion", "3");
      return mlflow.byAlias(model, alias);
    },
  };
  await expect(promote(racing, "weather", { which: "2", alias: "champion" }, async () => {})).rejects.toThrow(
    /somebody moved it to 3/,
  );
  expect(aliases.get("champion")).toBe("3");
});
