// The port of ts/kafka on a real broker: the same suite as the fake's, and what only a broker can show.

import { randomUUID } from "node:crypto";
import { inject } from "vitest";
import { connectKafka } from "../../kafka/client.ts";
import { kafkaSuite } from "../suites/kafka.ts";

const { kafka } = inject("engines");

kafkaSuite("connectKafka()", async () => ({
  kafka: connectKafka(kafka),
  prefix: `test-${randomUUID().slice(0, 8)}`,
  cannot: {},
  runs: 10,
  patience_ms: 60_000,
}));
