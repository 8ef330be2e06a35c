// HDFS by its own REST API. The one file that knows it. Source: hadoop.apache.org, r3.4.1, WebHDFS; FSDirConcatOp.java for what a
// concatenation asks of its files. Bytes go to a DataNode, whose address the NameNode answers with (`noredirect`).

import { PipelineError } from "../contract/index.ts";
import {
  type Exchange,
  type HttpOptions,
  httpOf,
  parseReply,
  type Reply,
  refusedReply,
} from "../ground/http.ts";
import { onOurHdfs, type Settings } from "../settings/settings.ts";
import type { Entry, Files } from "./files.ts";

type Of = Pick<Settings, "host" | "ports" | "hdfsUrl">;

/** Where another HDFS than ours answers HTTP, unless told otherwise. Source: hdfs-default.xml, dfs.namenode.http-address. */
const HTTP_PORT = 9870;

/** `http://host:port/webhdfs/v1/folder` of a place in full, `hdfs://host:port/folder`. */
export function webAddress({ host, ports, hdfsUrl }: Of, place: string): string {
  const { hostname, pathname } = new URL(place.replace(/^hdfs:/, "http:"));
  const ours = onOurHdfs({ archive: null, hdfsUrl }, place);
  const origin = ours ? `http://${host}:${ports.hdfsUi}` : `http://${hostname}:${HTTP_PORT}`;
  return `${origin}/webhdfs/v1${pathname.replace(/\/+$/, "")}`;
}

interface Listed {
  readonly FileStatuses: {
    readonly FileStatus: readonly {
      readonly pathSuffix: string;
      readonly type: string;
      readonly length: number;
    }[];
  };
}

/** The files below a place. */
export function webHdfs(settings: Of, place: string, options: HttpOptions = {}): Files {
  const http = httpOf("store_unreachable", options);
  const root = webAddress(settings, place);
  const url = (path: string, operation: string, more: Readonly<Record<string, string>> = {}) =>
    `${root}/${path.split("/").map(encodeURIComponent).join("/")}?${new URLSearchParams({ op: operation, ...more })}`;
  const absolute = (path: string) => `${new URL(root).pathname.replace(/^\/webhdfs\/v1/, "")}/${path}`;
  const ask = async (exchange: Exchange): Promise<Reply> => {
    const reply = await http(exchange);
    // 404 is an answer. All else it refuses passes: a NameNode in safe mode, one that has just started, no DataNode yet.
    if (reply.status === 404 || (reply.status >= 200 && reply.status < 300)) return reply;
    throw refusedReply(reply, "store_unreachable", exchange.action, exchange.url, "success");
  };
  const located = (reply: Reply, action: string, at: string): string =>
    parseReply<{ readonly Location: string }>(reply, "store_unreachable", action, at).Location;
  return {
    address: root,
    async list(folder) {
      const [action, at] = ["list a folder of HDFS", url(folder, "LISTSTATUS")];
      const reply = await ask({ action, url: at });
      if (reply.status === 404) return [];
      return parseReply<Listed>(reply, "store_unreachable", action, at).FileStatuses.FileStatus.map(
        ({ pathSuffix, type, length }): Entry => ({ name: pathSuffix, folder: type === "DIRECTORY", length }),
      );
    },
    async read(path, stretch) {
      const of = stretch ? { offset: String(stretch.offset), length: String(stretch.length) } : {};
      const [action, at] = ["read a file of HDFS", url(path, "OPEN", { ...of, noredirect: "true" })];
      const reply = await ask({ action, url: at });
      if (reply.status === 404) return null;
      const read = await ask({ action, url: located(reply, action, at) });
      return read.status === 404 ? null : read.text;
    },
    async write(path, text) {
      const [action, at] = [
        "write a file of HDFS",
        url(path, "CREATE", { overwrite: "true", noredirect: "true" }),
      ];
      const to = located(await ask({ action, url: at, method: "PUT" }), action, at);
      const reply = await ask({ action, url: to, method: "PUT", body: Buffer.from(text) });
      if (reply.status === 404) throw refusedReply(reply, "store_unreachable", action, at, "a file");
    },
    async rename(path, to) {
      const [action, at] = ["rename a file of HDFS", url(path, "RENAME", { destination: absolute(to) })];
      const reply = await ask({ action, url: at, method: "PUT", repeatable: false });
      if (reply.status === 404) return false;
      return parseReply<{ readonly boolean: boolean }>(reply, "store_unreachable", action, at).boolean;
    },
    async concat(path, source) {
      const [action, at] = ["join files of HDFS", url(path, "CONCAT", { sources: absolute(source) })];
      return (await ask({ action, url: at, method: "POST" })).status !== 404;
    },
    async remove(path) {
      const [action, at] = ["remove a file of HDFS", url(path, "DELETE", { recursive: "true" })];
      await ask({ action, url: at, method: "DELETE" });
    },
  };
}

/** Errors: `config_invalid` for a place that is on no HDFS. */
export function requireHdfs(place: string): void {
  if (place.startsWith("hdfs:")) return;
  throw new PipelineError(
    "config_invalid",
    `Cannot keep lines in "${place}": expected a folder of an HDFS, hdfs:/folder`,
  );
}
