// Schemathesis against the running server: whatever its description lets somebody ask, it answers as the description says, and never
// with a fault of its own. Without /stream, which has a suite of its own.

import { execFile } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { CONTRACT as GAUGES } from "../test/pipelines/generated/gauges.ts";
import { app, arrival, features, MODEL, prediction, served, verification } from "../test/served/weather.ts";
import { listen } from "./listen.ts";

const root = join(import.meta.dirname, "..", "..");
/** Of each operation, in `make test`; `make prove` asks more. */
const CASES = 30;
const servers: Awaited<ReturnType<typeof listen>>[] = [];
afterAll(() => Promise.all(servers.map((server) => server.close())));

/** What Schemathesis says of an app: its exit code is 0 when every promise was kept. */
async function judge(api: ReturnType<typeof app>["app"], words: readonly string[]) {
  const at = { host: "127.0.0.1", port: 0, setting: "--port" };
  const server = await listen({ fetch: (request, env) => api.fetch(request, env as object) }, at);
  servers.push(server);
  const always = ["--generation-deterministic", "--no-color", "--request-timeout", "10"];
  const line = ["run", `${server.url}/openapi.json`, "--phases", "coverage,fuzzing", ...always, ...words];
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
  const [weather, gauges] = [served(), served({ contract: GAUGES, needed_jobs: [] })];
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
