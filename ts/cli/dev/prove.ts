// `millrace prove`: the proofs at full count, seeded and resumable, on engines of their own unless told otherwise. Writes what
// came out to docs/proof. Words only; ts/rehearse/prove does the work.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command, Option } from "commander";
import { PipelineError } from "../../contract/index.ts";
import { readJson } from "../../ground/json.ts";
import { startEngines } from "../../rehearse/line/engines.ts";
import { type ArchiveRound, archiveWrong, proveArchive } from "../../rehearse/prove/archive.ts";
import { type CertificateRound, proveCertificate } from "../../rehearse/prove/certificate.ts";
import {
  PROOF_NAMES,
  type Proof,
  type ProofRequest,
  proofDigest,
  proved,
  type Written,
} from "../../rehearse/prove/code.ts";
import { type KillsRound, killsWrong, proveKills } from "../../rehearse/prove/kills.ts";
import { type LinesRound, linesWrong, proveLines } from "../../rehearse/prove/lines.ts";
import { runRounds } from "../../rehearse/prove/rounds.ts";
import { roundsOf } from "../../rehearse/prove/schedule.ts";
import { proveServing, type ServingRound, servingWrong } from "../../rehearse/prove/serving.ts";
import {
  archiveLines,
  archiveSummary,
  killsLines,
  killsSummary,
  linesLines,
  linesSummary,
  servingLines,
  servingSummary,
  windowsLines,
  windowsSummary,
  windowsWrong,
} from "../../rehearse/prove/summary.ts";
import { proveWindows, type WindowsRound } from "../../rehearse/prove/windows.ts";
import { OPTIONAL, type Optional, onOurHdfs, type Settings } from "../../settings/settings.ts";
import { down } from "../../topology/local/index.ts";
import { parseInteger } from "../flags.ts";
import { interruptible } from "../interrupt.ts";

interface Options {
  readonly count: string;
  readonly seed: string;
  readonly only?: string;
  readonly with: readonly Optional[];
  readonly running: boolean;
  readonly again: boolean;
  readonly json: boolean;
  readonly out?: string;
}

/** Kills of each kind in one round: a job that fails five times within ten minutes is given up, rightly. */
const ROUND_MOST = 2;

export function proveCommand(settingsOf: (command: Command) => Settings): Command {
  return new Command("prove")
    .description(
      "Proves at full count what the tests prove in small: every window right, nothing lost or doubled across kill -9 of every part",
    )
    .option(
      "--count <number>",
      "kills of each kind: actor, Ray job, Spark driver, archive, source, supervisor; sink, API, PostgreSQL; twice of lines",
      "10",
    )
    .option("--seed <number>", "order and times of the kills; another seed is another proof", "1")
    .option("--only <proof>", `one of: ${PROOF_NAMES.join(", ")}`)
    .addOption(
      new Option("--with <engines...>", "hdfs: the archive is proved on HDFS").choices(OPTIONAL).default([]),
    )
    .option("--running", "use the running engines instead of a set of its own", false)
    .option("--again", "prove again what was proved of this very code", false)
    .option("--out <folder>", "where the results go (docs/proof)")
    .option("--json", "print the results as JSON", false)
    .addHelpText(
      "after",
      "\nFinished rounds are kept in out/prove and not repeated: run it again after an interruption. A proof whose result is of the\ncode that is here is not repeated either.\n\nExamples:\n  millrace prove --count 2 --only kills\n  millrace prove --only archive --with hdfs",
    )
    .action(async (options: Options, command: Command) => {
      const settings = settingsOf(command);
      const count = parseInteger("--count", options.count, 1);
      const seed = parseInteger("--seed", options.seed);
      const { only } = options;
      if (only !== undefined && !Object.hasOwn(PROOFS, only))
        throw new PipelineError(
          "config_invalid",
          `Cannot prove "${only}": expected one of ${PROOF_NAMES.join(", ")}`,
        );
      const say = (line: string) => (options.json ? console.error(line) : console.log(line));
      await interruptible(
        async (signal) => {
          const results: Result[] = [];
          const onHdfs = options.with.includes("hdfs");
          const folder = options.out ?? join(settings.root, "docs", "proof");
          mkdirSync(folder, { recursive: true });
          const due = PROOF_NAMES.flatMap((name) => {
            if (only !== undefined && name !== only) return [];
            const path = join(folder, `${name}${onHdfs && name === "archive" ? "-hdfs" : ""}.json`);
            const asked: ProofRequest = { proof: name, code: proofDigest(settings.root, name), seed, count };
            const holds = !options.again && proved(asked, readJson<Written>(path));
            if (holds) say(`${name}: proved of this code (${path}); --again proves it anew`);
            return holds ? [] : [{ name, path, asked }];
          });
          if (due.length === 0) return;
          const needs: readonly Optional[] = due.some(({ name }) => name === "lines") ? ["hdfs"] : [];
          const wanted = { ...options, with: [...new Set([...options.with, ...needs])] };
          await withEngines(settings, wanted, say, async (started) => {
            const engines = onHdfs ? { ...started, archive: "hdfs:/proof" } : started;
            for (const { name, path, asked } of due) {
              const write = (result: Pick<Result, "wrong" | "summary">, whole: boolean) => {
                const written: Written = { ...result.summary, ...asked, whole, wrong: result.wrong };
                writeFileSync(path, `${JSON.stringify(written, null, 2)}\n`);
              };
              const result = await PROOFS[name]({
                engines,
                settings,
                ...asked,
                signal,
                say,
                write: (summary) => write({ wrong: summary.wrong, summary }, false),
              });
              write(result, true);
              results.push(result);
              for (const line of [...result.lines, path]) say(line);
            }
          });
          if (options.json) console.log(JSON.stringify(results.map(({ summary }) => summary)));
          if (results.some(({ wrong }) => wrong > 0)) process.exitCode = 1;
        },
        () => {
          say("Interrupted: ends what it started …");
          return new PipelineError("job_timed_out", "The proof was interrupted; run it again to go on");
        },
      );
    });
}

