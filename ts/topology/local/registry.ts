// The schema registry: Apicurio, used through its Confluent API. Keeps its schemas in a file database, so that ids
// outlive a restart.

import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { PipelineError } from "../../contract/errors.ts";
import { answers, type Engine, SMALL_JVM, SMALL_MALLOC } from "./engine.ts";
import { fileUrl } from "./path.ts";

export const registry: Engine = {
  name: "registry",
  cluster: "registry",
  after: [],
  ports: ["registry"],
  start_ms: 60_000,
  stop_ms: 10_000,
  address: ({ registryUrl }) => registryUrl,
  async prepare({ root, host, ports, javaPath }, dir) {
    const folder = join(root, "target", "engines", "registry");
    const jar = readdirSync(folder).find((name) => name.endsWith("-runner.jar"));
    if (!jar)
      throw new PipelineError("config_invalid", `Cannot find the registry in "${folder}": run "make setup"`);
    mkdirSync(dir, { recursive: true });
    return {
      command: javaPath,
      args: [
        ...SMALL_JVM,
        // Never hot: the first compiler is enough, and its code is smaller.
        "-XX:TieredStopAtLevel=1",
        "-Xms48m",
        "-Xmx160m",
        `-Dquarkus.config.locations=${fileUrl(join(root, "infra", "local", "registry", "application.properties"))}`,
        `-Dquarkus.http.host=${host}`,
        `-Dquarkus.http.port=${ports.registry}`,
        // Below the folder it runs in: in a database URL a semicolon would end a whole path.
        "-Dapicurio.datasource.url=jdbc:h2:file:./schemas",
        "-jar",
        join(folder, jar),
      ],
      env: SMALL_MALLOC,
    };
  },
  check: ({ registryUrl }) =>
    answers(`${registryUrl}/subjects`, (text) => (text.startsWith("[") ? null : "not a list of subjects")),
};
