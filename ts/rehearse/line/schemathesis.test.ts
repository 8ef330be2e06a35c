import { expect, it } from "vitest";
import { countsOf } from "./schemathesis.ts";

it("countsOf() reads the test cases and not the operations of a phase", () => {
  const phases = "✅ Fuzzing (in 234.26s)\n\n     ✅ 36 passed\n\nTest cases:\n";
  expect(countsOf(`${phases}  21418 generated, 21418 passed\n`)).toEqual({ generated: 21418, passed: 21418 });
  expect(countsOf(`${phases}  19319 generated, 1 found 1 unique failure\n`)).toEqual({
    generated: 19319,
    passed: 0,
  });
  expect(countsOf("it did not start")).toEqual({ generated: 0, passed: 0 });
});
