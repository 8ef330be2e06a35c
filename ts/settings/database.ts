// Where the store's database is and how one gets in: our own PostgreSQL, whose password its start left in a file, or the one that
// MILLRACE_DATABASE_URL names. The password is looked up here, when it is needed, and never lies in settings.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PipelineError } from "../contract/errors.ts";
import { resolveSecrets } from "./secrets.ts";
import { enginesDir, type Settings } from "./settings.ts";

const SETTING = "MILLRACE_DATABASE_URL";

export type DatabasePlace = Pick<Settings, "home" | "external" | "databaseUrl" | "kafka">;

export interface DatabaseAccess {
  /** With the password: for the client, never for a message. */
  readonly url: string;
  /** For messages. */
  readonly address: string;
  readonly host: string;
  readonly port: number;
  readonly user: string;
}

/** The file with the password of our own server. */
export const passwordPath = (settings: Pick<Settings, "home">): string =>
  join(enginesDir(settings), "postgres", "password");

/** Errors: `config_invalid` for what is no address; `store_unreachable` for a server of our own that was never started. */
export function databaseOf(settings: DatabasePlace): DatabaseAccess {
  if (!settings.external.includes("postgres")) {
    const url = parsed(settings.databaseUrl);
    url.password = encodeURIComponent(ownPassword(settings));
    return accessOf(url);
  }
  const { secrets_path } = settings.kafka;
  const url = resolveSecrets(
    { properties: { [SETTING]: settings.databaseUrl }, secrets_path },
    "setting",
  ).get(SETTING)!;
  return accessOf(parsed(url));
}

/** Errors: `config_invalid` for an address that writes a password out, never saying it. */
export function refuseLiteralPassword(url: string): void {
  if (url.startsWith("secret:") || parsed(url).password === "") return;
  throw new PipelineError(
    "config_invalid",
    `Cannot use setting ${SETTING}: expected "secret:NAME" and the address under NAME in the file of MILLRACE_SECRETS, got one with its password written out`,
  );
}

function parsed(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url !== null && /^postgres(?:ql)?:$/.test(url.protocol)) return url;
  throw new PipelineError(
    "config_invalid",
    `Cannot use setting ${SETTING}: expected postgres://USER@HOST:PORT/DATABASE, got an address of another kind`,
  );
}

function accessOf(url: URL): DatabaseAccess {
  const host = url.hostname.replace(/^\[|\]$/g, "") || "127.0.0.1";
  const port = Number(url.port || 5432);
  return {
    url: url.href,
    address: `${host}:${port}${url.pathname}`,
    host,
    port,
    user: decodeURIComponent(url.username) || "postgres",
  };
}

function ownPassword(settings: Pick<Settings, "home">): string {
  const path = passwordPath(settings);
  try {
    return readFileSync(path, "utf8").trim();
  } catch (cause) {
    throw new PipelineError(
      "store_unreachable",
      `Cannot reach the store: expected PostgreSQL to have been started here, found no "${path}"`,
      { cause, context: { next: 'start it with "millrace up", or set MILLRACE_DATABASE_URL' } },
    );
  }
}
