import { describe, expect, it } from "vitest";
import { namesOf, pipelineOf } from "../../pipelines/index.ts";
import { fakeKafka } from "../../test/fakes/kafka.ts";
import { list } from "./rejects.ts";

describe("list()", () => {
  it("refuses a reason that no reject can have, naming those there are", async () => {
    const { pipeline, contract } = pipelineOf("weather");
    const registry = {} as never;
    const place = { kafka: fakeKafka(), registry, names: namesOf(pipeline, ""), contract };
    const listed = list(place, { reason: "late", stream: null, limit: 5, json: false }, () =>
      expect.fail("nothing to print"),
    );
    await expect(listed).rejects.toMatchObject({
      code: "config_invalid",
      message: expect.stringMatching(/"late": expected one of bad_framing, .*time_jump/),
    });
  });
});
