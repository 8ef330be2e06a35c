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
  /** What HDFS clients ask, and the page and metrics of the NameNode. */
  readonly hdfs: number;
  readonly hdfsUi: number;
  /** The DataNode: where bytes flow, its page and metrics, and its own calls. */
  readonly hdfsData: number;
  readonly hdfsDataUi: number;
  readonly hdfsDataIpc: number;
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
  hdfs: 9820,
  hdfsUi: 9870,
  hdfsData: 9866,
  hdfsDataUi: 9864,
  hdfsDataIpc: 9867,
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
  hdfs: "MILLRACE_HDFS_PORT",
  hdfsUi: "MILLRACE_HDFS_UI_PORT",
  hdfsData: "MILLRACE_HDFS_DATA_PORT",
  hdfsDataUi: "MILLRACE_HDFS_DATA_UI_PORT",
  hdfsDataIpc: "MILLRACE_HDFS_DATA_IPC_PORT",
};

/**
 * What can be replaced by a cluster that already exists, by its address; another HDFS is named by the path of what lies on
 * it. Spark's master and worker go together, and HDFS' NameNode and DataNode.
 */
export type Cluster = "kafka" | "registry" | "spark" | "ray" | "mlflow" | "hdfs";

/** Clusters that are started only when they are asked for. */
export const OPTIONAL = ["hdfs"] as const satisfies readonly Cluster[];
export type Optional = (typeof OPTIONAL)[number];

/** What holds for a namespace and all its pipelines. */
export interface NamespaceSettings {
  /** The repository. */
  readonly root: string;
  /** Absolute folder of all state: `engines/` for the engines, `<namespace>/` for the rest. */
  readonly home: string;
  /** Empty for none. */
  readonly namespace: string;
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
  /** The HDFS that `up --with hdfs` starts. */
  readonly hdfsUrl: string;
  /**
   * Where archives are kept: an absolute folder or a URL (file:, hdfs:, s3a:); `hdfs:` without a host is the HDFS above. Null
   * for the namespace's own tables.
   */
  readonly archive: string | null;
  /** Python of the jobs, and of the MLflow server. */
  readonly pythonPath: string;
  readonly mlflowPythonPath: string;
  readonly javaPath: string;
  /** Folder of the connector jars Spark jobs need beside Spark's own. */
  readonly sparkJars: string;
}

/** The settings of one command, which works for one pipeline. */
export interface Settings extends NamespaceSettings {
  readonly pipeline: string;
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
    hdfsUrl: `hdfs://${host}:${all.hdfs}`,
    archive: null,
    pythonPath: join(root, ".venv", "bin", "python"),
    mlflowPythonPath: join(root, ".venv-mlflow", "bin", "python"),
    javaPath: "java",
    sparkJars: join(root, "target", "engines", "spark"),
    ...given,
  });
}

/** What a setting of the archive's place may be. */
const PLACE = /^(?:\/|file:\/|s3a:\/\/[^/]|hdfs:(?:$|\/))/;

/** Whether `Settings.archive` may be this text. */
export function isPlace(text: string): boolean {
  return PLACE.test(text);
}

/** The archive's place in full, without a slash at its end: an `hdfs:` without a host gets that of our own HDFS. */
export function archivePlace({ archive, hdfsUrl }: Pick<Settings, "archive" | "hdfsUrl">): string | null {
  const place = archive?.replace(/^hdfs:(?:\/\/)?(?=\/(?!\/)|$)/, hdfsUrl) ?? null;
  return place?.replace(/\/+$/, "") ?? null;
}

/** Whether the archive lies on the HDFS that `up --with hdfs` starts. */
export function onOurHdfs(settings: Pick<Settings, "archive" | "hdfsUrl">): boolean {
  const place = archivePlace(settings);
  return place === settings.hdfsUrl || (place?.startsWith(`${settings.hdfsUrl}/`) ?? false);
}

/** Folder of one namespace's state: desired state, checkpoints, locks. */
export function stateDir(settings: Pick<NamespaceSettings, "home" | "namespace">): string {
  return join(settings.home, settings.namespace || "default");
}

/** Folder of the engines' state, shared by all namespaces: data, logs, records of what was started. */
export function enginesDir(settings: Settings): string {
  return join(settings.home, "engines");
}

/** The settings of a namespace as its supervisor and its processes read them. */
export function settingsPath(settings: Pick<NamespaceSettings, "home" | "namespace">): string {
  return join(stateDir(settings), "settings.json");
}
