// Schemathesis against the running server: whatever its description lets somebody ask, it answers as the description says, and never
// with a fault of its own. Without /stream, which has a suite of its own.

import { execFile } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { fakeKafka } from "../test/fakes/kafka.ts";
import { CONTRACT as GAUGES } from "../test/pipelines/generated/gauges.ts";
import { startPostgres, type TestDatabase } from "../test/postgres.ts";
import {
  app,
  arrival,
  features,
  MODEL,
  NOW_MS,
  prediction,
  served,
  T0_MS,
  verification,
} from "../test/served/weather.ts";
import { type Stored, stored } from "../test/stored.ts";
import { listen } from "./listen.ts";

const root = join(import.meta.dirname, "..", "..");
/** Of each operation, in `make test`; `make prove` asks more. */
const CASES = 30;
const servers: Awaited<ReturnType<typeof listen>>[] = [];
let database: TestDatabase;
let s: Stored;
beforeAll(async () => {
  database = await startPostgres();
  s = await stored(
    database.settings,
    fakeKafka(() => NOW_MS),
  );
  const anomaly = {
    is_anomaly: true,
    anomaly_score: 2,
    anomaly_type: "range",
    evidence: ["x"],
    method: "rules",
  };
  await s.send(
    ["denver", "new-york", "buoy-7"].flatMap((id) =>
      [0, 1, 2].flatMap((i) => [
        s.record("predictions", id, { timestamp: T0_MS + i * 60_000, ...(i === 1 && { anomaly }) }),
        s.record("features", id, { window_end: T0_MS + i * 60_000 }),
        s.record("verifications", id, { valid: T0_MS + i * 60_000 }),
      ]),
    ),
  );
  await s.fill();
}, 120_000);
afterAll(async () => {
  await Promise.all(servers.map((server) => server.close()));
  await s?.remove();
  await database?.remove();
}, 60_000);

/** What Schemathesis says of an app: its exit code is 0 when every promise was kept. */
async function judge(api: ReturnType<typeof app>["app"], words: readonly string[]) {
  const at = { host: "127.0.0.1", port: 0, setting: "--port" };
  const server = await listen({ fetch: (request, env) => api.fetch(request, env as object) }, at);
  servers.push(server);
  const always = ["--generation-deterministic", "--no-color", "--request-timeout", "10"];
  const config = ["--config-file", join(import.meta.dirname, "schemathesis.toml")];
  const line = [
    ...config,
    "run",
    `${server.url}/openapi.json`,
    "--phases",
    "coverage,fuzzing",
    ...always,
    ...words,
  ];
  // It leaves what it found where it was started.
  const cwd = mkdtempSync(join(tmpdir(), "millrace-promises-"));
  const { exitCode, stdout, stderr } = await runProcess(join(root, ".venv", "bin", "st"), line, cwd);
  return { exitCode, said: `${stdout}${stderr}` };
}

/** A process to its end, whatever that is. */
function runProcess(command: string, words: readonly string[], cwd: string) {
  return new Promise<{ exitCode: number | null; stdout: string; stderr: string }>((resolve) => {
    const child = execFile(
      command,
      words,
      { cwd, timeout: 170_000, maxBuffer: 64 * 1024 * 1024 },
      (_, stdout, stderr) => resolve({ exitCode: child.exitCode, stdout, stderr }),
    );
  });
}

it(`keeps its promises in ${CASES} cases an operation`, { tags: ["slow"], timeout: 180_000 }, async () => {
  const errors: unknown[] = [];
  const [weather, gauges] = [
    served({ store: s.store }),
    served({ contract: GAUGES, needed_jobs: [], store: s.store }),
  ];
  for (const [i, id] of ["denver", "new-york", "buoy-7"].entries()) {
    weather.latest.predicted(id, prediction(), arrival(i));
    weather.latest.observed(id, features(), arrival(i));
    weather.verified.take(id, verification());
  }
  const { anomaly: _, ...record } = prediction({ predictions: { level_30m: 1.2 }, quantiles: {} });
  gauges.latest.predicted("g-1", record, arrival(1));
  const { app: api } = app({ pipelines: [weather, gauges], log: (error) => errors.push(error) });
  const { exitCode, said } = await judge(api, ["--exclude-path", "/stream", "--max-examples", String(CASES)]);
  expect(exitCode, said).toBe(0);
  const [, generated, passed] = /(\d+) generated, (\d+) passed/.exec(said) ?? [];
  expect(passed).toBe(generated);
  expect(Number(generated)).toBeGreaterThan(10 * CASES);
  expect(errors).toEqual([]);
});

it("would say of an answer that it breaks its promise", { tags: ["slow"], timeout: 60_000 }, async () => {
  const { app: api } = app({ models: async () => [{ ...MODEL, version: 3 as never }] });
  const { exitCode, said } = await judge(api, ["--include-path", "/models", "--max-examples", "1"]);
  expect(exitCode).toBe(1);
  expect(said).toContain("violates schema");
});
