// The MLflow clients of both languages against the real server: versions, aliases, promotion and its announcement.

import { randomUUID } from "node:crypto";
import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { expect, inject, it } from "vitest";
import { Decoder, type ModelEvent } from "../../contract/index.ts";
import { mlflowOf } from "../../engines/mlflow.ts";
import { httpOf } from "../../ground/http.ts";
import { connectKafka } from "../../kafka/client.ts";
import { latestByKey, readAll } from "../../kafka/kafka.ts";
import { connectRegistry } from "../../kafka/registry.ts";
import { announce, lastEvent } from "../../models/announce.ts";
import { promote } from "../../models/promote.ts";
import { namesOf, pipelineOf, schemaOf, topicOf } from "../../pipelines/index.ts";

const settings = inject("engines");
const mlflow = mlflowOf(settings);
const namespace = `t${randomUUID().slice(0, 8)}`;
const { pipeline, contract } = pipelineOf("weather");
const names = namesOf(pipeline, namespace);

/** Registers a model and versions of it as training would, without any files behind them. */
async function register(model: string, digests: readonly (string | null)[]): Promise<void> {
  const http = httpOf("store_unreachable");
  const post = async <T>(path: string, body: unknown): Promise<T> => {
    const url = `${settings.mlflowUrl}/api/2.0/mlflow/${path}`;
    const reply = await http({ action: "prepare the test", method: "POST", url, body });
    expect(reply.status, reply.text).toBe(200);
    return JSON.parse(reply.text) as T;
  };
  // The server takes a version only of artifacts that belong to a run.
  const { experiment_id } = await post<{ experiment_id: string }>("experiments/create", { name: model });
  const { run } = await post<{ run: { info: { run_id: string; artifact_uri: string } } }>("runs/create", {
    experiment_id,
  });
  await post("registered-models/create", { name: model });
  for (const digest of digests)
    await post("model-versions/create", {
      name: model,
      run_id: run.info.run_id,
      source: `${run.info.artifact_uri}/model`,
      tags:
        digest === null
          ? []
          : Object.entries({ digest, card: "card.html" }).map(([key, value]) => ({ key, value })),
    });
}

it("promote() moves the alias on the real server and announces it on model-events", async () => {
  await mlflow.health();
  expect(await mlflow.versions(names.model)).toEqual([]);
  expect(await mlflow.byAlias(names.model, "champion")).toBeNull();
  await register(names.model, ["d1", "d2", null]);
  expect(await mlflow.byAlias(names.model, "champion")).toBeNull();

  const kafka = connectKafka(settings.kafka, { client_id: "models-test" });
  try {
    const registry = connectRegistry(settings.registryUrl);
    const { topic, partitions, config, subject } = topicOf(names, "model_events");
    await kafka.admin.ensure([{ topic, partitions, config }]);
    await registry.register(subject, schemaOf(contract, "model_events"), "BACKWARD");
    const audience = { kafka, registry, names, contract };
    expect(await lastEvent(audience)).toBeNull();
    const say = async (moved: { alias: string; version: string }) => {
      await announce(audience, { ...moved, now_ms: 1_480_000_000_000 });
    };
    await promote(mlflow, names.model, { which: "1", alias: "champion" }, say);
    await promote(mlflow, names.model, { which: "1", alias: "challenger" }, say);
    expect((await mlflow.byAlias(names.model, "champion"))?.aliases).toEqual(["challenger", "champion"]);
    await promote(mlflow, names.model, { which: "2", alias: "champion" }, say);
    expect((await mlflow.versions(names.model)).map((v) => [v.version, v.digest, v.aliases])).toEqual([
      ["3", null, []],
      ["2", "d2", ["champion"]],
      ["1", "d1", ["challenger"]],
    ]);
    expect(await mlflow.version(names.model, "9")).toBeNull();

    for (const which of ["3", "9"])
      await expect(promote(mlflow, names.model, { which, alias: "champion" }, say)).rejects.toThrow(which);
    await expect(mlflow.setAlias(names.model, "champion", "9")).rejects.toMatchObject({
      code: "model_refused",
    });
    expect((await mlflow.byAlias(names.model, "champion"))?.version).toBe("2");

    const last = latestByKey(await readAll(kafka, topic)).get(names.model);
    const decoder = new Decoder<ModelEvent>(schemaOf(contract, "model_events"), (id) =>
      registry.schemaById(id),
    );
    expect(await decoder.decode(last?.value ?? null)).toMatchObject({
      ok: true,
      record: { model: names.model, version: "2", alias: "champion", timestamp: 1_480_000_000_000 },
    });
  } finally {
    await kafka.close();
  }
});

it("Python publishes and fetches over the same server, and seeds over the same broker", {
  timeout: 300_000,
}, async () => {
  const path = join(mkdtempSync(join(settings.home, "models-")), "addresses.json");
  const addresses = { bootstrap: settings.kafka.bootstrap, mlflow: settings.mlflowUrl };
  writeFileSync(path, JSON.stringify(addresses));
  const files = ["jobs/ray/tests/test_registry.py", "jobs/ray/tests/test_seed.py"];
  const done = await execa(
    settings.pythonPath,
    ["-m", "pytest", "-q", "-m", "cluster", "--addresses", path, ...files],
    { cwd: settings.root, reject: false, all: true },
  );
  expect(done.exitCode, done.all).toBe(0);
  expect(done.stdout).toMatch(/4 passed/);
});
