// What a test runner's report says: how many passed, which failed and with what, which were skipped. A pure leaf
// over the text of Vitest's JSON and pytest's JUnit reports.

export interface Tally {
  readonly passed: number;
  readonly failed: number;
  /** A line for each failed test: its name and the first line of what it said. */
  readonly failures: readonly string[];
  readonly skipped: readonly string[];
}

/** Longest a failure's line gets, in characters: a name and a sentence; the whole is in the runner's output. */
const LINE = 300;

interface Assertion {
  readonly fullName: string;
  readonly status: string;
  readonly failureMessages?: readonly string[];
}

interface File {
  readonly name: string;
  readonly status: string;
  readonly message?: string;
  readonly assertionResults: readonly Assertion[];
}

/** Vitest's JSON report. A file that failed to load counts as one failure: its tests never got a name. */
export function vitestTally(json: string): Tally {
  const report = JSON.parse(json) as {
    numPassedTests: number;
    numFailedTests: number;
    testResults: readonly File[];
  };
  const tests = report.testResults.flatMap((file) => file.assertionResults);
  const failed = tests.filter((test) => test.status === "failed");
  const unloaded = report.testResults.filter(
    (file) => file.status === "failed" && !file.assertionResults.some((test) => test.status === "failed"),
  );
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + unloaded.length,
    failures: [
      ...failed.map((test) => line(test.fullName, test.failureMessages?.[0])),
      ...unloaded.map((file) => line(file.name.split("/").at(-1) ?? file.name, file.message)),
    ],
    skipped: tests
      .filter((test) => test.status === "skipped" || test.status === "pending")
      .map((test) => test.fullName),
  };
}

/** Pytest's JUnit report: failures and errors both count as failed. */
export function junitTally(xml: string): Tally {
  const attribute = (name: string) =>
    [...xml.matchAll(new RegExp(`<testsuite [^>]*\\b${name}="(\\d+)"`, "g"))].reduce(
      (n, m) => n + Number(m[1]),
      0,
    );
  const outcomes = [
    ...xml.matchAll(
      /<testcase [^>]*classname="([^"]*)" name="([^"]*)"[^>]*>\s*<(failure|error|skipped) [^>]*?message="([^"]*)"/g,
    ),
  ].map(([, file, name, outcome, message]) => ({
    skipped: outcome === "skipped",
    said: line(plain(`${file}.${name}`), plain(message as string)),
  }));
  const failed = attribute("failures") + attribute("errors");
  return {
    passed: attribute("tests") - failed - attribute("skipped"),
    failed,
    failures: outcomes.filter((o) => !o.skipped).map((o) => o.said),
    skipped: outcomes.filter((o) => o.skipped).map((o) => o.said),
  };
}

function line(name: string, message = ""): string {
  const first = message.split("\n").find((text) => text.trim() !== "");
  return (first ? `${name}: ${first.trim()}` : name).slice(0, LINE);
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&quot;": '"',
  "&apos;": "'",
  "&lt;": "<",
  "&gt;": ">",
  "&#10;": "\n",
  "&amp;": "&",
};

const plain = (xml: string) =>
  xml.replaceAll(/&(quot|apos|lt|gt|amp|#10);/g, (entity) => ENTITIES[entity] as string);
