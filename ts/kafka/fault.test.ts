import { expect, it } from "vitest";
import { settled, untilTopicKnown } from "./fault.ts";

/** Fails with these errors of Kafka, one after the other, then answers. */
const answering = (...types: string[]) => {
  let calls = 0;
  return {
    calls: () => calls,
    work: async () => {
      const type = types[calls++];
      if (type !== undefined) throw Object.assign(new Error(type), { type });
      return "answer";
    },
  };
};

it("heardOf() waits for a broker that does not know a new topic yet, and for nothing else", async () => {
  const late = answering("UNKNOWN_TOPIC_OR_PARTITION", "LEADER_NOT_AVAILABLE");
  await expect(untilTopicKnown(late.work)).resolves.toBe("answer");
  expect(late.calls()).toBe(3);
  const refused = answering("TOPIC_AUTHORIZATION_FAILED");
  await expect(untilTopicKnown(refused.work)).rejects.toThrow("TOPIC_AUTHORIZATION_FAILED");
  expect(refused.calls()).toBe(1);
});

it("settled() waits for a coordinator, and takes a missing topic for missing", async () => {
  await expect(settled(answering("CONCURRENT_TRANSACTIONS").work)).resolves.toBe("answer");
  await expect(settled(answering("UNKNOWN_TOPIC_OR_PARTITION").work)).rejects.toThrow("UNKNOWN_TOPIC");
});
