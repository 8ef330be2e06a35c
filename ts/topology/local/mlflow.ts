// The MLflow server: runs, models and their artifacts, which it serves itself so that no client needs its folder.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { answers, type Engine, SMALL_MALLOC } from "./engine.ts";

// Both below the folder it runs in: in a URL an @, a # or a % of a whole path would mean something else.
const STORE = "sqlite:///mlflow.db";
const ARTIFACTS = "artifacts";

export const mlflow: Engine = {
  name: "mlflow",
  cluster: "mlflow",
  after: [],
  ports: ["mlflow"],
  start_ms: 120_000,
  stop_ms: 10_000,
  address: ({ mlflowUrl }) => mlflowUrl,
  async prepare({ host, ports, mlflowPythonPath }, dir) {
    mkdirSync(join(dir, ARTIFACTS), { recursive: true });
    return {
      command: mlflowPythonPath,
      // What `mlflow server` runs, without the 210 MB and five seconds of the command that waits for it. The variables
      // are those it hands over. Source: mlflow 3.17.2, `mlflow/server/__init__.py`, `_run_server`. Private names, kept because
      // no public way saves that memory: the version is pinned, and engines.test.ts asks a started server where its artifacts go.
      args: [
        "-m",
        "uvicorn",
        "--host",
        host,
        "--port",
        String(ports.mlflow),
        "--workers",
        "1",
        "--no-access-log",
        "mlflow.server.fastapi_app:app",
      ],
      env: {
        ...SMALL_MALLOC,
        MLFLOW_TRACKING_URI: STORE,
        MLFLOW_REGISTRY_URI: STORE,
        _MLFLOW_SERVER_FILE_STORE: STORE,
        _MLFLOW_SERVER_REGISTRY_STORE: STORE,
        _MLFLOW_SERVER_ARTIFACT_ROOT: "mlflow-artifacts:/",
        _MLFLOW_SERVER_SERVE_ARTIFACTS: "true",
        _MLFLOW_SERVER_ARTIFACT_DESTINATION: ARTIFACTS,
        _MLFLOW_SGI_NAME: "uvicorn",
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION: "false",
        MLFLOW_DISABLE_TELEMETRY: "true",
      },
    };
  },
  // Not /health, which answers before the database is there: the first request creates it, and takes its time.
  check: ({ mlflowUrl }) =>
    answers(`${mlflowUrl}/api/2.0/mlflow/experiments/search?max_results=1`, () => null, 20_000),
};