async function withEngines<T>(
  settings: Settings,
  { running, with: asked }: Pick<Options, "running" | "with">,
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
      { with: asked, on: ({ engine, state }) => say(`${engine}: ${state}`) },
    );
    return await work(engines);
  } finally {
    if (engines) await down(engines);
    rmSync(home, { recursive: true, force: true });
  }
}

interface Work extends ProofRequest {
  readonly engines: Settings;
  readonly settings: Settings;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
  /** Keeps a summary; also of the rounds so far, so that an interruption leaves what was proved. */
  readonly write: (summary: { readonly wrong: number }) => void;
}

/** Every proof: what it writes, and in words. A new one is an entry here. */
const PROOFS: Readonly<Record<Proof, (work: Work) => Promise<Result>>> = {
  async kills({ count, seed, ...work }) {
    const sizes = roundsOf(count, ROUND_MOST);
    const rounds = await runRounds<KillsRound>({
      folder: roundsFolder({ ...work, seed }, `${count}`),
      count: sizes.length,
      log: work.say,
      fine: (round) => killsWrong(round) === 0,
      onRound: (done) => work.write(killsSummary(done)),
      run: (round) =>
        proveKills({
          engines: work.engines,
          // Rounds of one proof differ, and those of the next seed are others.
          seed: seed * 1_000 + round,
          count: sizes[round]!,
          champion: join(work.settings.root, "out", "prove", "champion"),
          signal: work.signal,
          log: work.say,
        }),
    });
    const summary = killsSummary(rounds);
    return { wrong: summary.wrong, summary, lines: killsLines(summary) };
  },

  async windows({ seed, ...work }) {
    const rounds = await runRounds<WindowsRound>({
      folder: roundsFolder({ ...work, seed }),
      count: WINDOWS_ROUNDS.length,
      log: work.say,
      fine: (round) => windowsWrong(round) === 0,
      onRound: (done) => work.write(windowsSummary(done)),
      run: (round) =>
        proveWindows({
          engines: work.engines,
          seed: seed * 1_000 + round,
          ...WINDOWS_ROUNDS[round]!,
          signal: work.signal,
          log: work.say,
        }),
    });
    const summary = windowsSummary(rounds);
    return { wrong: summary.wrong, summary, lines: [...windowsLines(summary), ...summary.first_wrong] };
  },

  async archive({ seed, ...work }) {
    const sizes = roundsOf(ARCHIVE_KILLS, ARCHIVE_ROUND_MOST);
    const rounds = await runRounds<ArchiveRound>({
      folder: roundsFolder({ ...work, seed }, onOurHdfs(work.engines) ? "hdfs" : ""),
      count: sizes.length,
      log: work.say,
      fine: (round) => archiveWrong(round) === 0,
      onRound: (done) => work.write(archiveSummary(done)),
      run: (round) =>
        proveArchive({
          engines: work.engines,
          seed: seed * 1_000 + round,
          kills: sizes[round]!,
          share: 1,
          signal: work.signal,
          log: work.say,
        }),
    });
    const summary = archiveSummary(rounds);
    return { wrong: summary.wrong, summary, lines: [...archiveLines(summary), ...summary.first_wrong] };
  },

  async serving({ count, seed, ...work }) {
    const sizes = roundsOf(count, SERVING_ROUND_MOST);
    const rounds = await runRounds<ServingRound>({
      folder: roundsFolder({ ...work, seed }, `${count}`),
      count: sizes.length,
      log: work.say,
      fine: (round) => servingWrong(round) === 0,
      onRound: (done) => work.write(servingSummary(done)),
      run: (round) =>
        proveServing({
          engines: work.engines,
          seed: seed * 1_000 + round,
          count: sizes[round]!,
          cases: round === sizes.length - 1 ? SCHEMATHESIS_CASES : 0,
          signal: work.signal,
          log: work.say,
        }),
    });
    const summary = servingSummary(rounds);
    return { wrong: summary.wrong, summary, lines: servingLines(summary) };
  },

  async lines({ count, seed, ...work }) {
    const sizes = roundsOf(2 * count, LINES_ROUND_MOST);
    const rounds = await runRounds<LinesRound>({
      folder: roundsFolder({ ...work, seed }, `${count}`),
      count: sizes.length,
      log: work.say,
      fine: (round) => linesWrong(round) === 0,
      onRound: (done) => work.write(linesSummary(done)),
      run: (round) =>
        proveLines({
          engines: work.engines,
          seed: seed * 1_000 + round,
          kills: sizes[round]!,
          signal: work.signal,
          log: work.say,
        }),
    });
    const summary = linesSummary(rounds);
    return { wrong: summary.wrong, summary, lines: linesLines(summary) };
  },

  async certificate({ seed, ...work }) {
    const [round] = await runRounds<CertificateRound>({
      folder: roundsFolder({ ...work, seed }),
      count: 1,
      log: work.say,
      fine: ({ verdict }) => verdict === "passed",
      run: () =>
        proveCertificate({
          engines: work.engines,
          seed,
          sample: CERTIFICATE_WINDOWS,
          to_ms: null,
          signal: work.signal,
          log: work.say,
        }),
    });
    const { verdict, counts, reasons } = round!;
    const lines = [
      `${verdict}: ${counts["sampled"]} windows, ${counts["equal"]} equal, ${counts["late"]} that lack late records only`,
      ...reasons,
    ];
    return { wrong: verdict === "passed" ? 0 : 1, summary: round!, lines };
  },
};

