// The Kafka broker: one KRaft node, broker and controller in one process. Formats its storage on the first start.
// Speaks just enough of the protocol to see that the broker serves clients; everything else is in ts/kafka.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { execa } from "execa";
import { PipelineError } from "../../contract/errors.ts";
import type { Look } from "../../ground/until.ts";
import type { Settings } from "../settings.ts";
import { type Engine, SMALL_JVM, SMALL_MALLOC } from "./engine.ts";

const METADATA = 3;
// Oldest version a 4.x broker takes that fits in these few lines (no flexible fields). Source: KIP-896.
const METADATA_VERSION = 5;

/**
 * Asks for metadata of no topics.
 *
 *   request   size i32 · key i16 · version i16 · correlation i32 · client string · topics i32 = 0 · auto-create i8 = 0
 *   response  size i32 · correlation i32 · throttle i32 · brokers i32 …
 *
 * A broker that the controller has not let in yet lists no brokers, so a count of at least one means that it serves.
 */
export function metadataRequest(): Buffer {
  const client = "millrace-check";
  const body = Buffer.alloc(2 + 2 + 4 + 2 + client.length + 4 + 1);
  let at = body.writeInt16BE(METADATA, 0);
  at = body.writeInt16BE(METADATA_VERSION, at);
  at = body.writeInt32BE(1, at);
  at = body.writeInt16BE(client.length, at);
  at += body.write(client, at);
  body.writeInt32BE(0, at);
  const size = Buffer.alloc(4);
  size.writeInt32BE(body.length);
  return Buffer.concat([size, body]);
}

/** Number of brokers in the response; null while it is incomplete. */
export function brokerCount(response: Buffer): number | null {
  return response.length < 16 ? null : response.readInt32BE(12);
}

function check({ kafka }: Settings): Promise<Look<string>> {
  const address = kafka.bootstrap.split(",")[0]!.trim();
  const colon = address.lastIndexOf(":");
  // Behind TLS or SASL these few bytes would not be understood; there a connection has to do.
  const plain = Object.keys(kafka.properties).length === 0;
  return new Promise((resolve) => {
    let reply: Buffer = Buffer.alloc(0);
    const socket = connect({
      host: address.slice(0, colon),
      port: Number(address.slice(colon + 1)),
      timeout: 5_000,
    });
    const finish = (done: boolean, seen: string) => {
      socket.destroy();
      resolve({ done, seen: done ? "ok" : `${address}: ${seen}` });
    };
    socket.once("connect", () => (plain ? socket.write(metadataRequest()) : finish(true, "ok")));
    socket.on("data", (data) => {
      reply = Buffer.concat([reply, data]);
      const count = brokerCount(reply);
      if (count !== null) finish(count > 0, `${count} brokers let in`);
    });
    socket.once("timeout", () => finish(false, "no answer"));
    socket.once("error", (error) => finish(false, error.message));
    socket.once("close", () => finish(false, "connection closed"));
  });
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
    const data = join(dir, "data");
    mkdirSync(dir, { recursive: true });
    writeFileSync(
      file,
      [
        readFileSync(join(settings, "server.properties"), "utf8"),
        `listeners=PLAINTEXT://${host}:${ports.kafka},CONTROLLER://${host}:${ports.kafkaController}`,
        `advertised.listeners=PLAINTEXT://${host}:${ports.kafka}`,
        `controller.quorum.voters=1@${host}:${ports.kafkaController}`,
        `log.dirs=${data}`,
        "",
      ].join("\n"),
    );
    const java = [
      ...SMALL_JVM,
      `-Dlog4j2.configurationFile=${join(settings, "log4j2.properties")}`,
      "-cp",
      join(root, "target", "engines", "kafka", "*"),
    ];
    if (!existsSync(join(data, "meta.properties"))) {
      const id = crypto.randomUUID().replaceAll("-", "").slice(0, 22);
      const format = await execa(
        javaPath,
        [...java, "-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool", "format", "-t", id, "-c", file],
        { reject: false, all: true, timeout: 60_000 },
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
