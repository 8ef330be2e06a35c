import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { describe, expect, it } from "vitest";
import { settingsOf } from "../../settings/settings.ts";
import { apply } from "../../supervise/apply.ts";
import { fakeKafka } from "../../test/fakes/kafka.ts";
import { memoryRegistry } from "../../test/fakes/registry.ts";

const root = join(import.meta.dirname, "..", "..", "..");
const run = (home: string, ...words: string[]) =>
  execa(join(root, "bin", "millrace"), ["remove", ...words], { reject: false, env: { MILLRACE_HOME: home } });

describe("millrace remove", () => {
  it("says what there is to remove, and removes nothing without --yes", async () => {
    const home = mkdtempSync(join(tmpdir(), "millrace-remove-"));
    const settings = settingsOf(root, { home, pipeline: "meters" });
    await apply({ settings, kafka: fakeKafka(), registry: memoryRegistry() });
    const dry = await run(home, "meters", "--dry-run");
    expect(dry).toMatchObject({ exitCode: 0, stderr: "" });
    expect(dry.stdout).toContain("topics, with all their records:\n  meters-anomalies\n  meters-cursors\n");
    expect(dry.stdout).toContain("Nothing was removed");
    expect(await run(home, "meters")).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining("next: millrace remove meters --yes"),
    });
    const json = await run(home, "meters", "--dry-run", "--json");
    expect(JSON.parse(json.stdout)).toMatchObject({ pipeline: "meters", removed: false });
    expect(await run(home, "weather", "--yes")).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining("expected one that was applied there, got meters"),
    });
  });
});
