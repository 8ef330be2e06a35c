// The little that a proof needs of HDFS' own REST API, to look at a table from outside. Jobs and readers do not use it.

import { httpOf, parseReply } from "../../ground/http.ts";
import type { Settings } from "../../settings/settings.ts";

const http = httpOf("store_unreachable");

type Of = Pick<Settings, "host" | "ports">;

async function call<T>(
  { host, ports }: Of,
  path: string,
  operation: string,
  method: "GET" | "DELETE",
): Promise<T | null> {
  const { pathname } = new URL(path.replace(/^hdfs:/, "http:"));
  const url = `http://${host}:${ports.hdfsUi}/webhdfs/v1${pathname}?op=${operation}`;
  const action = "look at a table on HDFS";
  const reply = await http({ action, method, url });
  return reply.status === 404 ? null : parseReply<T>(reply, "job_failed", action, url);
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