/** Kills of each kind in one round, for the same reason as above: fewer than the five that give a job up. */
const SERVING_ROUND_MOST = 4;
const SCHEMATHESIS_CASES = 1_000;

/** Kills of the writer of lines in one round; of them twice the count, because each takes seconds. */
const LINES_ROUND_MOST = 10;

/** Windows of the certificate that is proved: the sample's three days, of which so many are compared. */
const CERTIFICATE_WINDOWS = 10_000;

/** Kills of the archive's driver in all, and in one round, for the same reason as above. */
const ARCHIVE_KILLS = 10;
const ARCHIVE_ROUND_MOST = 4;

const WINDOWS_ROUNDS = [
  { duplicates: "source", days: 2 },
  { duplicates: "engine", days: 2 },
  { duplicates: "source", days: 3 },
] as const;

interface Result {
  readonly wrong: number;
  readonly summary: object;
  readonly lines: readonly string[];
}

/** Names everything that the rounds depend on: those of other code are no rounds of this proof. */
const roundsFolder = (
  { settings, proof, code, seed }: Pick<Work, "settings" | "proof" | "code" | "seed">,
  more = "",
) =>
  join(
    settings.root,
    "out",
    "prove",
    [proof, code.slice(0, 12), `seed-${seed}`, more].filter(Boolean).join("-"),
  );
