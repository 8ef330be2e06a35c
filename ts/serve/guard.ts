// Who may ask, and how much: names the server answers to, origins a browser may ask from, keys and sessions, a rate. Stands in front
// of every route. On a loopback address no key is asked for; names and origins are looked at there too, because a page from
// elsewhere can reach this machine through its owner's browser.

import { randomBytes } from "node:crypto";
import { isIP } from "node:net";
import type { Context, MiddlewareHandler } from "hono";
import { getCookie } from "hono/cookie";
import type { Keyring } from "./keys.ts";
import { isLoopback } from "./listen.ts";
import { problem, respond } from "./problem.ts";

export interface GuardOptions {
  /** Whether only this machine reaches the address. */
  readonly loopback: boolean;
  /** Names it is asked under beside its addresses; of a server that others reach any, where none is said. */
  readonly hosts: readonly string[];
  /** Origins of other pages that may read answers: scheme, name and port. */
  readonly origins: readonly string[];
  /** Null where nobody is asked for a key. */
  readonly keys: Keyring | null;
  /** Requests a second that one client may go on with; null for no limit. */
  readonly rate: number | null;
  readonly tls: boolean;
  readonly clock: { nowMs(): number };
  /** One line a request; null for no access log. */
  readonly access: ((line: string) => void) | null;
}

/** Nothing from elsewhere is loaded, nothing inline is run. A form is sent only where somebody signs in. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
const SECURITY: Readonly<Record<string, string>> = {
  "content-security-policy": POLICY,
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "x-frame-options": "DENY",
  "permissions-policy": "camera=(), geolocation=(), microphone=()",
};

/** Longest body that is looked at: that of a sign-in. */
export const BODY_MAX = 4_096;
/** A second's worth of requests may come at once, this many times over. */
const BURST_S = 2;
/** Wrong keys a minute of one client, after which it has to wait: guessing is hopeless, and costs nothing. */
const WRONG_MAX = 10;
const CLIENTS_MAX = 10_000;
const SESSION_MS = 12 * 3_600_000;
const SESSIONS_MAX = 10_000;
const COOKIE = "millrace_session";
/** Always open: whoever watches the process has no key. */
const OPEN = new Set(["/health/live", "/web/page.css"]);

/** Tokens that come back with time, by client; the clients longest unheard are forgotten first. */
class Buckets {
  readonly #held = new Map<string, { tokens: number; at_ms: number }>();
  readonly #per_s: number;
  readonly #most: number;

  constructor(per_s: number, most: number) {
    this.#per_s = per_s;
    this.#most = most;
  }

  /** Whether there is one left, and takes it. */
  take(client: string, now_ms: number): boolean {
    const { tokens } = this.#now(client, now_ms);
    this.#put(client, Math.max(0, tokens - 1), now_ms);
    return tokens >= 1;
  }

  has(client: string, now_ms: number): boolean {
    return this.#now(client, now_ms).tokens >= 1;
  }

