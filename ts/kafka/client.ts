// One Kafka cluster over kafkajs: connectKafka() gives the port of kafka.ts.
// Only wiring; reading, writing and administration live in the files beside it.

import { Kafka as Kafkajs, logLevel } from "kafkajs";
import { ONCE } from "../ground/repeat.ts";
import { connection } from "./access.ts";
import { adminOf } from "./admin.ts";
import type { Kafka, KafkaAccess, Producer, Reader } from "./kafka.ts";
import { openProducer, RETRY } from "./producer.ts";
import { PartitionReader } from "./reader.ts";

/** Takes what kafkajs logs. Every transaction retries once and kafkajs calls that an error, so the default is silence. */
export type Log = (level: "error" | "warn" | "info" | "debug", message: string) => void;

const LEVEL = {
  [logLevel.ERROR]: "error",
  [logLevel.WARN]: "warn",
  [logLevel.INFO]: "info",
  [logLevel.DEBUG]: "debug",
} as const;

/** Opens nothing yet: each part connects when it is used. Errors: `config_invalid`. */
export function connectKafka(
  access: KafkaAccess,
  options: {
    readonly client_id?: string;
    readonly log?: Log;
    /** Administration asks once and gives up at once, for a look that its caller repeats. */
    readonly once?: boolean;
  } = {},
): Kafka {
  const { log, once = false } = options;
  const client = new Kafkajs({
    ...connection(access),
    clientId: options.client_id ?? "millrace",
    connectionTimeout: 3_000,
    authenticationTimeout: 10_000,
    requestTimeout: 10_000,
    retry: once ? { ...RETRY, retries: 0 } : RETRY,
    logLevel: log === undefined ? logLevel.NOTHING : logLevel.INFO,
    logCreator: () => (entry) => {
      if (log !== undefined && entry.level !== logLevel.NOTHING) log(LEVEL[entry.level], entry.log.message);
    },
  });
  const address = access.bootstrap;
  const admin = adminOf(client, address, once ? { pace: ONCE } : {});
  const producers = new Set<Producer>();
  const readers = new Set<Reader>();
  return {
    address,
    admin,
    async producer(options) {
      const opened = await openProducer(client, address, options);
      const producer: Producer = {
        begin: opened.begin,
        close: async () => {
          producers.delete(producer);
          await opened.close();
        },
      };
      producers.add(producer);
      return producer;
    },
    read(topic, options) {
      const reader: Reader = new PartitionReader(client, address, topic, options, () =>
        readers.delete(reader),
      );
      readers.add(reader);
      return reader;
    },
    async close() {
      await Promise.allSettled([...readers, ...producers].map((part) => part.close()));
      await admin.close();
    },
  };
}
