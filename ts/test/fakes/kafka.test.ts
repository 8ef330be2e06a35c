import { describe, expect, it } from "vitest";
import { readAll, sendOnce } from "../../kafka/kafka.ts";
import { kafkaSuite } from "../suites/kafka.ts";
import { fakeKafka } from "./kafka.ts";

kafkaSuite("fakeKafka()", async () => ({
  kafka: fakeKafka(),
  prefix: "fake",
  cannot: {
    "expires open transactions": "nothing runs in the fake between two calls",
    compacts: "the fake keeps every record",
  },
  runs: 200,
  patience_ms: 100,
}));

describe("failNext()", () => {
  const topics = [{ topic: "t", partitions: 1, config: {} }];

  it("loses the answer of a commit that happened", async () => {
    const kafka = fakeKafka();
    await kafka.admin.ensure(topics);
    kafka.failNext("commit-lost");
    await expect(
      sendOnce(kafka, "id", [{ topic: "t", key: "k", value: Buffer.from("v") }]),
    ).rejects.toMatchObject({ code: "kafka_unreachable" });
    expect(await readAll(kafka, "t")).toHaveLength(1);
  });

  it("fails a commit, and the next producer settles it", async () => {
    const kafka = fakeKafka();
    await kafka.admin.ensure(topics);
    kafka.failNext("commit");
    await expect(
      sendOnce(kafka, "id", [{ topic: "t", key: "k", value: Buffer.from("v") }]),
    ).rejects.toMatchObject({ code: "kafka_unreachable" });
    await kafka.producer({ transactional_id: "id" });
    expect(await readAll(kafka, "t", { until: "end" })).toEqual([]);
  });
});
