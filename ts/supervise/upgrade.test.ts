// A namespace of an earlier commit, as that commit wrote it (schemas/golden/before), under today's code: `apply` carries its
// contract over. What becomes of the history's records is in jobs/ray/tests/test_changelog.py.

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { Registry, Version } from "../kafka/registry.ts";
import { namesOf, pipelineOf, subjectsOf, topicOf, topicsOf } from "../pipelines/index.ts";
import { type Settings, settingsOf, stateDir } from "../settings/settings.ts";
import { fakeKafka } from "../test/fakes/kafka.ts";
import { readApplied } from "./applied.ts";
import { apply } from "./apply.ts";
import { readDesired } from "./desired.ts";

const root = join(import.meta.dirname, "..", "..");
const before = join(root, "schemas", "golden", "before", "state", "default");
const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function namespaceBefore(): Settings {
  const home = mkdtempSync(join(tmpdir(), "upgrade-"));
  folders.push(home);
  const settings = settingsOf(root, { home });
  mkdirSync(stateDir(settings), { recursive: true });
  for (const file of readdirSync(before)) {
    const text = readFileSync(join(before, file), "utf8");
    writeFileSync(join(stateDir(settings), file), text.replaceAll("@HOME@", home).replaceAll("@ROOT@", root));
  }
  return settings;
}

/** A registry that holds what was applied, and judges nothing: the real one's word is in registry.test.ts. */
function registryBefore(settings: Settings): Registry {
  const { pipeline, contract } = pipelineOf(settings.pipeline);
  const names = namesOf(pipeline, settings.namespace);
  const applied = readApplied(settings)!;
  const subjects = new Map<string, Version[]>();
  for (const { what, subject } of subjectsOf(names, contract)) {
    const versions = Object.entries(applied.tables[what] ?? {});
    subjects.set(
      subject,
      versions.map(([id, schema], i) => ({ version: i + 1, id: Number(id), schema })),
    );
  }
  let next = 100;
  const registry: Partial<Registry> = {
    url: "http://registry",
    versions: async (subject) => subjects.get(subject) ?? [],
    check: async () => ({ compatible: true, messages: [] }),
    async register(subject, schema) {
      const versions = subjects.get(subject)!;
      const held = versions.find((version) => version.schema === schema);
      if (held) return held.id;
      subjects.set(subject, [...versions, { version: versions.length + 1, id: next, schema }]);
      return next++;
    },
  };
  return registry as Registry;
}

describe("a namespace of the commit before", () => {
  it("is carried over by apply: its actor reads what was written and writes the new form", async () => {
    const settings = namespaceBefore();
    const old = readApplied(settings)!;
    const kafka = fakeKafka();
    const { pipeline, contract } = pipelineOf(settings.pipeline);
    const names = namesOf(pipeline, settings.namespace);
    await kafka.admin.ensure(topicsOf(names));
    const report = await apply({ settings, kafka, registry: registryBefore(settings) });
    const changes = new Map(report.subjects.map(({ subject, change }) => [subject, change]));
    expect(changes.get(topicOf(names, "history").subject)).toBe("evolved");
    const made = [...changes].flatMap(([subject, change]) => (change === "new" ? [subject] : []));
    expect(made).toEqual([topicOf(names, "anomalies").subject]);
    const now = readApplied(settings)!;
    expect(now.fingerprint).toBe(contract.fingerprint);
    expect(Object.keys(now.tables.history!)).toEqual([
      String(old.writers.history),
      String(now.writers.history),
    ]);
    const { params } = readDesired(settings)["weather-infer"]!;
    expect(params).toMatchObject({
      history_schemas: now.tables.history,
      history_schema_id: now.writers.history,
      fingerprint: contract.fingerprint,
    });
    expect(report.restarted).toContain("weather-infer");
  });
});
