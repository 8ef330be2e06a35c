// Spark's standalone daemons on this machine: started by the launcher in pyspark, which adds the module flags Java 17 needs.

import { existsSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { PipelineError } from "../../../contract/errors.ts";
import type { Settings } from "../../../settings/settings.ts";
import { sparkJavaOptions } from "../../spark.ts";
import type { Hook } from "../hook.ts";
import { fileUrl } from "../path.ts";

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

/** The classes that all of Spark's JVMs here share; set-up leaves none where Java makes none. */
export const sharedClasses = ({ root }: Settings) => join(root, "target", "engines", "spark-classes.jsa");

export const spark: Hook = {
  prepare({ settings, service }, { command, args, env }) {
    const home = sparkHome(settings);
    return {
      command: join(home, "bin", command),
      args,
      env: {
        ...env,
        SPARK_HOME: home,
        // Does not exist, on purpose: a folder with files on the class path would forbid the archive of classes.
        SPARK_CONF_DIR: join(home, "conf"),
        // As drivers and executors have it: an archive holds for one class path.
        SPARK_DAEMON_CLASSPATH: join(settings.sparkJars, "*"),
        JAVA_TOOL_OPTIONS: sparkJavaOptions({
          logging: fileUrl(join(settings.root, service.reads["logging"]!)),
          archive: existsSync(sharedClasses(settings)) ? sharedClasses(settings) : null,
        }),
        SPARK_LOCAL_IP: settings.host,
        SPARK_LOCAL_HOSTNAME: "localhost",
      },
    };
  },
};

export const sparkMaster: Hook = {
  ...spark,
  /** Forgets drivers and workers of an earlier run: with no worker left there is nothing to recover, only 60 s to wait for. */
  begin({ service, dir }, starting) {
    if (starting.has(service.name) && starting.has("spark-worker"))
      rmSync(join(dir, service.keeps["drivers"]!), { recursive: true, force: true });
  },
};
