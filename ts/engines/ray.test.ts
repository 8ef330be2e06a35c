// Ray's words in ours, against canned replies. The real head is in test/cluster/jobs.test.ts.

import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { PipelineError } from "../contract/errors.ts";
import type { Exchange, Http } from "../ground/http.ts";
import { RAY_STATES, rayRunner, rayStatus } from "./ray.ts";

const address = { rayUrl: "http://ray:8265", pythonPath: "/env/it's/python" };
const handle = { id: "a-1", submission: "a-1", params_path: "/p.json" };

describe("rayStatus()", () => {
  it("maps each of Ray's five states", () => {
    expect(RAY_STATES.map((state) => [state, rayStatus(state, null).state])).toEqual([
      ["PENDING", "waiting"],
      ["RUNNING", "running"],
      ["STOPPED", "stopped"],
      ["SUCCEEDED", "succeeded"],
      ["FAILED", "failed"],
    ]);
  });
  it("keeps Ray's reason", () => {
    expect(rayStatus("FAILED", "out of memory")).toEqual({ state: "failed", reason: "out of memory" });
  });
});

describe("rayRunner()", () => {
  it("reads 404 as unknown and refuses a state it does not know", async () => {
    const nothing: Http = async () => ({ status: 404, text: "no such job" });
    expect((await rayRunner(address, { http: nothing }).status(handle)).state).toBe("unknown");
    const odd: Http = async () => ({ status: 200, text: JSON.stringify({ status: "DREAMING" }) });
    await expect(rayRunner(address, { http: odd }).status(handle)).rejects.toMatchObject({
      code: "ray_rejected",
      message: expect.stringContaining('got "DREAMING"'),
    });
  });

  it("looks first, uploads the code once, and submits with the trailing slash", async () => {
    const code = mkdtempSync(join(tmpdir(), "millrace-code-"));
    mkdirSync(join(code, "a", "__pycache__"), { recursive: true });
    writeFileSync(join(code, "a", "b.py"), "print(1)\n");
    writeFileSync(join(code, "a", "__pycache__", "b.pyc"), "x");
    const calls: Exchange[] = [];
    let held = false;
    const http: Http = async (exchange) => {
      calls.push(exchange);
      if (exchange.method === "PUT") held = true;
      if (exchange.url.includes("/packages/")) return { status: held ? 200 : 404, text: "" };
      if (exchange.method === "POST") return { status: 200, text: '{"submission_id":"a-1"}' };
      return { status: 404, text: "" };
    };
    const runner = rayRunner(address, { http });
    const spec = {
      name: "a",
      submission: "a-1",
      params_path: "/p.json",
      launch: { engine: "ray", entrypoint: "a.b", code },
    } as const;
    expect(await runner.submit(spec)).toEqual(handle);
    expect(
      calls.map(
        ({ method = "GET", url }) => `${method} ${new URL(url).pathname.replace(/_[0-9a-f]{32}/, "_HASH")}`,
      ),
    ).toEqual([
      "GET /api/jobs/a-1",
      "GET /api/packages/gcs/_ray_pkg_HASH.zip",
      "PUT /api/packages/gcs/_ray_pkg_HASH.zip",
      "POST /api/jobs/",
    ]);
    expect(calls.at(-1)?.body).toMatchObject({
      submission_id: "a-1",
      entrypoint: "exec '/env/it'\\''s/python' -m a.b '/p.json'",
      metadata: { name: "a", params_path: "/p.json" },
    });
    calls.length = 0;
    await runner.submit(spec);
    expect(calls.filter(({ method }) => method === "PUT")).toEqual([]);
  });

  it.each([
    ["taken", 1],
    ["not taken", 2],
  ] as const)("resolves a submission whose answer was lost by looking: %s", async (what, posts) => {
    const code = mkdtempSync(join(tmpdir(), "millrace-code-"));
    writeFileSync(join(code, "a.py"), "");
    let taken = false;
    let asked = 0;
    const http: Http = async ({ method = "GET", url }) => {
      if (url.includes("/packages/")) return { status: 200, text: "" };
      const job = {
        type: "SUBMISSION",
        submission_id: "a-1",
        status: "RUNNING",
        message: null,
        metadata: { params_path: "/p.json" },
      };
      if (method === "GET")
        return taken ? { status: 200, text: JSON.stringify(job) } : { status: 404, text: "" };
      asked++;
      taken = what === "taken" || asked === 2;
      if (asked === 1)
        throw new PipelineError("ray_unreachable", "Cannot submit: expected an answer, got none", {
          context: { fault: "lost" },
        });
      return { status: 200, text: '{"submission_id":"a-1"}' };
    };
    const pace = { tries: 3, first_ms: 1, most_ms: 1, deadline_ms: 60_000 };
    const launch = { engine: "ray", entrypoint: "a.b", code } as const;
    const spec = { name: "a", submission: "a-1", params_path: "/p.json", launch };
    expect(await rayRunner(address, { http, pace }).submit(spec)).toEqual(handle);
    expect(asked).toBe(posts);
  });
});
