// Runs the tiers one after the other and adds up what each reports. Sits behind `make test` and its parts;
// knows no single test. The last line it prints is "N passed, N failed"; skipped tests are named before it.

import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const out = join(root, "out", "test");
const python = join(root, ".venv", "bin", "python");

interface Tally {
  passed: number;
  failed: number;
  skipped: string[];
}

interface Step {
  readonly name: string;
  readonly command: readonly string[];
  /** Reads the tally the command left behind; null for a command that only succeeds or fails. */
  readonly tally: (() => Tally) | null;
}

const report = (name: string) => join(out, name.replaceAll(/[^a-z-]/g, "-"));

function vitest(project: string): Step {
  const file = `${report(`vitest-${project}`)}.json`;
  return {
    name: `vitest ${project}`,
    command: [
      process.execPath,
      "--disable-warning=TimeoutNegativeWarning",
      join(root, "node_modules", "vitest", "vitest.mjs"),
      "run",
      "--project",
      project,
      "--reporter=default",
      "--reporter=json",
      `--outputFile.json=${file}`,
    ],
    tally: () => vitestTally(file),
  };
}

function pytest(name: string, args: readonly string[]): Step {
  const file = `${report(`pytest-${name}`)}.xml`;
  return {
    name: `pytest ${name}`,
    command: [python, "-m", "pytest", "-q", "-rs", `--junitxml=${file}`, ...args],
    tally: () => junitTally(file),
  };
}

/** Vitest's JSON report. A file that failed to load counts as one failure: its tests never got a name. */
export function vitestTally(file: string): Tally {
  const json = JSON.parse(readFileSync(file, "utf8")) as {
    numPassedTests: number;
    numFailedTests: number;
    testResults: { name: string; status: string; assertionResults: { fullName: string; status: string }[] }[];
  };
  const unloaded = json.testResults.filter(
    (t) => t.status === "failed" && !t.assertionResults.some((a) => a.status === "failed"),
  );
  const skipped = json.testResults.flatMap((t) =>
    t.assertionResults.filter((a) => a.status === "skipped" || a.status === "pending").map((a) => a.fullName),
  );
  return { passed: json.numPassedTests, failed: json.numFailedTests + unloaded.length, skipped };
}

/** Pytest's JUnit report: failures and errors both count as failed. */
export function junitTally(file: string): Tally {
  const xml = readFileSync(file, "utf8");
  const attribute = (name: string) =>
    [...xml.matchAll(new RegExp(`<testsuite [^>]*\\b${name}="(\\d+)"`, "g"))].reduce(
      (n, m) => n + Number(m[1]),
      0,
    );
  const failed = attribute("failures") + attribute("errors");
  const skipped = [
    ...xml.matchAll(
      /<testcase [^>]*classname="([^"]*)" name="([^"]*)"[^>]*>\s*<skipped [^>]*message="([^"]*)"/g,
    ),
  ];
  return {
    passed: attribute("tests") - failed - attribute("skipped"),
    failed,
    skipped: skipped.map((m) => `${m[1]}.${m[2]}: ${m[3]}`),
  };
}

const unit = [
  vitest("unit"),
  pytest("spark", ["jobs/pyspark/tests", "-m", "not cluster"]),
  pytest("ray", ["jobs/ray/tests", "-m", "not cluster"]),
];
const cluster = [vitest("cluster")];
const browser = [vitest("browser")];
const check: Step = { name: "make check", command: ["make", "--no-print-directory", "check"], tally: null };

const tiers: Record<string, readonly Step[]> = {
  unit,
  cluster,
  browser,
  all: [check, ...unit, ...cluster, ...browser],
};

async function main(tier: string): Promise<number> {
  const steps = tiers[tier];
  if (!steps) {
    console.error(`Unknown tier "${tier}": expected one of ${Object.keys(tiers).join(", ")}`);
    return 2;
  }
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  const total: Tally = { passed: 0, failed: 0, skipped: [] };
  const lines: string[] = [];
  for (const step of steps) {
    const started_ms = performance.now();
    console.log(`\n== ${step.name}`);
    const [command, ...args] = step.command as [string, ...string[]];
    const result = await execa(command, args, { cwd: root, stdio: "inherit", reject: false });
    let tally: Tally;
    try {
      tally = step.tally?.() ?? {
        passed: Number(!result.failed),
        failed: Number(result.failed),
        skipped: [],
      };
    } catch (error) {
      console.error(`Cannot read the report of "${step.name}": ${String(error)}`);
      tally = { passed: 0, failed: 1, skipped: [] };
    }
    // A runner that dies after its last test (a leaked process, a failed teardown) must not pass.
    if (result.failed && tally.failed === 0) tally.failed = 1;
    total.passed += tally.passed;
    total.failed += tally.failed;
    total.skipped.push(...tally.skipped);
    const seconds = ((performance.now() - started_ms) / 1000).toFixed(0);
    lines.push(`${step.name.padEnd(18)} ${tally.passed} passed, ${tally.failed} failed  ${seconds} s`);
  }
  console.log(`\n${lines.join("\n")}`);
  for (const skipped of total.skipped) console.log(`skipped: ${skipped}`);
  console.log(`${total.passed} passed, ${total.failed} failed`);
  return total.failed === 0 && total.passed > 0 ? 0 : 1;
}

if (import.meta.main) process.exitCode = await main(process.argv[2] ?? "all");
