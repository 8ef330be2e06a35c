// Where everything is: folders, ports, addresses. One plain, serialisable object, built once at the edge (cli/config.ts,
// or a test) and passed down. Reads no environment and opens nothing.

import { join } from "node:path";

/** Every port an engine opens on a fixed number. Ray opens a few more that the system picks. */
export interface Ports {
  readonly kafka: number;
  readonly kafkaController: number;
  readonly registry: number;
  readonly sparkMaster: number;
  readonly sparkRest: number;
  readonly sparkUi: number;
  readonly sparkWorker: number;
  readonly sparkWorkerUi: number;
  readonly rayGcs: number;
  readonly rayDashboard: number;
  readonly rayDashboardMetrics: number;
  readonly rayAgent: number;
  readonly rayClient: number;
  readonly rayMetrics: number;
  /** First and last port of Ray's workers, both inclusive. No other port of ours may lie between them. */
  readonly rayWorkerMin: number;
  readonly rayWorkerMax: number;
  readonly mlflow: number;
  readonly api: number;
}

export type Port = keyof Ports;

export const PORTS: Ports = {
  kafka: 9092,
  kafkaController: 9093,
  registry: 8081,
  sparkMaster: 7077,
  sparkRest: 6066,
  sparkUi: 8080,
  sparkWorker: 7078,
  sparkWorkerUi: 8082,
  rayGcs: 6379,
  rayDashboard: 8265,
  rayDashboardMetrics: 8266,
  rayAgent: 8267,
  rayClient: 8268,
  rayMetrics: 9999,
  rayWorkerMin: 20_002,
  rayWorkerMax: 20_200,
  mlflow: 5000,
  api: 8000,
};

/** The setting that moves each port; what an error about a port in use names. */
export const PORT_SETTING: Readonly<Record<Port, string>> = {
  kafka: "MILLRACE_KAFKA_PORT",
  kafkaController: "MILLRACE_KAFKA_CONTROLLER_PORT",
  registry: "MILLRACE_REGISTRY_PORT",
  sparkMaster: "MILLRACE_SPARK_MASTER_PORT",
  sparkRest: "MILLRACE_SPARK_REST_PORT",
  sparkUi: "MILLRACE_SPARK_UI_PORT",
  sparkWorker: "MILLRACE_SPARK_WORKER_PORT",
  sparkWorkerUi: "MILLRACE_SPARK_WORKER_UI_PORT",
  rayGcs: "MILLRACE_RAY_GCS_PORT",
  rayDashboard: "MILLRACE_RAY_DASHBOARD_PORT",
  rayDashboardMetrics: "MILLRACE_RAY_DASHBOARD_METRICS_PORT",
  rayAgent: "MILLRACE_RAY_AGENT_PORT",
  rayClient: "MILLRACE_RAY_CLIENT_PORT",
  rayMetrics: "MILLRACE_RAY_METRICS_PORT",
  rayWorkerMin: "MILLRACE_RAY_WORKER_MIN_PORT",
  rayWorkerMax: "MILLRACE_RAY_WORKER_MAX_PORT",
  mlflow: "MILLRACE_MLFLOW_PORT",
  api: "MILLRACE_API_PORT",
};

/** What can be replaced by a cluster that already exists. Spark's master and worker go together. */
export type Cluster = "kafka" | "registry" | "spark" | "ray" | "mlflow";

export interface Settings {
  /** The repository. */
  readonly root: string;
  /** Absolute folder of all state: `engines/` for the engines, `<namespace>/` for the rest. */
  readonly home: string;
  /** Empty for none. */
  readonly namespace: string;
  readonly pipeline: string;
  readonly host: string;
  readonly ports: Ports;
  /** Clusters given by address: used, never started or stopped. */
  readonly external: readonly Cluster[];
  readonly kafka: {
    readonly bootstrap: string;
    /** Client properties in librdkafka's names, for SASL and TLS; a value `secret:NAME` is looked up in the file below. */
    readonly properties: Readonly<Record<string, string>>;
    readonly secrets_path: string | null;
  };
  readonly registryUrl: string;
  readonly sparkMasterUrl: string;
  readonly sparkRestUrl: string;
  readonly sparkUiUrl: string;
  readonly rayUrl: string;
  readonly mlflowUrl: string;
  readonly apiUrl: string;
  /** Where archives are kept, a folder or a URL (file:, hdfs:, s3a:); null for the namespace's own tables. */
  readonly archive: string | null;
  /** Python of the jobs, and of the MLflow server. */
  readonly pythonPath: string;
  readonly mlflowPythonPath: string;
  readonly javaPath: string;
  /** Folder of the connector jars Spark jobs need beside Spark's own. */
  readonly sparkJars: string;
}

/** What may differ from the defaults; the addresses follow the ports unless given. */
export interface Overrides extends Partial<Omit<Settings, "root" | "ports" | "kafka">> {
  readonly ports?: Partial<Ports>;
  readonly kafka?: Partial<Settings["kafka"]>;
}

/** Settings of a repository: the defaults, and what differs. Frozen. */
export function settingsOf(root: string, { ports, kafka, ...given }: Overrides = {}): Settings {
  const all: Ports = Object.freeze({ ...PORTS, ...ports });
  const host = given.host ?? "127.0.0.1";
  return Object.freeze({
    root,
    home: join(root, ".millrace"),
    namespace: "",
    pipeline: "weather",
    host,
    ports: all,
    external: [],
    kafka: Object.freeze({
      bootstrap: `${host}:${all.kafka}`,
      properties: {},
      secrets_path: null,
      ...kafka,
    }),
    registryUrl: `http://${host}:${all.registry}/apis/ccompat/v7`,
    sparkMasterUrl: `spark://${host}:${all.sparkMaster}`,
    sparkRestUrl: `http://${host}:${all.sparkRest}`,
    sparkUiUrl: `http://${host}:${all.sparkUi}`,
    rayUrl: `http://${host}:${all.rayDashboard}`,
    mlflowUrl: `http://${host}:${all.mlflow}`,
    apiUrl: `http://${host}:${all.api}`,
    archive: null,
    pythonPath: join(root, ".venv", "bin", "python"),
    mlflowPythonPath: join(root, ".venv-mlflow", "bin", "python"),
    javaPath: "java",
    sparkJars: join(root, "target", "engines", "spark"),
    ...given,
  });
}

/** Folder of one namespace's state: desired state, checkpoints, locks. */
export function stateDir(settings: Settings): string {
  return join(settings.home, settings.namespace || "default");
}

/** Folder of the engines' state, shared by all namespaces: data, logs, records of what was started. */
export function enginesDir(settings: Settings): string {
  return join(settings.home, "engines");
}
