import { describe, expect, it } from "vitest";
import { ERRORS, explain, isErrorCode, PipelineError } from "./errors.ts";
import { ERROR_CODES } from "./generated/error_code.ts";

describe("ERRORS", () => {
  it("has one sentence for every code of the Avro enum, and no other", () => {
    expect(Object.keys(ERRORS).sort()).toEqual([...ERROR_CODES].sort());
    for (const { sentence } of Object.values(ERRORS)) expect(sentence).toMatch(/^[A-Z].*\.$/);
  });

  it("tells codes from other words", () => {
    expect(isErrorCode("kafka_unreachable")).toBe(true);
    expect(isErrorCode("toString")).toBe(false);
  });
});

describe("PipelineError", () => {
  it("from() keeps ours and wraps the rest", () => {
    const ours = new PipelineError("model_refused", "Cannot load");
    expect(PipelineError.from(ours, "job_failed")).toBe(ours);
    const wrapped = PipelineError.from("boom", "ray_unreachable", "Cannot ask");
    expect(wrapped).toMatchObject({
      code: "ray_unreachable",
      message: "Cannot ask",
      cause: "boom",
      retryable: true,
    });
  });

  it("explain() prints the chain once, without stacks", () => {
    const cause = new Error("connect ECONNREFUSED 127.0.0.1:1");
    const error = new PipelineError("kafka_unreachable", 'Cannot list topics at "127.0.0.1:1"', { cause });
    expect(explain(error)).toBe(
      'Cannot list topics at "127.0.0.1:1" (kafka_unreachable)\n  because: connect ECONNREFUSED 127.0.0.1:1',
    );
  });

  it("explain() ends on a cycle of causes", () => {
    const error = new Error("round");
    error.cause = error;
    expect(explain(error).split("\n").length).toBeLessThan(20);
  });
});
