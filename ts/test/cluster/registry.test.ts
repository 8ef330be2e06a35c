// The registry client on a real Apicurio: explicit compatibility, ids, and refusals.

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, inject, it } from "vitest";
import { connectRegistry } from "../../kafka/registry.ts";
import { pipelineOf, schemaOf } from "../../pipelines/index.ts";

const { registryUrl, root } = inject("engines");
const registry = connectRegistry(registryUrl);
const subject = `test-${randomUUID().slice(0, 8)}-value`;
const schema = readFileSync(join(root, "schemas/avro/records/weather_observation.avsc"), "utf8");
const grown = (field: object): string => {
  const record = JSON.parse(schema);
  return JSON.stringify({ ...record, fields: [...record.fields, field] });
};
const nullable = grown({ name: "visibility", type: ["null", "double"], default: null, unit: "km" });
/** Under which weather's history of an earlier commit is followed by today's. */
const followed = `test-${randomUUID().slice(0, 8)}-history-value`;
const required = grown({ name: "visibility", type: "double" });

describe("connectRegistry()", () => {
  afterAll(async () => {
    for (const used of [subject, followed]) await registry.remove(used);
  });

  it("registers, gives the same id again, and keeps what Avro does not know", async () => {
    expect(await registry.versions(subject)).toEqual([]);
    const id = await registry.register(subject, schema, "BACKWARD_TRANSITIVE");
    expect(await registry.register(subject, schema, "BACKWARD_TRANSITIVE")).toBe(id);
    const fresh = connectRegistry(registryUrl);
    expect(JSON.parse((await fresh.schemaById(id))!)).toEqual(JSON.parse(schema));
    expect(await fresh.idOf(subject, JSON.stringify(JSON.parse(schema), null, 4))).toBe(id);
    expect((await fresh.versions(subject)).map((version) => version.id)).toEqual([id]);
  });

  it("lets a nullable field in and a required one not, by the rule that was set", async () => {
    expect((await registry.check(subject, nullable)).compatible).toBe(true);
    expect((await registry.check(subject, required)).compatible).toBe(false);
    await expect(registry.register(subject, required, "BACKWARD_TRANSITIVE")).rejects.toMatchObject({
      code: "contract_rejected",
    });
    await registry.register(subject, nullable, "BACKWARD_TRANSITIVE");
    expect(await registry.versions(subject)).toHaveLength(2);
    expect(await registry.subjects()).toContain(subject);
  });

  it("takes today's schema of the history behind the one of the commit before", async () => {
    const state = join(root, "schemas/golden/before/state/default/applied-weather.json");
    const { tables } = JSON.parse(readFileSync(state, "utf8")) as {
      tables: { history: Record<string, string> };
    };
    const history = schemaOf(pipelineOf("weather").contract, "history");
    for (const before of Object.values(tables.history))
      await registry.register(followed, before, "BACKWARD_TRANSITIVE");
    await registry.register(followed, history, "BACKWARD_TRANSITIVE");
    expect(
      (await registry.versions(followed)).map((version) => JSON.parse(version.schema).fields.length),
    ).toEqual([12, 14]);
  });

  it("says which part does not answer, and what an unknown id is", async () => {
    expect(await registry.schemaById(2_000_000_000)).toBeNull();
    await expect(registry.idOf(`${subject}-none`, schema)).rejects.toMatchObject({
      code: "contract_mismatch",
    });
    await expect(connectRegistry("http://127.0.0.1:1").subjects()).rejects.toMatchObject({
      code: "registry_unreachable",
      message: expect.stringContaining("http://127.0.0.1:1"),
    });
  });
});
