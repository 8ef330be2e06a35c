// `millrace prove`: the proofs at full count, seeded and resumable, on engines of their own unless told otherwise. Writes what
// came out to docs/proof. Words only; ts/prove does the work.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { PipelineError } from "../contract/index.ts";
import { down, startEngines } from "../engines/local/index.ts";
import type { Settings } from "../engines/settings.ts";
import { type KillsRound, proveKills } from "../prove/kills.ts";
import { runRounds } from "../prove/rounds.ts";
import { roundsOf } from "../prove/schedule.ts";
import { type KillsSummary, summaryOf } from "../prove/summary.ts";

interface Options {
  readonly count: string;
  readonly seed: string;
  readonly only?: string;
  readonly running: boolean;
  readonly json: boolean;
  readonly out?: string;
}

const PROOFS = ["kills"] as const;
type Proof = (typeof PROOFS)[number];

/** Kills of each kind in one round: a job that fails five times within ten minutes is given up, rightly. */
const ROUND_MOST = 2;

export function proveCommand(settingsOf: (command: Command) => Settings): Command {
  return new Command("prove")
    .description(
      "Proves at full count what the tests prove in small: kill -9 of every part in mid-stream, nothing lost, nothing doubled",
    )
    .option("--count <number>", "kills of each kind: actor, Ray job, Spark driver, source, supervisor", "20")
    .option("--seed <number>", "order and times of the kills; another seed is another proof", "1")
    .option("--only <proof>", `one of: ${PROOFS.join(", ")}`)
    .option("--running", "use the running engines instead of a set of its own", false)
    .option("--out <folder>", "where the results go (docs/proof)")
    .option("--json", "print the results as JSON", false)
    .addHelpText(
      "after",
      "\nFinished rounds are kept in out/prove and not repeated: run it again after an interruption.\n\nExample:\n  millrace prove --count 2 --only kills",
    )
    .action(async (options: Options, command: Command) => {
      const settings = settingsOf(command);
      const count = wholeNumber("--count", options.count, 1);
      const seed = wholeNumber("--seed", options.seed, 0);
      const proofs = PROOFS.filter((proof) => options.only === undefined || proof === options.only);
      if (proofs.length === 0)
        throw new PipelineError(
          "config_invalid",
          `Cannot prove "${options.only}": expected one of ${PROOFS.join(", ")}`,
        );
      const say = (line: string) => (options.json ? console.error(line) : console.log(line));
      const stop = new AbortController();
      const interrupt = () => {
        say("Interrupted: ends what it started …");
        stop.abort(new PipelineError("job_timed_out", "The proof was interrupted; run it again to go on"));
      };
      process.on("SIGINT", interrupt);
      process.on("SIGTERM", interrupt);
      try {
        const results = await withEngines(settings, options.running, say, (engines) =>
          prove({ engines, settings, proofs, count, seed, signal: stop.signal, say, out: options.out }),
        );
        if (options.json) console.log(JSON.stringify(results));
        const wrong = results.flatMap(({ first_wrong }) => first_wrong);
        for (const line of wrong) say(line);
        if (results.some(({ compared }) => compared.wrong > 0)) process.exitCode = 1;
      } finally {
        process.off("SIGINT", interrupt);
        process.off("SIGTERM", interrupt);
      }
    });
}

function wholeNumber(flag: string, word: string, least: number): number {
  const number = Number(word);
  if (Number.isInteger(number) && number >= least) return number;
  throw new PipelineError(
    "config_invalid",
    `Cannot use ${flag} "${word}": expected a whole number from ${least}`,
  );
}

async function withEngines<T>(
  settings: Settings,
  running: boolean,
  say: (line: string) => void,
  work: (engines: Settings) => Promise<T>,
): Promise<T> {
  if (running) return work(settings);
  // Ray puts sockets below its home and a socket's path has at most 107 characters: keep it short.
  const home = mkdtempSync(join(tmpdir(), "millrace-"));
  let engines: Settings | null = null;
  try {
    engines = await startEngines(
      { root: settings.root, home },
      { on: ({ engine, state }) => say(`${engine}: ${state}`) },
    );
    return await work(engines);
  } finally {
    if (engines) await down(engines);
    rmSync(home, { recursive: true, force: true });
  }
}

interface Work {
  readonly engines: Settings;
  readonly settings: Settings;
  readonly proofs: readonly Proof[];
  readonly count: number;
  readonly seed: number;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
  readonly out: string | undefined;
}

async function prove({
  engines,
  settings,
  proofs,
  count,
  seed,
  signal,
  say,
  out,
}: Work): Promise<KillsSummary[]> {
  const results: KillsSummary[] = [];
  const folder = out ?? join(settings.root, "docs", "proof");
  for (const proof of proofs) {
    const sizes = roundsOf(count, ROUND_MOST);
    const rounds = await runRounds<KillsRound>({
      folder: join(settings.root, "out", "prove", `${proof}-${count}-seed-${seed}`),
      count: sizes.length,
      log: say,
      fine: ({ checked }) => checked.wrong === 0,
      run: (round) =>
        proveKills({
          engines,
          // Rounds of one proof differ, and those of the next seed are others.
          seed: seed * 1_000 + round,
          count: sizes[round]!,
          champion: join(settings.root, "out", "prove", "champion"),
          signal,
          log: say,
        }),
    });
    const summary = summaryOf(seed, count, rounds);
    results.push(summary);
    mkdirSync(folder, { recursive: true });
    const path = join(folder, `${proof}.json`);
    writeFileSync(path, `${JSON.stringify(summary, null, 2)}\n`);
    for (const line of said(summary)) say(line);
    say(path);
  }
  return results;
}

function said({ recovery, compared, rounds }: KillsSummary): string[] {
  return [
    `${compared.features} feature records of ${compared.observations} observations in ${rounds} rounds, ${compared.wrong} wrong`,
    ...Object.entries(recovery).map(
      ([kind, { kills, median_ms, max_ms }]) =>
        `${kind.padEnd(11)}${String(kills).padStart(3)} kills, back after ${(median_ms / 1000).toFixed(1)} s (median), ${(max_ms / 1000).toFixed(1)} s (most)`,
    ),
  ];
}
