// Whether a place of tables answers, asked before a job is submitted or a table is read: Spark and the readers wait
// and try again for long, and then say less. Looks only; folders and s3a: are taken as they are.

import { connect } from "node:net";
import { PipelineError } from "../contract/index.ts";
import { onOurHdfs, type Settings } from "../settings/settings.ts";
import { describeService, status } from "../topology/local/index.ts";

const CONNECT_MS = 5_000;

/** Errors: `store_unreachable` for an HDFS that does not answer, with its address and what to do. */
export async function requirePlace(settings: Settings, path: string): Promise<void> {
  if (!path.startsWith("hdfs:")) return;
  if (onOurHdfs(settings)) {
    const broken = (await status(settings, "hdfs")).filter(({ state }) => state !== "up");
    if (broken.length === 0) return;
    const parts = broken.map(
      (engine) => `${describeService(engine)}${engine.seen === null ? "" : ` (${engine.seen})`}`,
    );
    throw new PipelineError(
      "store_unreachable",
      `Cannot reach archive "${path}": expected HDFS to work, ${parts.join(", ")}; start it with "millrace up --with hdfs"`,
    );
  }
  // Without a port it is the name of a service of several NameNodes, which Hadoop's own configuration knows.
  const { hostname, port } = new URL(path.replace(/^hdfs:/, "http:"));
  const seen = port === "" ? null : await unanswered(hostname, Number(port));
  if (seen !== null)
    throw new PipelineError(
      "store_unreachable",
      `Cannot reach archive "${path}": expected a NameNode at "${hostname}:${port}", ${seen}; start that HDFS, or correct MILLRACE_ARCHIVE ("millrace up --with hdfs" starts one at "${settings.hdfsUrl}")`,
    );
}

/** What became of a connection; null when somebody took it. */
function unanswered(host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: CONNECT_MS });
    const finish = (seen: string | null) => {
      socket.destroy();
      resolve(seen);
    };
    socket.once("connect", () => finish(null));
    socket.once("timeout", () => finish(`nobody answered within ${CONNECT_MS / 1000} s`));
    socket.once("error", (error) => finish(`got ${(error as NodeJS.ErrnoException).code ?? error.message}`));
  });
}
