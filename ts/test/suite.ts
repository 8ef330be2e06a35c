// Runs the tiers one after the other and adds up what each reports. Sits behind `make test` and its parts;
// knows no single test. The last line it prints is "N passed, N failed"; before it come the tests that were skipped
// and those that failed, so that the end of a long output says what went wrong.

import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { against, YARDSTICK_S } from "./budgets.ts";
import { junitTally, type Tally, vitestTally } from "./tally.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const out = join(root, "out", "test");
const python = join(root, ".venv", "bin", "python");

interface Step {
  readonly name: string;
  readonly command: readonly string[];
  /** Reads the tally the command left behind; null for a command that only succeeds or fails. */
  readonly tally: (() => Tally) | null;
}

/** How many failures are named at the end: the end of an output is what a CI shows of it. */
const NAMED = 12;

const report = (name: string) => join(out, name.replaceAll(/[^a-z-]/g, "-"));

function vitest(project: string, { name = project, args = [] as readonly string[] } = {}): Step {
  const file = `${report(`vitest-${name}`)}.json`;
  return {
    name: `vitest ${name}`,
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
      ...args,
    ],
    tally: () => vitestTally(readFileSync(file, "utf8")),
  };
}

function pytest(name: string, args: readonly string[]): Step {
  const file = `${report(`pytest-${name}`)}.xml`;
  return {
    name: `pytest ${name}`,
    command: [python, "-m", "pytest", "-q", "-rs", `--junitxml=${file}`, ...args],
    tally: () => junitTally(readFileSync(file, "utf8")),
  };
}

const unit = [
  vitest("unit"),
  pytest("spark", ["jobs/pyspark/tests", "-m", "not cluster"]),
  pytest("ray", ["jobs/ray/tests", "-m", "not cluster"]),
];
// What a change of one module is tried with. What is tagged slow needs a JVM, a training, a
// process or a real clock.
const quick = [
  vitest("unit", { name: "quick", args: ["--tags-filter=!slow"] }),
  pytest("quick", ["jobs/pyspark/tests", "jobs/ray/tests", "-m", "not cluster and not slow"]),
];
const cluster = [vitest("cluster")];
const browser = [vitest("browser")];
const compose = [vitest("compose")];
const check: Step = { name: "make check", command: ["make", "--no-print-directory", "check"], tally: null };

export const tiers: Record<string, readonly Step[]> = {
  quick,
  unit,
  cluster,
  browser,
  compose,
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
  const yardstick_s = await yardstick();
  const tallies: Tally[] = [];
  const lines: string[] = [];
  for (const step of steps) {
    const started_ms = performance.now();
    console.log(`\n== ${step.name}`);
    const [command, ...args] = step.command as [string, ...string[]];
    const result = await execa(command, args, { cwd: root, stdio: "inherit", reject: false });
    const tally = tallyOf(step, result.failed);
    tallies.push(tally);
    const took_s = (performance.now() - started_ms) / 1000;
    const time = against(step.name, took_s, yardstick_s) ?? `${took_s.toFixed(0)} s`;
    lines.push(`${step.name.padEnd(18)} ${tally.passed} passed, ${tally.failed} failed  ${time}`);
  }
  lines.push(
    `yardstick          ${yardstick_s.toFixed(2)} s; on a machine of ${YARDSTICK_S} s the budgets are as in ts/test/budgets.ts`,
  );
  const sum = (of: (tally: Tally) => number) => tallies.reduce((n, tally) => n + of(tally), 0);
  const failed = sum((tally) => tally.failed);
  console.log(`\n${lines.join("\n")}`);
  for (const skipped of tallies.flatMap((tally) => tally.skipped)) console.log(`skipped: ${skipped}`);
  const failures = tallies.flatMap((tally) => tally.failures);
  for (const failure of failures.slice(0, NAMED)) console.log(`failed: ${failure}`);
  if (failures.length > NAMED) console.log(`failed: ${failures.length - NAMED} more, named above`);
  const passed = sum((tally) => tally.passed);
  console.log(`${passed} passed, ${failed} failed`);
  const skipped = sum((tally) => tally.skipped.length);
  // A machine without Docker has no containers to test, and says so; any other tier in which nothing passed is broken.
  return failed === 0 && (passed > 0 || (tier === "compose" && skipped > 0)) ? 0 : 1;
}

/** Seconds for ten million additions in a Python loop: how fast this machine is now. */
async function yardstick(): Promise<number> {
  const program =
    "import time\nclock = time.perf_counter()\ntotal = 0\nfor number in range(10_000_000):\n    total += number\nprint(time.perf_counter() - clock)";
  const { stdout } = await execa(python, ["-c", program]);
  return Number(stdout);
}

/** What a step did. A runner that dies after its last test (a leaked process, a failed teardown) does not pass. */
function tallyOf(step: Step, ended_badly: boolean): Tally {
  const none = { passed: 0, failed: 0, failures: [], skipped: [] };
  const bad = (why: string): Tally => ({ ...none, failed: 1, failures: [`${step.name}: ${why}`] });
  if (!step.tally) return ended_badly ? bad("ended with an error") : { ...none, passed: 1 };
  let tally: Tally;
  try {
    tally = step.tally();
  } catch (error) {
    return bad(`its report cannot be read: ${String(error)}`);
  }
  if (!ended_badly || tally.failed > 0) return tally;
  return { ...tally, failed: 1, failures: [`${step.name}: ended with an error after its last test`] };
}

if (import.meta.main) process.exitCode = await main(process.argv[2] ?? "all");
