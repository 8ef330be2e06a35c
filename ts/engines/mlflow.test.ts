// MLflow's answers in our words, against canned replies in its own wording. The real server is in test/cluster/models.test.ts.

import { describe, expect, it } from "vitest";
import { PipelineError } from "../contract/errors.ts";
import type { Exchange, Http } from "../ground/http.ts";
import { mlflowOf } from "./mlflow.ts";

const address = { mlflowUrl: "http://mlflow:5000/" };
const sent = (version: number, tags: Record<string, string> = {}) => ({
  name: "weather",
  version: String(version),
  creation_timestamp: 1_000 * version,
  run_id: `run-${version}`,
  tags: Object.entries(tags).map(([key, value]) => ({ key, value })),
});
const MISSING = { error_code: "RESOURCE_DOES_NOT_EXIST", message: "not found" };

/** Answers by the last part of the route; keeps what was asked. */
function server(routes: Record<string, { status?: number; body: unknown }[]>) {
  const asked: Exchange[] = [];
  const http: Http = async (exchange) => {
    asked.push(exchange);
    const route = Object.keys(routes).find((path) => new URL(exchange.url).pathname.endsWith(path));
    const answers = route === undefined ? undefined : routes[route];
    const answer = answers !== undefined && answers.length > 1 ? answers.shift() : answers?.[0];
    if (answer === undefined) return { status: 404, text: JSON.stringify(MISSING) };
    return {
      status: answer.status ?? 200,
      text: typeof answer.body === "string" ? answer.body : JSON.stringify(answer.body),
    };
  };
  return { asked, mlflow: mlflowOf(address, { http }) };
}

