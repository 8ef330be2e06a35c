import { describe, expect, it } from "vitest";
import { junitTally, vitestTally } from "./tally.ts";

describe("Vitest's report", () => {
  const report = (testResults: readonly object[]) =>
    JSON.stringify({ numPassedTests: 1, numFailedTests: 1, testResults });

  it("names each failed test with the first line it said", () => {
    const tests = [
      { fullName: "a holds", status: "passed" },
      {
        fullName: "b holds",
        status: "failed",
        failureMessages: ["AssertionError: expected 1\n    at x.ts:1"],
      },
      { fullName: "c holds", status: "skipped" },
    ];
    expect(
      vitestTally(report([{ name: "/x/a.test.ts", status: "failed", assertionResults: tests }])),
    ).toEqual({
      passed: 1,
      failed: 1,
      failures: ["b holds: AssertionError: expected 1"],
      skipped: ["c holds"],
    });
  });

  it("counts a file that did not load as one failure, by its name", () => {
    const file = { name: "/x/b.test.ts", status: "failed", message: "Cannot find y", assertionResults: [] };
    expect(vitestTally(report([file]))).toMatchObject({ failed: 2, failures: ["b.test.ts: Cannot find y"] });
  });
});

describe("pytest's report", () => {
  it("names failures, errors and skipped tests", () => {
    const xml = `<testsuites><testsuite name="pytest" errors="1" failures="1" skipped="1" tests="5" time="2">
      <testcase classname="t.a" name="test_ok" time="0.1" />
      <testcase classname="t.a" name="test_bad[x &lt; y]" time="0.1"><failure message="assert 1 == 2&#10; + where">E</failure></testcase>
      <testcase classname="t.a" name="test_torn" time="0.1"><error message="failed on setup">E</error></testcase>
      <testcase classname="t.a" name="test_ok2" time="0.1" />
      <testcase classname="t.b" name="test_apt" time="0"><skipped type="pytest.skip" message="no apt">x</skipped></testcase>
    </testsuite></testsuites>`;
    expect(junitTally(xml)).toEqual({
      passed: 2,
      failed: 2,
      failures: ["t.a.test_bad[x < y]: assert 1 == 2", "t.a.test_torn: failed on setup"],
      skipped: ["t.b.test_apt: no apt"],
    });
  });
});
