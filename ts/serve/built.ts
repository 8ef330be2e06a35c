// The page as `make setup` has built it from ts/web: a folder of files, read once and compressed once. Knows nothing of what is in
// them. Vite names a file by its content, so one with such a name may be kept for good; the rest is asked about again.

import { readdirSync, readFileSync } from "node:fs";
import { extname, join, sep } from "node:path";
import { gzipSync } from "node:zlib";
import { PipelineError } from "../contract/index.ts";
import { digestOf, isKnown } from "./route.ts";

export interface Asset {
  readonly type: string;
  readonly body: Buffer;
  /** The same, smaller; null where that is not worth it. */
  readonly gzip: Buffer | null;
  readonly etag: string;
  /** Whether its name says its content. */
  readonly lasting: boolean;
}

export interface Built {
  /** What is served at the address of every page. */
  readonly shell: Asset;
  /** A file by its path on the server; null for a path that is not one of them. */
  asset(path: string): Asset | null;
}

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".svg": "image/svg+xml",
};
/** Below this a compressed answer saves no packet. */
const GZIP_BYTES_MIN = 1_000;

function assetOf(path: string, body: Buffer): Asset {
  const smaller = body.length < GZIP_BYTES_MIN ? null : gzipSync(body, { level: 9 });
  return {
    type: TYPES[extname(path)] ?? "application/octet-stream",
    body,
    gzip: smaller,
    etag: `"${digestOf(body)}"`,
    lasting: /-[\w-]{8}\.\w+$/.test(path),
  };
}

/** Reads the folder when it is first asked: a server that only answers programs does without. Errors: `config_invalid` where nothing was built. */
export function builtPage(folder: string): Built {
  let files: ReadonlyMap<string, Asset> | null = null;
  const read = (): ReadonlyMap<string, Asset> => {
    if (files) return files;
    let names: string[];
    try {
      names = readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name).slice(join(folder, sep).length));
    } catch (cause) {
      throw new PipelineError(
        "config_invalid",
        `Cannot serve the page: expected it to be built in "${folder}", got no such folder; run "make setup"`,
        { cause },
      );
    }
    files = new Map(
      names.map((name) => [
        `/web/${name.split(sep).join("/")}`,
        assetOf(name, readFileSync(join(folder, name))),
      ]),
    );
    return files;
  };
  return {
    get shell() {
      const shell = read().get("/web/index.html");
      if (shell) return shell;
      throw new PipelineError(
        "config_invalid",
        `Cannot serve the page: expected "index.html" in "${folder}", there is none; run "make setup"`,
      );
    },
    asset: (path) =>
      path.startsWith("/web/") && path !== "/web/index.html" ? (read().get(path) ?? null) : null,
  };
}

/** A file as it is answered: smaller to whoever takes that, and once only where its name lasts. */
export function assetResponse({ type, body, gzip, etag, lasting }: Asset, request: Request): Response {
  const headers: Record<string, string> = {
    "content-type": type,
    "cache-control": lasting ? "private, max-age=31536000, immutable" : "no-cache",
    vary: "accept-encoding",
    etag,
  };
  if (isKnown(request.headers.get("if-none-match"), etag))
    return new Response(null, { status: 304, headers });
  const smaller = gzip !== null && /\bgzip\b/.test(request.headers.get("accept-encoding") ?? "");
  if (smaller) headers["content-encoding"] = "gzip";
  return new Response(new Uint8Array(smaller ? gzip : body), { headers });
}
