// Spark's standalone master and worker. Only the cluster: jobs go to it through ts/engines/spark.ts. Both are started by
// Spark's own launcher, which adds the module flags Java 17 needs.

import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { PipelineError } from "../../contract/errors.ts";
import type { Settings } from "../../engines/settings.ts";
import { answers, type Command, type Engine, SMALL_JVM, SMALL_MALLOC } from "./engine.ts";

/** Cores and memory the worker offers. Bookkeeping: more than the machine has; each job is capped by its own settings. */
const CORES = 16;
const MEMORY = "12g";

/** pyspark's folder in the jobs' environment, which is a complete Spark. */
function sparkHome({ pythonPath }: Settings): string {
  const lib = join(dirname(pythonPath), "..", "lib");
  try {
    const python = readdirSync(lib).find((name) => name.startsWith("python3."));
    if (python) return join(lib, python, "site-packages", "pyspark");
  } catch {
    // Reported below.
  }
  throw new PipelineError("config_invalid", `Cannot find pyspark below "${lib}": run "make setup"`);
}

function daemon(settings: Settings, heap: string, options: Record<string, string>, args: string[]): Command {
  const home = sparkHome(settings);
  return {
    command: join(home, "bin", "spark-class"),
    args,
    env: {
      ...SMALL_MALLOC,
      SPARK_HOME: home,
      SPARK_CONF_DIR: join(settings.root, "infra", "local", "spark"),
      SPARK_LOCAL_IP: settings.host,
      SPARK_LOCAL_HOSTNAME: "localhost",
      SPARK_DAEMON_MEMORY: heap,
      SPARK_DAEMON_JAVA_OPTS: [...SMALL_JVM, "-XX:TieredStopAtLevel=1"].join(" "),
      PYSPARK_PYTHON: settings.pythonPath,
      ...options,
    },
  };
}

const RECOVERY = "recovery";

const flags = (values: Record<string, string | number | boolean>) =>
  Object.entries(values)
    .map(([key, value]) => `-D${key}=${value}`)
    .join(" ");

interface MasterState {
  readonly status: string;
  readonly workers: readonly { readonly port: number; readonly state: string }[];
}

export const sparkMaster: Engine = {
  name: "spark-master",
  cluster: "spark",
  after: [],
  ports: ["sparkMaster", "sparkRest", "sparkUi"],
  // A master that recovers waits a worker timeout, 60 s, for workers that do not come back.
  start_ms: 120_000,
  stop_ms: 10_000,
  address: ({ sparkMasterUrl }) => sparkMasterUrl,
  async prepare(settings, dir) {
    mkdirSync(join(dir, RECOVERY), { recursive: true });
    return daemon(
      settings,
      "192m",
      {
        SPARK_MASTER_OPTS: flags({
          "spark.master.rest.enabled": true,
          "spark.master.rest.port": settings.ports.sparkRest,
          // Without it a restarted master kills the drivers it does not know.
          "spark.deploy.recoveryMode": "FILESYSTEM",
          // Below the folder it runs in: options stand in one string, where a blank would end a whole path.
          "spark.deploy.recoveryDirectory": RECOVERY,
          "spark.deploy.retainedApplications": 20,
          "spark.deploy.retainedDrivers": 50,
        }),
      },
      [
        "org.apache.spark.deploy.master.Master",
        "--host",
        settings.host,
        "--port",
        String(settings.ports.sparkMaster),
        "--webui-port",
        String(settings.ports.sparkUi),
      ],
    );
  },
  async check({ sparkUiUrl, sparkRestUrl }) {
    const ui = await answers(`${sparkUiUrl}/json/`, (text) => {
      const { status } = JSON.parse(text) as MasterState;
      return status === "ALIVE" ? null : `status ${status}`;
    });
    if (!ui.done) return ui;
    // An unknown id is answered with 200 and success false.
    return answers(`${sparkRestUrl}/v1/submissions/status/none`);
  },
};

/** Forgets drivers and workers of an earlier run: with no worker left there is nothing to recover, only 60 s to wait for. */
export function forgetDrivers(dir: string): void {
  rmSync(join(dir, RECOVERY), { recursive: true, force: true });
}

export const sparkWorker: Engine = {
  name: "spark-worker",
  cluster: "spark",
  // A worker that finds no master waits 10 s before it asks again.
  after: ["spark-master"],
  ports: ["sparkWorker", "sparkWorkerUi"],
  start_ms: 60_000,
  stop_ms: 10_000,
  address: ({ host, ports }) => `http://${host}:${ports.sparkWorkerUi}`,
  async prepare(settings, dir) {
    const work = join(dir, "work");
    mkdirSync(work, { recursive: true });
    return daemon(
      settings,
      "192m",
      {
        SPARK_WORKER_OPTS: flags({
          // Folders of ended applications go after a day; drivers' and executors' logs are in them.
          "spark.worker.cleanup.enabled": true,
          "spark.worker.cleanup.appDataTtl": 86_400,
          "spark.worker.ui.retainedDrivers": 50,
          "spark.worker.ui.retainedExecutors": 50,
        }),
        SPARK_WORKER_DIR: work,
        SPARK_LOCAL_DIRS: join(dir, "local"),
      },
      [
        "org.apache.spark.deploy.worker.Worker",
        "--host",
        settings.host,
        "--port",
        String(settings.ports.sparkWorker),
        "--webui-port",
        String(settings.ports.sparkWorkerUi),
        "--cores",
        String(CORES),
        "--memory",
        MEMORY,
        "--work-dir",
        work,
        settings.sparkMasterUrl,
      ],
    );
  },
  check: ({ sparkUiUrl, ports, external }) =>
    answers(`${sparkUiUrl}/json/`, (text) => {
      const { workers } = JSON.parse(text) as MasterState;
      const states = workers
        .filter((w) => external.includes("spark") || w.port === ports.sparkWorker)
        .map((w) => w.state);
      return states.includes("ALIVE") ? null : `worker ${states.at(-1) ?? "not registered"}`;
    }),
};