describe("mlflowOf()", () => {
  it("byAlias() reads tags and every alias of the version", async () => {
    const { mlflow } = server({
      "registered-models/alias": [
        { body: { model_version: sent(3, { digest: "d3", fingerprint: "f", parent: "2" }) } },
      ],
      "registered-models/get": [
        {
          body: {
            registered_model: {
              aliases: [
                { alias: "champion", version: "3" },
                { alias: "challenger", version: 3 },
                { alias: "old", version: "2" },
              ],
            },
          },
        },
      ],
    });
    expect(await mlflow.byAlias("weather", "champion")).toEqual({
      model: "weather",
      version: "3",
      aliases: ["challenger", "champion"],
      created_ms: 3_000,
      run_id: "run-3",
      digest: "d3",
      card: null,
      fingerprint: "f",
      contract_fingerprint: null,
      parent: "2",
      submission: null,
      rival: null,
    });
  });

  it("tells an unset alias from an answer it does not understand", async () => {
    const unset = { error_code: "INVALID_PARAMETER_VALUE", message: "Registered model alias x not found." };
    expect(
      await server({ "registered-models/alias": [{ status: 400, body: unset }] }).mlflow.byAlias("w", "x"),
    ).toBeNull();
    expect(await server({}).mlflow.byAlias("w", "x")).toBeNull();
    const bad = { error_code: "INVALID_PARAMETER_VALUE", message: "Invalid value for name" };
    await expect(
      server({ "registered-models/alias": [{ status: 400, body: bad }] }).mlflow.byAlias("w", "x"),
    ).rejects.toMatchObject({ code: "job_failed", message: expect.stringContaining("got HTTP 400") });
    await expect(
      server({ "registered-models/alias": [{ body: "<html>" }] }).mlflow.byAlias("w", "x"),
    ).rejects.toMatchObject({ code: "job_failed" });
  });

  it("versions() follows the pages and sorts by number", async () => {
    const { asked, mlflow } = server({
      "model-versions/search": [
        { body: { model_versions: [sent(2), sent(10)], next_page_token: "t" } },
        { body: { model_versions: [sent(1)] } },
      ],
    });
    expect((await mlflow.versions("weather")).map((v) => v.version)).toEqual(["10", "2", "1"]);
    const searches = asked.filter((x) => x.url.includes("search")).map((x) => new URL(x.url).searchParams);
    expect(searches.map((s) => [s.get("filter"), s.get("page_token")])).toEqual([
      ["name='weather'", null],
      ["name='weather'", "t"],
    ]);
  });

  it("versions() of an unknown model is empty", async () => {
    expect(await server({ "model-versions/search": [{ body: {} }] }).mlflow.versions("nope")).toEqual([]);
  });

  it("setAlias() refuses a version that does not exist", async () => {
    await expect(server({}).mlflow.setAlias("weather", "champion", "9")).rejects.toMatchObject({
      code: "model_refused",
      message: expect.stringContaining("version 9"),
    });
  });

  it("health() fails on anything but 200", async () => {
    await expect(server({ "/health": [{ body: "OK" }] }).mlflow.health()).resolves.toBeUndefined();
    await expect(server({ "/health": [{ status: 503, body: "" }] }).mlflow.health()).rejects.toMatchObject({
      code: "store_unreachable",
    });
  });

  it("metrics() are by name, in order", async () => {
    const metrics = [
      { key: "b_mae_degC", value: 2 },
      { key: "a_mae_degC", value: 1 },
    ];
    const { mlflow } = server({ "runs/get": [{ body: { run: { data: { metrics } } } }] });
    expect(Object.entries(await mlflow.metrics("run-1"))).toEqual([
      ["a_mae_degC", 1],
      ["b_mae_degC", 2],
    ]);
  });

  describe("a change whose answer is lost", () => {
    /** A registry of one model; each change is carried out or not, and its answer lost, as the test says. */
    function registry(lose: "before" | "after") {
      const state = { champion: "1", versions: [sent(1), sent(2)], changes: 0, moved_meanwhile: false };
      let losses = 1;
      const http: Http = async ({ url, method = "GET", body }) => {
        const reply = (value: unknown) => ({ status: 200, text: JSON.stringify(value) });
        const path = new URL(url).pathname;
        if (method === "GET") {
          if (path.endsWith("model-versions/search")) return reply({ model_versions: state.versions });
          if (path.endsWith("registered-models/get")) return reply({ registered_model: {} });
          if (path.endsWith("model-versions/get"))
            return reply({ model_version: { ...sent(2), source: "mlflow-artifacts:/x" } });
          return reply({ model_version: sent(Number(state.champion)) });
        }
        const lost = losses-- > 0;
        if (!lost || lose === "after") {
          state.changes++;
          if (path.endsWith("alias")) state.champion = (body as { version: string }).version;
          else state.versions.push({ ...sent(3), run_id: "run-2" });
        }
        if (state.moved_meanwhile) state.champion = "7";
        if (lost)
          throw new PipelineError("store_unreachable", "Cannot ask: expected an answer, got none", {
            context: { fault: "lost" },
          });
        return reply({ model_version: { ...sent(3), run_id: "run-2" } });
      };
      const pace = { tries: 3, first_ms: 1, most_ms: 1, deadline_ms: 60_000 };
      return { state, mlflow: mlflowOf(address, { http, pace }) };
    }

    it.each(["before", "after"] as const)("setAlias() moves it once (lost %s)", async (lose) => {
      const { state, mlflow } = registry(lose);
      await mlflow.setAlias("weather", "champion", "2");
      expect(state).toMatchObject({ champion: "2", changes: 1 });
    });
    it("setAlias() does not overrule who moved it meanwhile", async () => {
      const { state, mlflow } = registry("before");
      state.moved_meanwhile = true;
      await expect(mlflow.setAlias("weather", "champion", "2")).rejects.toMatchObject({
        code: "model_refused",
        message: expect.stringContaining("somebody moved it to 7"),
      });
      expect(state.champion).toBe("7");
    });
    it.each(["before", "after"] as const)("copy() makes one version (lost %s)", async (lose) => {
      const { state, mlflow } = registry(lose);
      expect(await mlflow.copy({ model: "weather", version: "2" }, "other")).toBe("3");
      expect(state).toMatchObject({ changes: 1 });
    });
  });
});
