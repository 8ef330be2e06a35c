// Ray's head node: one machine, dashboard on, because the Jobs API is part of it. Only the cluster: jobs go to it
// through ts/engines/ray.ts.

import { createHash } from "node:crypto";
import { mkdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { PipelineError } from "../../contract/errors.ts";
import { answers, type Engine, SMALL_MALLOC } from "./engine.ts";

/** CPUs Ray may hand out. Bookkeeping, as in Spark: inference must run while a training takes its share. */
const CPUS = 4;
/** Room for training tables passed between tasks. */
const OBJECT_STORE_BYTES = 100_000_000;
/** Ray puts sockets 64 characters below its folder, and a socket's path ends at 107 bytes. Source: unix(7), `sun_path`. */
const FOLDER_BYTES_MAX = 43;
/** Where every Linux has a folder for all, whatever TMPDIR says. */
const SHORT = "/tmp";

/** Short enough for a socket, and plain: Ray hands its folder on inside command lines. */
const suits = (folder: string) =>
  Buffer.byteLength(folder) <= FOLDER_BYTES_MAX && /^[\w./+@=~-]+$/.test(folder);

/** Ray's folder: below the engine's own, else in the system's temporary folder, else in /tmp: the first that suits it. */
export function rayFolder(dir: string, temporary = tmpdir()): string {
  const name = `millrace-ray-${createHash("sha256").update(dir).digest("hex").slice(0, 8)}`;
  const short = join(SHORT, name);
  return [join(dir, "t"), join(temporary, name)].find(suits) ?? short;
}

/** Makes the folder anew: nothing in it outlives the head, and each start would add a session with its logs. */
function makeFolder(folder: string): void {
  try {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
  } catch (cause) {
    throw new PipelineError(
      "config_invalid",
      `Cannot make Ray's folder "${folder}": expected a folder to write to, whose path has at most ${FOLDER_BYTES_MAX} bytes for Ray's sockets; set TMPDIR to a short one of your own, or MILLRACE_HOME`,
      { cause },
    );
  }
}

// `ray start --block` keeps 150 MB for waiting. Without it the same processes stay behind in this session, and `tail`
// keeps the session's leader: the pid that is recorded.
// A job's entrypoint says `python`: the environment's folder comes first.
const START = 'PATH="$(dirname "$0"):$PATH" "$0" "$@" && exec tail -f /dev/null';

export const ray: Engine = {
  name: "ray",
  cluster: "ray",
  after: [],
  ports: ["rayGcs", "rayDashboard", "rayDashboardMetrics", "rayAgent", "rayClient", "rayMetrics"],
  start_ms: 120_000,
  // The head keeps nothing on disk, and its server waits ten seconds for its agents for nothing. Jobs have ended before.
  stop_ms: 4_000,
  address: ({ rayUrl }) => rayUrl,
  async prepare({ host, ports, pythonPath }, dir) {
    const folder = rayFolder(dir);
    makeFolder(folder);
    return {
      command: "/bin/sh",
      args: [
        "-c",
        START,
        join(dirname(pythonPath), "ray"),
        "start",
        "--head",
        `--num-cpus=${CPUS}`,
        `--object-store-memory=${OBJECT_STORE_BYTES}`,
        `--node-ip-address=${host}`,
        `--port=${ports.rayGcs}`,
        `--dashboard-host=${host}`,
        `--dashboard-port=${ports.rayDashboard}`,
        `--dashboard-agent-listen-port=${ports.rayAgent}`,
        `--metrics-export-port=${ports.rayMetrics}`,
        `--ray-client-server-port=${ports.rayClient}`,
        `--min-worker-port=${ports.rayWorkerMin}`,
        `--max-worker-port=${ports.rayWorkerMax}`,
        `--temp-dir=${folder}`,
        "--disable-usage-stats",
        // No cluster to scale; and what actors print is in their own logs.
        "--no-monitor",
        "--include-log-monitor=false",
      ],
      env: {
        ...SMALL_MALLOC,
        // As Ray is without a token file in the user's home; one that lies there for another cluster must not decide
        // whether ours answers. It listens on loopback only. A cluster with tokens is one given by address.
        RAY_AUTH_MODE: "disabled",
        RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S: "0",
        // On Linux Ray swaps a loopback address for the machine's own and listens on all of them. This keeps it.
        RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER: "0",
        DASHBOARD_METRIC_PORT: String(ports.rayDashboardMetrics),
        // The monitor watches the whole machine: its other users must not make it kill our actors before memory is out.
        RAY_memory_usage_threshold: "0.98",
        // Idle Python workers cost 60 MB each: none in advance, one kept, the others leave after ten seconds.
        RAY_prestart_worker_first_driver: "0",
        RAY_num_workers_soft_limit: "1",
        RAY_idle_worker_killing_time_threshold_ms: "10000",
      },
    };
  },
  async check({ rayUrl, host, ports, external }) {
    if (external.includes("ray")) return answers(`${rayUrl}/api/jobs/`);
    // The agent asks the raylet; the dashboard alone would go on answering without one.
    const node = await answers(`http://${host}:${ports.rayAgent}/api/local_raylet_healthz`);
    return node.done ? answers(`${rayUrl}/api/jobs/`) : node;
  },
  settle(members) {
    // The server for remote interactive sessions cannot be left out by an option; nobody here uses its 50 MB.
    const client = members.find(({ command }) => command.includes("ray.util.client.server"));
    if (client) process.kill(client.pid, "SIGTERM");
  },
};
