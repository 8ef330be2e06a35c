// The Kafka broker: one KRaft node, broker and controller in one process. Formats its storage on the first start.
// Whether it serves clients is asked as they ask, by ts/kafka.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { explain, PipelineError } from "../../contract/errors.ts";
import type { Look } from "../../ground/until.ts";
import { connectKafka } from "../../kafka/client.ts";
import type { Kafka } from "../../kafka/kafka.ts";
import type { Settings } from "../../engines/settings.ts";
import { type Engine, SMALL_JVM, SMALL_MALLOC, UTF8 } from "./engine.ts";
import { fileUrl } from "./path.ts";

const DATA = "data";

/** One look: the broker that was started answers, and its controller has let it in. */
async function check({ kafka }: Settings): Promise<Look<string>> {
  let client: Kafka | null = null;
  try {
    client = connectKafka(kafka, { client_id: "millrace-check", once: true });
    const count = await client.admin.brokers();
    return count > 0
      ? { done: true, seen: "ok" }
      : { done: false, seen: `${kafka.bootstrap}: no broker let in` };
  } catch (error) {
    return { done: false, seen: `${kafka.bootstrap}: ${explain(error).split("\n").at(-1)?.trim()}` };
  } finally {
    await client?.close();
  }
}

export const kafka: Engine = {
  name: "kafka",
  cluster: "kafka",
  after: [],
  ports: ["kafka", "kafkaController"],
  start_ms: 60_000,
  stop_ms: 20_000,
  address: ({ kafka }) => kafka.bootstrap,
  async prepare({ root, host, ports, javaPath }, dir) {
    const settings = join(root, "infra", "local", "kafka");
    const file = join(dir, "server.properties");
    const data = join(dir, DATA);
    mkdirSync(dir, { recursive: true });
    writeFileSync(
      file,
      [
        readFileSync(join(settings, "server.properties"), "utf8"),
        `listeners=PLAINTEXT://${host}:${ports.kafka},CONTROLLER://${host}:${ports.kafkaController}`,
        `advertised.listeners=PLAINTEXT://${host}:${ports.kafka}`,
        `controller.quorum.voters=1@${host}:${ports.kafkaController}`,
        // Below the folder it runs in: properties are read as Latin-1, and a comma would end a whole path.
        `log.dirs=${DATA}`,
        "",
      ].join("\n"),
    );
    const java = [
      ...SMALL_JVM,
      `-Dlog4j2.configurationFile=${fileUrl(join(settings, "log4j2.properties"))}`,
      "-cp",
      join(root, "target", "engines", "kafka", "*"),
    ];
    if (!existsSync(join(data, "meta.properties"))) {
      const id = crypto.randomUUID().replaceAll("-", "").slice(0, 22);
      const format = await execa(
        javaPath,
        [...java, "-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool", "format", "-t", id, "-c", file],
        { reject: false, all: true, timeout: 60_000, cwd: dir, env: UTF8 },
      );
      if (format.failed)
        throw new PipelineError("config_invalid", `Cannot format Kafka's storage in "${data}"`, {
          cause: new Error(format.all || format.shortMessage),
        });
    }
    return {
      command: javaPath,
      // 384 MB: topics of a demo need a tenth of it, the rest is for a catch-up at full speed.
      args: [...java, "-Xms128m", "-Xmx384m", "kafka.Kafka", file],
      env: SMALL_MALLOC,
    };
  },
  check,
};
