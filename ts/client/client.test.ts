// The examples of docs/api.md, each run as it stands there against a real server, but for the port; and the client as a program uses it.

import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clientTypes } from "../codegen/client.ts";
import { PipelineError } from "../contract/index.ts";
import { listen } from "../serve/listen.ts";
import { fakeKafka } from "../test/fakes/kafka.ts";
import { startPostgres, type TestDatabase } from "../test/postgres.ts";
import { app, arrival, NOW_MS, prediction } from "../test/served/weather.ts";
import { type Stored, stored } from "../test/stored.ts";
import { millrace } from "./index.ts";

const root = join(import.meta.dirname, "..", "..");
const run = promisify(execFile);
let server: Awaited<ReturnType<typeof listen>>;
let database: TestDatabase;
let s: Stored;

beforeAll(async () => {
  database = await startPostgres();
  s = await stored(
    database.settings,
    fakeKafka(() => NOW_MS),
  );
  await s.send([s.record("predictions", "new-york")]);
  await s.fill();
  const { app: api, latest } = app({ store: s.store });
  latest.predicted("new-york", prediction(), arrival(1));
  server = await listen(
    { fetch: (request) => api.fetch(request) },
    { host: "127.0.0.1", port: 0, setting: "--port" },
  );
}, 120_000);
afterAll(async () => {
  await server?.close();
  await s?.remove();
  await database?.remove();
}, 60_000);

/** The one block of a language in the section about programs. */
function example(language: string): string {
  const [, section = ""] =
    /## From a program\n([\s\S]*?)\n## /.exec(readFileSync(join(root, "docs/api.md"), "utf8")) ?? [];
  const blocks = [...section.matchAll(new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``, "g"))];
  expect(blocks, language).toHaveLength(1);
  return blocks[0]![1]!.replaceAll("http://127.0.0.1:8000", server.url);
}

const NODE = ["--no-warnings", "--input-type=module-typescript", "-e"];

describe("the examples in docs/api.md", () => {
  it.each([
    ["sh", "sh", ["-c"], '"temperature_6h":3.1'],
    [
      "sh",
      "sh",
      ["-c"],
      "new-york,2016-12-04T13:05:00.000Z,temperature,6,2016-12-04T19:05:00.000Z,degC,3.1,",
    ],
    ["python", join(root, ".venv", "bin", "python"), ["-c"], "2016-12-04T19:05:00.000Z 3.1 degC 1.1 5.6"],
    ["js", process.execPath, NODE, "2016-12-04T19:05:00.000Z 3.1 degC"],
    ["ts", process.execPath, NODE, "2016-12-04T19:05:00.000Z 3.1 degC"],
  ] as const)("in %s says what it should", { tags: ["slow"] }, async (language, command, flags, said) => {
    const { stdout } = await run(command, [...flags, example(language)], { cwd: root, timeout: 15_000 });
    expect(stdout).toContain(said);
  });
});

describe("millrace()", () => {
  it("resolves to what the route promises, or to a problem", async () => {
    const client = millrace(server.url);
    const { data } = await client.GET("/stations", { params: { query: { limit: 2 } } });
    expect(data?.stations.map(({ station_id }) => station_id)).toEqual(["denver", "new-york"]);
    const { error } = await client.GET("/predictions/{station_id}", {
      params: { path: { station_id: "../x" } },
    });
    expect(error).toMatchObject({ code: "unknown_station", status: 404 });
  });

  it("sends its key", async () => {
    const seen: (string | null)[] = [];
    const fetch = async (request: RequestInfo | URL) => {
      seen.push((request as Request).headers.get("authorization"));
      return Response.json({ status: "ok" });
    };
    await millrace("http://127.0.0.1:1", { key: "mr_1", fetch }).GET("/health/live");
    expect(seen).toEqual(["Bearer mr_1"]);
  });
});

describe("clientTypes()", () => {
  it("refuses a keyword that it has no rule for", () => {
    const document = { paths: {}, components: { schemas: { X: { type: "string", pattern: "a" } } } };
    expect(() => clientTypes(document, "x")).toThrow(PipelineError);
  });
});
