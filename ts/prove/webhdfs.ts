// The little that a proof needs of HDFS' own REST API, to look at a table from outside. Jobs and readers do not use it.

import type { Settings } from "../engines/settings.ts";

type Of = Pick<Settings, "host" | "ports">;

async function call<T>(
  { host, ports }: Of,
  path: string,
  operation: string,
  method: string,
): Promise<T | null> {
  const { pathname } = new URL(path.replace(/^hdfs:/, "http:"));
  const url = `http://${host}:${ports.hdfsUi}/webhdfs/v1${pathname}?op=${operation}`;
  const answer = await fetch(url, { method });
  if (answer.status === 404) return null;
  if (!answer.ok) throw new Error(`${method} ${url}: HTTP ${answer.status} ${await answer.text()}`);
  return (await answer.json()) as T;
}

/** Names in a folder; none without it. */
export async function namesOn(hdfs: Of, path: string): Promise<string[]> {
  interface Listed {
    readonly FileStatuses: { readonly FileStatus: readonly { readonly pathSuffix: string }[] };
  }
  const listed = await call<Listed>(hdfs, path, "LISTSTATUS", "GET");
  return listed?.FileStatuses.FileStatus.map(({ pathSuffix }) => pathSuffix) ?? [];
}

export async function removeOn(hdfs: Of, path: string): Promise<void> {
  await call(hdfs, path, "DELETE&recursive=true", "DELETE");
}
