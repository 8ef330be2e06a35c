import { mkdtempSync, readFileSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { PipelineError } from "../contract/index.ts";
import { app, arrival, NOW_MS, OPEN, prediction } from "../test/served/weather.ts";
import { type GuardOptions, hostName } from "./guard.ts";
import { addKey, keyring, readKeys, revokeKey } from "./keys.ts";

type Headers = Record<string, string>;

function guarded(more: Partial<GuardOptions> = {}) {
  const lines: string[] = [];
  let now_ms = NOW_MS;
  const options = {
    ...OPEN,
    clock: { nowMs: () => now_ms },
    access: (line: string) => lines.push(line),
    ...more,
  };
  const { app: api, latest } = app({ guard: options });
  latest.predicted("new-york", prediction(), arrival(1));
  const ask = (path: string, headers: Headers = {}, init: RequestInit = {}) =>
    api.request(path, { headers, ...init });
  const code = async (path: string, headers: Headers = {}, init: RequestInit = {}) => {
    const response = await ask(path, headers, init);
    const body = response.headers.get("content-type")?.includes("json")
      ? ((await response.json()) as { code?: string })
      : {};
    return [response.status, body.code];
  };
  return {
    ask,
    code,
    lines,
    pass: (ms: number) => {
      now_ms += ms;
    },
  };
}

describe("on a loopback address", () => {
  it.each(["127.0.0.1:8000", "localhost", "localhost:1", "[::1]:8000", "127.8.9.1", "LOCALHOST:8000"])(
    "answers under %s",
    async (host) => expect((await guarded().ask("/stations", { host })).status).toBe(200),
  );

  // A name that somebody lets point here would let their page read what is for this machine alone.
  it.each([
    "evil.example",
    "127.0.0.1.evil.example:8000",
    "10.0.0.1",
    "a b",
    "localhost:x",
    "user@localhost",
    "",
    "[::1",
    "0.0.0.0",
  ])("does not answer under %s", async (host) => {
    // An empty header is taken away on the way here.
    if (host === "") return expect(hostName("")).toBeNull();
    expect(await guarded().code("/stations", { host })).toEqual([421, "wrong_host"]);
  });

  it("answers under a name that was allowed", async () => {
    const { code } = guarded({ hosts: ["millrace.example"] });
    expect(await code("/stations", { host: "millrace.example:8000" })).toEqual([200, undefined]);
  });

  it("refuses a page from elsewhere, and lets its own and a named one ask", async () => {
    const { ask, code } = guarded({ origins: ["https://board.example"] });
    const host = "127.0.0.1:8000";
    for (const origin of ["https://evil.example", "null", "http://127.0.0.1:9999", "https://127.0.0.1:8000"])
      expect(await code("/stations", { host, origin })).toEqual([403, "foreign_origin"]);
    const own = await ask("/stations", { host, origin: "http://127.0.0.1:8000" });
    expect(own.status).toBe(200);
    expect(own.headers.get("access-control-allow-origin")).toBeNull();
    const named = await ask("/stations", { host, origin: "https://board.example" });
    expect(named.headers.get("access-control-allow-origin")).toBe("https://board.example");
    expect(named.headers.get("vary")).toContain("origin");
    const asked = { host, origin: "https://board.example", "access-control-request-method": "GET" };
    const preflight = await ask("/stations", asked, { method: "OPTIONS" });
    expect([preflight.status, preflight.headers.get("access-control-allow-methods")]).toEqual([
      204,
      "GET, HEAD",
    ]);
  });

  it("says with each answer what a browser may do with it", async () => {
    for (const path of ["/", "/stations", "/nothing", "/web/page.css"]) {
      const { headers } = await guarded().ask(path);
      expect(headers.get("content-security-policy")).toContain("default-src 'none'");
      expect(headers.get("content-security-policy")).not.toMatch(/unsafe|\*|https?:/);
      expect(headers.get("x-content-type-options")).toBe("nosniff");
      expect(headers.get("access-control-allow-origin")).toBeNull();
    }
  });
});

describe("where other machines ask", () => {
  let path: string;
  let key: string;
  const remote = (more: Partial<GuardOptions> = {}) => {
    let now_ms = NOW_MS;
    const keys = keyring(path, { nowMs: () => (now_ms += 2_000) });
    return guarded({ loopback: false, keys, ...more });
  };
  beforeEach(() => {
    path = join(mkdtempSync(join(tmpdir(), "millrace-keys-")), "keys.json");
    key = addKey(path, "grafana", NOW_MS).key;
  });

  it("a key is asked for by everything but what only says that the process lives", async () => {
    const { code, ask } = remote();
    for (const path of [
      "/stations",
      "/weather/stations",
      "/health",
      "/health/ready",
      "/metrics",
      "/openapi.json",
      "/docs",
      "/stream",
      "/nothing",
      "/health/live/x",
      "//health/live",
      "/HEALTH/LIVE",
    ])
      expect([path, ...(await code(path))]).toEqual([path, 401, "key_needed"]);
    expect((await ask("/health/live")).status).toBe(200);
    expect((await ask("/stations")).headers.get("www-authenticate")).toContain("Bearer");
    expect(await code("/stations", { authorization: `Bearer ${key}` })).toEqual([200, undefined]);
  });

  it.each([
    "",
    "Bearer",
    "Bearer x",
    "Basic abc",
    `Bearer mr_00000000_${"A".repeat(43)}`,
    `Bearer ${"x".repeat(10_000)}`,
  ])("refuses %s", async (authorization) =>
    expect(await remote().code("/stations", { authorization })).toEqual([401, "key_needed"]),
  );

  it("a key that was revoked is refused by a server that runs", async () => {
    const { code } = remote();
    const headers = { authorization: `Bearer ${key}` };
    expect(await code("/stations", headers)).toEqual([200, undefined]);
    revokeKey(path, "grafana");
    expect(await code("/stations", headers)).toEqual([401, "key_needed"]);
  });

  it("a person signs in once, and gets a cookie that no script reads and no other page sends", async () => {
    const { ask, code } = remote({ tls: true });
    const page = await ask("/", { accept: "text/html,*/*" });
    expect(page.status).toBe(401);
    expect(await page.text()).toContain('<form method="post" action="/session">');
    for (const path of ["/stations/new-york", "/weather/pages/system"])
      expect(await (await ask(path, { accept: "text/html,*/*" })).text()).toContain("<form");
    const form = `key=${encodeURIComponent(key)}`;
    const type = {
      "content-type": "application/x-www-form-urlencoded",
      "content-length": String(form.length),
    };
    const wrong = "key=mr_none";
    expect(
      await code(
        "/session",
        { ...type, "content-length": String(wrong.length) },
        { method: "POST", body: wrong },
      ),
    ).toEqual([401, "key_needed"]);
    const signed = await ask("/session", type, { method: "POST", body: form });
    expect([signed.status, signed.headers.get("location")]).toEqual([303, "/"]);
    const cookie = signed.headers.get("set-cookie")!;
    for (const word of ["HttpOnly", "SameSite=Strict", "Path=/", "Secure"]) expect(cookie).toContain(word);
    expect(cookie).not.toContain(key.slice(12));
    const headers = { cookie: cookie.split(";")[0]! };
    expect(await code("/stations", headers)).toEqual([200, undefined]);
    expect((await ask("/", { ...headers, accept: "text/html" })).status).toBe(200);
    expect(await code("/stations", { cookie: "millrace_session=forged" })).toEqual([401, "key_needed"]);
    // Whoever loses the key loses what was opened with it.
    revokeKey(path, "grafana");
    expect(await code("/stations", headers)).toEqual([401, "key_needed"]);
  });

  it("whoever signs out has no session any more, whatever copy of the cookie is left", async () => {
    const { ask, code } = remote();
    const form = `key=${encodeURIComponent(key)}`;
    const type = {
      "content-type": "application/x-www-form-urlencoded",
      "content-length": String(form.length),
    };
    const [one, other] = await Promise.all(
      [1, 2].map(async () => {
        const signed = await ask("/session", type, { method: "POST", body: form });
        return { cookie: signed.headers.get("set-cookie")!.split(";")[0]! };
      }),
    );
    expect(await code("/session", { ...one!, origin: "https://evil.example" }, { method: "DELETE" })).toEqual(
      [403, "foreign_origin"],
    );
    expect(await code("/stations", one!)).toEqual([200, undefined]);
    const out = await ask("/session", one!, { method: "DELETE" });
    expect(out.status).toBe(204);
    expect(out.headers.get("set-cookie")).toContain(
      "millrace_session=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0",
    );
    expect(await code("/stations", one!)).toEqual([401, "key_needed"]);
    expect(await code("/stations", other!)).toEqual([200, undefined]);
    expect((await ask("/session", {}, { method: "DELETE" })).status).toBe(204);
  });

  it("a sign-in from a page elsewhere, of another form or too long is refused", async () => {
    const { code } = remote();
    const form = { "content-type": "application/x-www-form-urlencoded", "content-length": "9" };
    const post = { method: "POST", body: "key=aaaaa" };
    expect(await code("/session", { ...form, origin: "https://evil.example" }, post)).toEqual([
      403,
      "foreign_origin",
    ]);
    expect(await code("/session", { ...form, "content-type": "application/json" }, post)).toEqual([
      400,
      "bad_parameter",
    ]);
    expect(await code("/session", { ...form, "content-length": "10000000" }, post)).toEqual([
      413,
      "body_too_large",
    ]);
  });

  it("asks guessers to wait, and nobody else", async () => {
    const { code, pass } = remote();
    for (let i = 0; i < 10; i++) await code("/stations", { authorization: "Bearer guess" });
    expect(await code("/stations", { authorization: "Bearer guess" })).toEqual([429, "too_many_requests"]);
    pass(60_000);
    expect(await code("/stations", { authorization: `Bearer ${key}` })).toEqual([200, undefined]);
  });

  it("a rate is held, with a burst of two seconds", async () => {
    const { code, ask, pass } = guarded({ rate: 5 });
    for (let i = 0; i < 10; i++) expect((await ask("/stations")).status).toBe(200);
    expect(await code("/stations")).toEqual([429, "too_many_requests"]);
    expect((await ask("/stations")).headers.get("retry-after")).toBe("1");
    pass(1_000);
    expect((await ask("/stations")).status).toBe(200);
  });

  it("the access log says who asked for what, and no secret", async () => {
    const { ask, lines } = remote();
    await ask(`/stations?token=${key}`, { authorization: `Bearer ${key}`, cookie: "millrace_session=abc" });
    await ask("/stations", { authorization: "Bearer wrong-but-secret" });
    const [first, second] = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(first).toMatchObject({
      key: readKeys(path)[0]!.id,
      method: "GET",
      path: "/stations",
      status: 200,
    });
    expect(second).toMatchObject({ key: null, status: 401 });
    expect(lines.join()).not.toMatch(/wrong-but-secret|session=|token/);
    expect(lines.join()).not.toContain(key);
  });
});

describe("keys", () => {
  const file = () => join(mkdtempSync(join(tmpdir(), "millrace-keys-")), "keys.json");

  it("are kept as digests, in a file that is its owner's alone", () => {
    const path = file();
    const { key, id } = addKey(path, "grafana", NOW_MS);
    expect(key).toMatch(/^mr_[0-9a-f]{8}_[A-Za-z0-9_-]{43}$/);
    expect(readFileSync(path, "utf8")).not.toContain(key.slice(12));
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readKeys(path)).toMatchObject([{ id, name: "grafana", created_ms: NOW_MS }]);
    const ring = keyring(path, { nowMs: () => NOW_MS });
    expect(ring.check(key)).toBe(id);
    expect(ring.check(`${key.slice(0, -1)}${key.endsWith("A") ? "B" : "A"}`)).toBeNull();
  });

  it("are named for people, and revoked by id or name", () => {
    const path = file();
    const { id } = addKey(path, "a", 0);
    addKey(path, "b", 0);
    expect(revokeKey(path, id).name).toBe("a");
    expect(revokeKey(path, "b").name).toBe("b");
    expect(() => revokeKey(path, "b")).toThrow(PipelineError);
    for (const name of ["", "\n", "x".repeat(65), "<b>"])
      expect(() => addKey(path, name, 0)).toThrow(PipelineError);
  });
});
