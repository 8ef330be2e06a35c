// Schemathesis against the running server: whatever its description lets somebody ask, it answers as the description says, and never
// with a fault of its own. Without /stream, which has a suite of its own.

import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { judge } from "../rehearse/line/schemathesis.ts";
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

/** What Schemathesis says of an app. */
async function judged(api: ReturnType<typeof app>["app"], cases: number, words: readonly string[] = []) {
  const at = { host: "127.0.0.1", port: 0, setting: "--port" };
  const server = await listen({ fetch: (request, env) => api.fetch(request, env as object) }, at);
  servers.push(server);
  return judge({ root, url: server.url, cases, words, limit_ms: 170_000 });
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
  const { exitCode, said, generated, passed } = await judged(api, CASES);
  expect(exitCode, said).toBe(0);
  expect(passed).toBe(generated);
  expect(generated).toBeGreaterThan(10 * CASES);
  expect(errors).toEqual([]);
});

it("would say of an answer that it breaks its promise", { tags: ["slow"], timeout: 60_000 }, async () => {
  const { app: api } = app({ models: async () => [{ ...MODEL, version: 3 as never }] });
  const { exitCode, said } = await judged(api, 1, ["--include-path", "/models"]);
  expect(exitCode).toBe(1);
  expect(said).toContain("violates schema");
});