  #now(client: string, now_ms: number) {
    const held = this.#held.get(client) ?? { tokens: this.#most, at_ms: now_ms };
    return { tokens: Math.min(this.#most, held.tokens + ((now_ms - held.at_ms) / 1000) * this.#per_s) };
  }

  #put(client: string, tokens: number, at_ms: number): void {
    this.#held.delete(client);
    this.#held.set(client, { tokens, at_ms });
    if (this.#held.size > CLIENTS_MAX) this.#held.delete(this.#held.keys().next().value!);
  }
}

/** `127.0.0.1:8000`, `[::1]:8000`, `localhost` → the name alone, lower case; null for what is none. */
export function hostName(header: string): string | null {
  const [, bracketed, plain] = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:/?#@[\]]+))(?::\d{1,5})?$/.exec(header) ?? [];
  return (bracketed ?? plain)?.toLowerCase() ?? null;
}

/** The address of whoever asks, as the socket has it: a header can be anybody's. */
function clientOf(c: Context): string {
  const env = c.env as { incoming?: { socket?: { remoteAddress?: string } } } | undefined;
  return env?.incoming?.socket?.remoteAddress ?? "unknown";
}

/** The page of whoever has not signed in: complete without scripts. */
const SIGN_IN = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Sign in · Millrace</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/web/page.css">
</head>
<body>
<header><div><h1>Millrace</h1><p class="tag">This server asks for an API key: millrace keys add makes one.</p></div></header>
<main>
<form method="post" action="/session">
<label>API key <input name="key" type="password" autocomplete="current-password" required maxlength="128"></label>
<button>Sign in</button>
</form>
</main>
</body>
</html>
`;

export function guard(options: GuardOptions): MiddlewareHandler {
  const { keys, clock, rate, tls } = options;
  const names = new Set(options.hosts.map((host) => host.toLowerCase()));
  const rates = rate === null ? null : new Buckets(rate, Math.max(1, rate * BURST_S));
  const wrong = new Buckets(WRONG_MAX / 60, WRONG_MAX);
  const sessions = new Map<string, { readonly key: string; readonly until_ms: number }>();

  const knownHost = (c: Context): boolean => {
    const header = c.req.header("host") ?? new URL(c.req.url).host;
    const name = hostName(header);
    if (name === null) return false;
    if (names.has(name)) return true;
    if (options.loopback) return isLoopback(name);
    // An address is no name that somebody else could let point here.
    return names.size === 0 || isIP(name) !== 0;
  };

  /** The origin that may read the answer, "" for our own, null for one that may not ask. */
  const originOf = (c: Context): string | null => {
    const origin = c.req.header("origin");
    if (origin === undefined) return "";
    if (options.origins.includes(origin)) return origin;
    const host = c.req.header("host") ?? new URL(c.req.url).host;
    return origin === `${tls ? "https" : "http"}://${host}` ? "" : null;
  };

  const cookie = (value: string, age_s: number) =>
    `${COOKIE}=${value}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${age_s}${tls ? "; Secure" : ""}`;

  /** The id of the key somebody asks with, by itself or by a session; null without. */
  const keyOf = (c: Context): string | null => {
    if (!keys) return null;
    const bearer = /^Bearer (\S{1,128})$/i.exec(c.req.header("authorization") ?? "")?.[1];
    if (bearer !== undefined) return keys.check(bearer);
    const session = sessions.get(getCookie(c, COOKIE) ?? "");
    if (!session || session.until_ms <= clock.nowMs() || !keys.has(session.key)) return null;
    return session.key;
  };

  const signIn = async (c: Context, client: string): Promise<Response> => {
    const now_ms = clock.nowMs();
    const length = Number(c.req.header("content-length") ?? Number.NaN);
    const type = c.req.header("content-type") ?? "";
    if (!(length <= BODY_MAX) || !type.startsWith("application/x-www-form-urlencoded"))
      return respond(
        problem("bad_parameter", `Expected a form with "key" of at most ${BODY_MAX} bytes`, c.req.path),
      );
    const id = keys!.check(new URLSearchParams(await c.req.text()).get("key") ?? "");
    if (id === null) {
      wrong.take(client, now_ms);
      return respond(problem("key_needed", "No such key is in force", c.req.path));
    }
    for (const [name, { until_ms }] of sessions)
      if (until_ms <= now_ms || sessions.size >= SESSIONS_MAX) sessions.delete(name);
    const session = randomBytes(32).toString("base64url");
    sessions.set(session, { key: id, until_ms: now_ms + SESSION_MS });
    return new Response(null, {
      status: 303,
      headers: {
        location: "/",
        "set-cookie": cookie(session, SESSION_MS / 1000),
        "cache-control": "no-store",
      },
    });
  };

  const signOut = (c: Context): Response => {
    sessions.delete(getCookie(c, COOKIE) ?? "");
    return new Response(null, {
      status: 204,
      headers: { "set-cookie": cookie("", 0), "cache-control": "no-store" },
    });
  };

  /** The answer of whoever may not pass; null for whoever may. */
  const refused = async (c: Context, client: string, who: (id: string) => void): Promise<Response | null> => {
    const { path, method } = c.req;
    const now_ms = clock.nowMs();
    if (!knownHost(c))
      return respond(
        problem("wrong_host", `Nothing is served under "${(c.req.header("host") ?? "").slice(0, 80)}"`, path),
      );
    const origin = originOf(c);
    if (origin === null)
      return respond(
        problem(
          "foreign_origin",
          `A page of "${(c.req.header("origin") ?? "").slice(0, 80)}" may not ask here`,
          path,
        ),
      );
    if (origin !== "" && method === "OPTIONS" && c.req.header("access-control-request-method"))
      return new Response(null, {
        status: 204,
        headers: {
          "access-control-allow-methods": "GET, HEAD",
          "access-control-allow-headers": "authorization, if-none-match, last-event-id",
          "access-control-max-age": "600",
        },
      });
    const sent = c.req.header("content-length");
    if (sent !== undefined && Number(sent) > BODY_MAX)
      return respond(
        problem("body_too_large", `Expected at most ${BODY_MAX} bytes, got ${sent.slice(0, 20)}`, path),
        {
          connection: "close",
        },
      );
    if (rates && !rates.take(client, now_ms))
      return respond(problem("too_many_requests", `More than ${rate} requests a second`, path), {
        "retry-after": "1",
      });
    // Nothing is read of it, and whoever has no session has none afterwards: no key is asked for.
    if (path === "/session" && method === "DELETE") return signOut(c);
    if (!keys || OPEN.has(path)) return null;
    if (!wrong.has(client, now_ms))
      return respond(problem("too_many_requests", "Too many wrong keys", path), { "retry-after": "60" });
    if (path === "/session" && method === "POST") return signIn(c, client);
    const id = keyOf(c);
    if (id !== null) {
      who(id);
      return null;
    }
    if (c.req.header("authorization") !== undefined) wrong.take(client, now_ms);
    // A person who comes by the address of some page can only sign in; programs do not ask for HTML.
    const person = method === "GET" && (c.req.header("accept") ?? "").includes("text/html");
    if (person)
      return new Response(SIGN_IN, {
        status: 401,
        headers: { "content-type": "text/html; charset=utf-8", "cache-control": "no-store" },
      });
    return respond(problem("key_needed", "This server answers only whoever has a key", path), {
      "www-authenticate": 'Bearer realm="millrace"',
    });
  };

  return async (c, next) => {
    const started_ms = performance.now();
    const client = clientOf(c);
    let key: string | null = null;
    const answer = await refused(c, client, (id) => {
      key = id;
    });
    if (answer) c.res = answer;
    else await next();
    const { headers } = c.res;
    for (const [name, value] of Object.entries(SECURITY)) headers.set(name, value);
    if (tls) headers.set("strict-transport-security", "max-age=31536000");
    const origin = originOf(c);
    if (origin) {
      headers.set("access-control-allow-origin", origin);
      headers.set("access-control-expose-headers", "etag, link, retry-after");
      headers.set("cross-origin-resource-policy", "cross-origin");
    }
    if (options.origins.length > 0) headers.append("vary", "origin");
    // Neither query nor headers: what somebody may have put there is not written down.
    options.access?.(
      JSON.stringify({
        at: new Date(clock.nowMs()).toISOString(),
        client,
        key,
        method: c.req.method,
        path: c.req.path.slice(0, 200),
        status: c.res.status,
        ms: Math.round((performance.now() - started_ms) * 10) / 10,
      }),
    );
  };
}
